"""Queries, cookies, forms and uploads, from curl and from Python's own libraries."""

import email.message
import email.policy
import http.client
import http.cookies
import os
import random
import signal
import subprocess
import urllib.parse
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from clients import Http
from processes import wait_until

pytestmark = pytest.mark.one_engine

MULTIPART = "Content-Type: multipart/form-data; boundary=B\r\n"


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """Where files are kept meanwhile: nothing with a name is ever there."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def forms(launch_once, uploads):
    return launch_once("forms", sets={"web.upload_dir": str(uploads)})


def connect(program):
    return Http(program.connect("web"))


def fnv(data):
    total = 0xCBF29CE484222325
    for byte in data:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return f"{total:016x}"


def word(text):
    return b"" if text == "-" else bytes.fromhex(text)


def told(body):
    """What the program tells, as {kind: [tuple of the words]}."""
    lines = {"query": [], "form": [], "cookie": [], "file": []}
    for line in body.decode().splitlines():
        kind, *words = line.split()
        named = 3 if kind == "file" else 2
        lines[kind].append((*map(word, words[:named]), *words[named:]))
    return lines


def file_told(name, filename, kind, data):
    where = "memory" if len(data) <= 65536 else "disk"
    return (name, filename, kind, str(len(data)), where, fnv(data))


# ---- curl ----


def curl(program, path, *options):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", *options, program.url("web", path)],
        capture_output=True, check=True,
    )
    return done.stdout


def test_curl_posts_a_form(forms):
    body = curl(forms, "/show?x=1", "-d", "a=1&b=x+y", "--data-urlencode", "c=&=%+ü")
    assert told(body) == {
        "query": [(b"x", b"1")], "cookie": [], "file": [],
        "form": [(b"a", b"1"), (b"b", b"x y"), (b"c", "&=%+ü".encode())],
    }


def test_curl_posts_a_form_of_parts(forms, tmp_path, uploads):
    short, long, odd = tmp_path / "short.txt", tmp_path / "long.bin", tmp_path / 'o"d;n=1.txt'
    short.write_bytes(b"hello\r\n")
    long.write_bytes(random.Random(1).randbytes(700_000))
    odd.write_bytes(b"")
    path = str(odd).replace('"', '\\"')
    body = curl(
        forms, "/show", "-F", "a=1", "-F", f"s=@{short}", "-F", f"l=@{long};type=a/b", "-F",
        f'o=@"{path}"', "-F", "b=<" + str(short), "-F", "n=@" + str(short) + ";filename=../x/y",
    )
    result = told(body)
    assert result["form"] == [(b"a", b"1"), (b"b", b"hello\r\n")]
    assert result["file"] == [
        file_told(b"s", b"short.txt", b"text/plain", b"hello\r\n"),
        file_told(b"l", b"long.bin", b"a/b", long.read_bytes()),
        file_told(b"o", b'o"d;n=1.txt', b"text/plain", b""),
        file_told(b"n", b"y", b"text/plain", b"hello\r\n"),
    ]
    assert not list(uploads.iterdir())


def test_curl_in_chunks_and_by_http_1_0(forms, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"\r\n--" * 50_000)
    expected = [file_told(b"f", b"file", b"application/octet-stream", file.read_bytes())]
    chunked = curl(forms, "/show", "-H", "Transfer-Encoding: chunked", "-F", f"f=@{file}")
    assert told(chunked)["file"] == expected
    assert told(curl(forms, "/show", "--http1.0", "-F", f"f=@{file}"))["file"] == expected


# ---- Python's own libraries ----


def random_text(rng):
    alphabet = "abcXYZ 019&=+%;,\"'\\/?#äß中\r\n\t\0~.-_"
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(20)))


def test_urlencoded_as_python_encodes(forms):
    rng = random.Random(2)
    with connect(forms) as client:
        for _ in range(50):
            pairs = [(random_text(rng), random_text(rng)) for _ in range(rng.randrange(1, 10))]
            text = urllib.parse.urlencode(pairs)
            kind = "Content-Type: application/x-www-form-urlencoded\r\n"
            answer = client.post("/show?" + text, text.encode(), kind)
            expected = [(name.encode(), value.encode()) for name, value in pairs]
            assert told(answer.body)["query"] == told(answer.body)["form"] == expected


FILENAMES = ["plain.txt", "with space", 'qu"ote', "中文.bin", "semi;colon=1", "100%25", ".x"]


def random_part(rng, number):
    """One with a head as the standard library writes it; what it is to be told as."""
    name = f"n{number} {rng.choice(['ä', '[]', 'q'])}"
    filename = rng.choice([*FILENAMES, None])
    data = rng.randbytes(rng.choice([0, 1, 100, 5000, 70_000]))
    data += rng.choice([b"", b"\r\n--", b"\r"])
    head = email.message.Message(policy=email.policy.HTTP)
    disposition = {"name": name} | ({"filename": filename} if filename else {})
    head.add_header("Content-Disposition", "form-data", **disposition)
    if filename is None:
        return head.as_bytes() + data, ("form", (name.encode(), data))
    head.add_header("Content-Type", "x/y")
    words = file_told(name.encode(), filename.encode(), b"x/y", data)
    return head.as_bytes() + data, ("file", words)


def random_form(rng):
    boundary = rng.choice([b"B", b"-" * 70, b"====1234567890==", b"a:b/c(d)'e"])
    parts, expected = [], {"query": [], "form": [], "cookie": [], "file": []}
    for number in range(rng.randrange(8)):
        part, (kind, words) = random_part(rng, number)
        parts.append(b"--" + boundary + b"\r\n" + part + b"\r\n")
        expected[kind].append(words)
    body = b"".join(parts) + b"--" + boundary + b"--\r\n"
    return body, f'multipart/form-data; charset=utf-8; boundary="{boundary.decode()}"', expected


@pytest.mark.parametrize("path", ["/show", "/later"])
def test_random_forms_by_http_client(forms, uploads, path):
    """Whole, and in chunks as an iterable gives them; of requests at hand, and kept ones."""
    rng = random.Random(3)
    client = http.client.HTTPConnection("127.0.0.1", forms.ports["web"], timeout=20)
    for turn in range(40):
        body, kind, expected = random_form(rng)
        pieces = (body[at : at + 4001] for at in range(0, len(body), 4001))
        client.request("POST", path, pieces if turn % 2 else body, {"Content-Type": kind},
                       encode_chunked=bool(turn % 2))
        answer = client.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        assert told(text) == expected
    client.close()
    assert not list(uploads.iterdir())


def test_a_form_as_the_mail_library_makes_it(forms):
    form = MIMEMultipart("form-data", policy=email.policy.HTTP)
    for name, text in (("a", "one"), ("b", "two\nlines\n"), ("c", "")):
        part = MIMEText(text, policy=email.policy.HTTP)
        part.add_header("Content-Disposition", "form-data", name=name)
        form.attach(part)
    form.preamble = "This is what is to be passed over.\n--"
    form.epilogue = "And this."
    head, _, body = form.as_bytes().partition(b"\r\n\r\n")
    with connect(forms) as client:
        answer = client.post("/show", body, head.decode() + "\r\n")
    assert told(answer.body)["form"] == [(b"a", b"one"), (b"b", b"two\r\nlines\r\n"), (b"c", b"")]


# ---- files ----


def test_saving(forms, tmp_path):
    for size in (0, 100, 65536, 65537, 1_000_000):
        data = random.Random(size).randbytes(size)
        file = tmp_path / "file"
        file.write_bytes(data)
        target = forms.directory / f"saved{size}"
        assert curl(forms, f"/save?as={target.name}", "-F", f"f=@{file}") == b"0"
        assert target.read_bytes() == data
        again = curl(forms, f"/save?as={target.name}", "-F", f"f=@{file}")
        assert again == b"-17", "what is there is never replaced"
        assert curl(forms, "/save?as=no/such/place", "-F", f"f=@{file}") == b"-2"
    assert curl(forms, "/save?as=x", "-F", "g=1") == b"-22", "there is no file f"


def memory_of(pid):
    """The highest that it was, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) * 1024


