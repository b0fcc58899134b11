"""The example `hello`: what each of its routes answers."""

import json
import re
import subprocess

import pytest

from clients import Http


@pytest.fixture(scope="module")
def hello(launch_once):
    return launch_once("hello")


def curl(program, path, *options):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *options, program.url("web", path)],
                          capture_output=True, check=True)
    return done.stdout


def test_json(hello):
    with Http(hello.connect("web")) as client:
        answer = client.get("/json")
    assert answer.fields["content-type"] == "application/json"
    assert json.loads(answer.body) == {"message": "Hello, World!", "worker": 0}


def test_files_of_the_directory_it_was_started_in(hello):
    content = bytes(range(256)) * 3000
    (hello.directory / "below").mkdir(exist_ok=True)
    (hello.directory / "below" / "any thing.bin").write_bytes(content)
    (hello.directory / ".hidden").write_text("not for others")
    path = "/files/below/any%20thing.bin"
    assert curl(hello, path) == content
    assert curl(hello, path, "-r", "1000-1999") == content[1000:2000]
    with Http(hello.connect("web")) as client:
        answer = client.get(path)
        again = client.get(path, more=f"If-None-Match: {answer.fields['etag']}\r\n")
        assert (again.status, again.body) == (304, b"")
        for outside in ("/files/.hidden", "/files/../hello", "/files/%2e%2e/hello", "/files/no"):
            assert client.get(outside).status in (400, 404), outside


def test_events(hello):
    """A tick each second, to each listener, and nothing of it to the others."""
    listeners = [Http(hello.connect("web")) for _ in range(3)]
    for one in listeners:
        one.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Content-Type: text/event-stream" in one.read_until(b"\r\n\r\n")
    with Http(hello.connect("web")) as other:
        told = []
        for one in listeners:
            first, second = (
                int(re.search(rb"event: tick\ndata: (\d+)\n\n", one.read_until(b"\n\n"))[1])
                for _ in range(2)
            )
            assert second == first + 1
            told.append(first)
        assert max(told) - min(told) <= 1
        assert other.get("/").body == b"Hello, World!"
    for one in listeners:
        one.close()


def test_upload(hello, tmp_path):
    small, large = tmp_path / "small.txt", tmp_path / "large.bin"
    small.write_text("some words")
    large.write_bytes(bytes(700_000))
    said = curl(hello, "/upload", "-F", f"first=@{small};type=text/plain", "-F", "words=none",
                "-F", f"second=@{large}").decode()
    assert said.splitlines() == [
        "first: small.txt, 10 bytes, text/plain",
        "second: large.bin, 700000 bytes, application/octet-stream",
    ]
    empty = curl(hello, "/upload", "-F", "words=none", "-w", "%{http_code}").decode()
    assert empty.endswith("400") and "There is no file in this form." in empty


def test_options_and_methods(hello):
    with Http(hello.connect("web")) as client:
        answer = client.get("/json", method="OPTIONS")
        assert answer.status in (200, 204)
        assert {"GET", "HEAD", "OPTIONS"} <= set(re.split(r", *", answer.fields["allow"]))
        assert client.get("/json", method="POST", more="Content-Length: 0\r\n").status == 405
