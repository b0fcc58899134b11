"""Clients of the program `bulk` that are too much for a server that is built for the usual: bodies
that fit into no memory, and a thousand connections that do next to nothing. Small in test_abuse.py,
at full size in tests/soak."""

import os
import subprocess
import threading
import time

from clients import Http
from processes import memory_bytes

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
BLOCK = ALPHABET * (1 << 16)
MIB = 1 << 20
# The address sanitizer keeps what was freed, and so hides that it was.
FORGETFUL = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}


class Memory:
    """What a process has in memory while the block runs: at first, and at most."""

    def __init__(self, pid):
        self.pid = pid
        self.first = self.most = memory_bytes(pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, memory_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.most = max(self.most, memory_bytes(self.pid))

    @property
    def grown(self):
        return self.most - self.first

    def __str__(self):
        return f"{self.first / MIB:.1f} MiB at first, {self.most / MIB:.1f} MiB at most"


def warm_up(program):
    """What the first request of every kind makes the program allocate once and for all."""
    with Http(program.connect("web")) as client:
        assert client.get("/").body == b"hello"
        assert client.post("/count", BLOCK[:100_000]).status == 200
        assert len(client.get("/pour?bytes=2000000&known=1").body) == 2_000_000


def upload(program, size):
    """Send a body of so many bytes to `bulk`. Its worker's memory, and seconds."""
    warm_up(program)
    sent, began = 0, time.monotonic()
    with Memory(program.pid("web")) as memory, Http(program.connect("web")) as client:
        client.send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        view = memoryview(BLOCK)
        while sent < size:
            part = view[: min(len(BLOCK), size - sent)]
            client.sock.sendall(part)
            sent += len(part)
        count, total = map(int, client.read_response().body.split())
    whole, rest = divmod(size, len(BLOCK))
    assert count == size, f"{count} of {size} bytes were counted"
    assert total == (whole * sum(BLOCK) + sum(BLOCK[:rest])) % (1 << 64), "other bytes came"
    return memory, time.monotonic() - began


def download(program, size, slow_seconds):
    """Take a body of so many bytes from `bulk`, at first slowly, then as it comes; each byte is
    looked at. The worker's memory, and seconds."""
    warm_up(program)
    began = time.monotonic()
    taken = 0
    room = bytearray(1 << 19)
    view = memoryview(room)
    expected = memoryview(BLOCK)
    with Memory(program.pid("web")) as memory, \
            Http(program.connect("web", receive_buffer=1 << 16)) as client:
        client.send(b"GET /pour?bytes=%d&known=1 HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        head = client.read_until(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % size in head
        room[: len(client.buffer)] = client.buffer
        fresh = len(client.buffer)
        while True:
            begin = taken % len(ALPHABET)
            assert view[:fresh] == expected[begin : begin + fresh], f"wrong bytes near {taken}"
            taken += fresh
            if taken == size:
                break
            slow = time.monotonic() - began < slow_seconds
            if slow:
                time.sleep(0.01)
            fresh = client.sock.recv_into(view, 4096 if slow else len(room))
            assert fresh > 0, f"the body ended after {taken} of {size} bytes"
    return memory, time.monotonic() - began


# ---- slowness ----


class Visitor:
    """A client like any other beside the attack: a request every few milliseconds, and how long
    each took."""

    def __init__(self, program):
        self.program = program
        self.latencies = []
        self.failure = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.visit)

    def visit(self):
        try:
            with Http(self.program.connect("web")) as client:
                while not self.over.wait(0.005):
                    began = time.monotonic()
                    assert client.get("/").body == b"hello"
                    self.latencies.append(time.monotonic() - began)
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        assert not self.failure, f"the visitor was disturbed: {self.failure!r}"

    def p99_ms(self):
        ordered = sorted(self.latencies)
        return ordered[len(ordered) * 99 // 100] * 1000


def quiet_p99_ms(program, seconds):
    with Visitor(program) as visitor:
        time.sleep(seconds)
    return visitor.p99_ms()


# What slowhttptest does, and to which address; and why the server then ends the connection.
ATTACKS = {
    "headers": (["-H"], "/"),
    "body": (["-B", "-s", "1000000"], "/count"),
    "read": (["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "5"], "/pour?bytes=50000000"),
}
ENDS = {"headers": "handshake", "body": "handshake", "read": "deadline"}


def attack(program, kind, connections, seconds):
    """Under slowhttptest: the p99 of a visitor in milliseconds, and why the server's connections
    ended."""
    options, path = ATTACKS[kind]
    before = program.totals()["closes_by_reason"]
    with Visitor(program) as visitor:
        done = subprocess.run(
            ["slowhttptest", *options, "-c", str(connections), "-r", str(min(connections, 500)),
             "-i", "1", "-x", "10", "-l", str(seconds), "-p", "5", "-u",
             program.url("web", path)],
            capture_output=True, text=True, timeout=seconds + 60, check=False)
    assert "slow HTTP test status" in done.stdout, f"{done.stdout[-300:]} {done.stderr[-300:]}"
    after = program.totals()["closes_by_reason"]
    ends = {reason: after[reason] - before[reason] for reason in after
            if after[reason] > before[reason]}
    return visitor.p99_ms(), ends