def test_a_large_file_costs_no_memory(forms, uploads):
    """Of 64 MiB, which never lie in memory at once."""
    size, piece = 64 << 20, bytes(range(256)) * 256
    head = b'--B\r\nContent-Disposition: form-data; name="f"; filename="large"\r\n\r\n'
    tail = b"\r\n--B--\r\n"
    before = memory_of(forms.pid("web"))
    with connect(forms) as client:
        length = len(head) + size + len(tail)
        client.send(
            f"POST /show HTTP/1.1\r\nHost: a\r\n{MULTIPART}Content-Length: {length}\r\n\r\n"
            .encode() + head)
        for _ in range(size // len(piece)):
            client.send(piece)
        assert not list(uploads.iterdir()), "the temporary file has a name"
        client.send(tail)
        file = told(client.read_response().body)["file"][0]
    assert file[:5] == (b"f", b"large", b"", str(size), "disk")
    assert memory_of(forms.pid("web")) - before < 16 << 20


def test_nothing_is_left_of_a_worker_that_dies(launch, tmp_path):
    program = launch("forms", sets={"web.upload_dir": str(tmp_path)})
    program.may_fail = True  # its connection is lost with it
    pid = program.pid("web")
    client = connect(program)
    client.send(f"POST /show HTTP/1.1\r\nHost: a\r\n{MULTIPART}Content-Length: 900000\r\n\r\n"
                .encode() + b"--B\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n"
                + bytes(300_000))
    wait_until(lambda: any(os.readlink(link).startswith(str(tmp_path))
                           for link in links_of(pid)), "the file is being written")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: program.pid("web") not in (None, pid), "a new worker")
    assert not list(tmp_path.iterdir())
    client.close()
    with connect(program) as other:
        assert other.get("/show").status == 200


