"""Answers in parts, for real clients: how they are framed, what ends them, what a slow reader costs;
and compressed ones."""

import gzip
import hashlib
import http.client
import socket
import string
import subprocess
import time

import pytest
from clients import Http, Stream
from processes import PATIENCE, memory_bytes, wait_until

ALPHABET = string.ascii_lowercase.encode() * 10_000
LIMIT = 262_144


@pytest.fixture(scope="module")
def program(launch_once):
    return launch_once("stream", sets={"web.max_send_buffer": LIMIT})


def letters(size):
    return (ALPHABET * (size // len(ALPHABET) + 1))[:size]


def curl(program, path, *arguments):
    return subprocess.run(
        ["curl", "-sS", "--max-time", str(60 * PATIENCE), *arguments, program.url("web", path)],
        capture_output=True, check=False,
    )


class Chunks(Stream):
    """Reads an answer by hand, each byte of its framing."""

    def ask(self, path, version="1.1", more=""):
        self.send(f"GET {path} HTTP/{version}\r\nHost: a\r\n{more}\r\n".encode())
        head = self.read_until(b"\r\n\r\n").decode()
        lines = head.split("\r\n")
        self.fields = dict(line.lower().split(": ", 1) for line in lines[1:-2])
        return lines[0]

    def chunks(self):
        while True:
            size = int(self.read_until(b"\r\n")[:-2], 16)
            if size == 0:
                break
            yield self.read(size)
            assert self.read(2) == b"\r\n"
        self.trailers = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            self.trailers.append(line.decode().strip())


def open_chunks(program, receive_buffer=None):
    return Chunks(program.connect("web", receive_buffer=receive_buffer))


# ---- framings ----


@pytest.mark.parametrize("path", ["/pull", "/push", "/length"])
@pytest.mark.parametrize("size", [0, 1, 26_000, 26_001, 3_000_000])
def test_bodies_as_curl_gets_them(program, path, size):
    for arguments in ([], ["--http1.0"], ["--http1.0", "-H", "Connection: keep-alive"]):
        done = curl(program, f"{path}?{size}", *arguments)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == letters(size)


def test_one_connection_for_several(program):
    """http.client reads the framing itself: each answer ends where the next begins."""
    client = http.client.HTTPConnection("127.0.0.1", program.ports["web"], timeout=60)
    for path, coding in (("/pull?100000", "chunked"), ("/length?100000", None),
                         ("/push?100000", "chunked"), ("/text?10", None)):
        client.request("GET", path)
        answer = client.getresponse()
        body = answer.read()
        assert answer.getheader("Transfer-Encoding") == coding
        assert body == (letters(100_000) if "text" not in path else b"all work a")
        client.request("HEAD", path)
        answer = client.getresponse()
        assert answer.status == 200 and answer.read() == b""
    client.close()


def test_every_chunk_is_one_write_and_trailers_follow(program):
    with open_chunks(program) as client:
        assert client.ask("/trailers") == "HTTP/1.1 200 OK"
        assert client.fields["transfer-encoding"] == "chunked"
        assert client.fields["trailer"] == "x-count"
        assert "content-length" not in client.fields
        assert list(client.chunks()) == [b"one", b"two"]
        assert client.trailers == ["X-Count: 2"]
        client.ask("/pull?60000")
        assert [len(part) for part in client.chunks()] == [26_000, 26_000, 8_000]
        assert client.trailers == []


def test_http_1_0_gets_no_chunks(program):
    with open_chunks(program) as client:
        client.ask("/pull?50000", version="1.0", more="Connection: keep-alive\r\n")
        assert "transfer-encoding" not in client.fields and "connection" not in client.fields
        assert client.read_all() == letters(50_000)


def test_pipelined_behind_a_long_one(program):
    with Http(program.connect("web")) as client:
        client.send(b"GET /length?2000000 HTTP/1.1\r\nHost: a\r\n\r\n"
                    b"GET /text?5 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().body == letters(2_000_000)
        assert client.read_response().body == b"all w"


def test_a_body_too_short_is_no_body(program):
    """The connection breaks; no client takes it for the whole."""
    before = program.totals()
    done = curl(program, "/short")
    assert done.returncode in (18, 56), done  # partial file, or reset
    totals = program.wait_totals("told", lambda t: t["lost"] == before["lost"] + 1)
    aborted = totals["send_fail_by_reason"]["aborted"]
    assert aborted == before["send_fail_by_reason"]["aborted"] + 1


# ---- slow readers ----


@pytest.mark.parametrize("path", ["/pull", "/push", "/length"])
def test_a_slow_reader_costs_no_more_than_its_queue(launch, path):
    """Memory stays flat while 96 MiB go to one who reads in fits and starts."""
    program = launch("stream", sets={"web.max_send_buffer": LIMIT})
    size = 96 << 20
    pid = program.pid("web")
    with open_chunks(program, receive_buffer=65_536) as client:
        client.ask("/pull?1000000")
        assert b"".join(client.chunks()) == letters(1_000_000)
        before = most = memory_bytes(pid)
        client.send(f"GET {path}?{size} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wait_until(lambda: program.totals()["bytes_queued"] > LIMIT // 4, "it waits")
        time.sleep(0.2)
        totals = program.totals()
        assert totals["bytes_queued"] < LIMIT + 100_000
        assert totals["messages_queued"] == 1
        calm = program.totals()["pulls"]
        assert calm == totals["pulls"], "pulled although nothing leaves"
        head = client.read_until(b"\r\n\r\n")
        digest, heard = hashlib.sha256(), 0
        parts = client.chunks() if b"chunked" in head else iter_parts(client, size)
        for number, part in enumerate(parts):
            digest.update(part)
            heard += len(part)
            if number % 200 == 0:
                time.sleep(0.01)
                most = max(most, memory_bytes(pid))
        assert heard == size
        assert digest.digest() == hashlib.sha256(letters(size)).digest()
        print(f"{path}: {(most - before) >> 10} KiB more while {size >> 20} MiB went")
        # Sanitizers keep what is freed.
        assert PATIENCE > 1 or most - before < 4 << 20
    totals = program.wait_totals("sent", lambda t: t["messages_sent"] == 2)
    assert totals["send_fail"] == 0 and totals["messages_queued"] == 0
    assert totals["dones"] == (1 if path == "/push" else 2)


def iter_parts(client, size):
    while size > 0:
        part = client.read(min(size, 26_000))
        size -= len(part)
        yield part


def test_many_small_answers_beside_a_fast_long_one(program):
    """One who takes all he can does not make others wait."""
    with open_chunks(program) as greedy, Http(program.connect("web")) as other:
        greedy.send(b"GET /pull?300000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        greedy.sock.settimeout(0.001)
        slowest = 0
        for _ in range(50):
            for _ in range(20):
                try:
                    greedy.sock.recv(262_144)
                except socket.timeout:
                    pass
            began = time.monotonic()
            assert other.get("/text?5").body == b"all w"
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1 * PATIENCE
        greedy.reset()


def test_who_leaves_is_noticed_and_the_source_is_freed(program):
    before = program.totals()
    client = open_chunks(program, receive_buffer=65_536)
    client.ask("/pull?500000000")
    wait_until(lambda: program.totals()["bytes_queued"] > 0, "it waits")
    client.reset()
    totals = program.wait_totals("done", lambda t: t["dones"] == before["dones"] + 1)
    assert totals["lost"] == before["lost"] + 1
    reset = totals["send_fail_by_reason"]["reset"]
    assert reset == before["send_fail_by_reason"]["reset"] + 1


def test_stop_ends_what_does_not_end(launch):
    program = launch("stream")
    with open_chunks(program, receive_buffer=65_536) as client:
        client.ask("/pull?500000000")
        program.stop()
        with pytest.raises((EOFError, ConnectionError)):
            for _ in client.chunks():
                pass


# ---- gzip ----


def test_curl_unpacks(program):
    plain = curl(program, "/text?50000").stdout
    done = curl(program, "/text?50000", "--compressed", "-w", "%{size_download}")
    assert done.stdout.startswith(plain)
    assert int(done.stdout[len(plain):]) < 2_000, "it was not compressed"


def test_gzip_by_hand(program):
    with Http(program.connect("web")) as client:
        answer = client.get("/text?5000", more="Accept-Encoding: gzip\r\n")
        assert answer.fields["content-encoding"] == "gzip"
        assert answer.fields["vary"] == "Accept-Encoding"
        assert len(gzip.decompress(answer.body)) == 5000
        head = client.get("/text?5000", method="HEAD", more="Accept-Encoding: gzip\r\n")
        assert head.fields["content-length"] == str(len(answer.body))
        assert "content-encoding" not in client.get("/text?5000").fields
        short = client.get("/text?1000", more="Accept-Encoding: gzip\r\n")
        assert "content-encoding" not in short.fields and "vary" not in short.fields


def test_gzip_off(launch):
    program = launch("stream", sets={"web.gzip": "off"})
    with Http(program.connect("web")) as client:
        answer = client.get("/text?5000", more="Accept-Encoding: gzip\r\n")
        assert "content-encoding" not in answer.fields and len(answer.body) == 5000