def links_of(pid):
    return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]


# ---- what is wrong ----


FIELD = b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n"
REFUSED = {
    "no boundary": (400, "", b"--B--\r\n"),
    "long boundary": (400, "; boundary=" + "B" * 71, b"--" + b"B" * 71 + b"--\r\n"),
    "two boundaries": (400, "; boundary=B; boundary=C", b"--B--\r\n"),
    "no end": (400, "; boundary=B", FIELD + b"1"),
    "no name": (400, "; boundary=B", b"--B\r\n\r\n\r\n--B--\r\n"),
    "bare line feeds": (400, "; boundary=B", FIELD.replace(b"\r", b"") + b"1\n--B--\n"),
    "too many parts": (413, "; boundary=B", (FIELD + b"1\r\n") * 1025 + b"--B--\r\n"),
    "a long head": (413, "; boundary=B", b"--B\r\nX: " + b"x" * 9000 + b"\r\n\r\n"),
    "a long field": (413, "; boundary=B", FIELD + b"x" * (1 << 20) + b"\r\n--B--\r\n"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(forms, what):
    status, parameters, body = REFUSED[what]
    with connect(forms) as client:
        answer = client.post("/show", body, f"Content-Type: multipart/form-data{parameters}\r\n")
        assert answer.status == status
        assert client.at_end()
    with connect(forms) as client:
        assert client.get("/show").status == 200


# ---- cookies ----


def test_cookies_come_back(forms, tmp_path):
    """What was set, curl keeps and sends again; the program reads what it wrote."""
    jar = tmp_path / "jar"
    value = 'any text; with "all", \\ and ü%41'
    query = urllib.parse.urlencode({"name": "odd", "value": value, "path": "/"})
    assert curl(forms, "/cookie?" + query, "-c", jar) == b"0"
    assert curl(forms, "/cookie?name=gone&value=1", "-b", jar, "-c", jar) == b"0"
    assert curl(forms, "/cookie?name=gone&age=-1", "-b", jar, "-c", jar) == b"0"
    result = told(curl(forms, "/show?cookie=odd&cookie=gone", "-b", jar))
    assert result["cookie"] == [(b"odd", value.encode())]


def test_cookies_of_python(forms):
    sent = http.cookies.SimpleCookie({"a": "1", "b": "x y", "c": ""})
    line = "Cookie: " + sent.output(attrs=[], header="", sep=";").strip() + "\r\n"
    with connect(forms) as client:
        result = told(client.get("/show?cookie=a&cookie=b&cookie=c&cookie=d", more=line).body)
        assert result["cookie"] == [(b"a", b"1"), (b"b", b"x y"), (b"c", b"")]
        answer = client.get("/cookie?name=a&value=1&path=/p&age=60")
        read = http.cookies.SimpleCookie(answer.fields["set-cookie"])["a"]
        assert (read.value, read["path"], read["max-age"]) == ("1", "/p", "60")
        assert read["httponly"] and read["samesite"] == "Lax"
        assert client.get("/cookie?name=a%0D%0Ab&value=1").body == b"-22"
