"""test_generator.py DIRECTORY - the load generator takes right answers and refuses wrong ones.

The servers here are the bare loops, and one that answers each frame or request with whatever a test
makes of it. Nothing is timed.
"""
import base64
import hashlib
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

PROGRAMS = Path(sys.argv.pop()).resolve()
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"


def generate(port, *arguments):
    """Exit status, result or None, and what it complained of."""
    done = subprocess.run([PROGRAMS / "crew_bench_loadgen", *arguments, "--port", str(port)],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Floor:
    def __init__(self, mode):
        self.port = free_port()
        self.process = subprocess.Popen([PROGRAMS / "crew_bench_floor", mode, str(self.port)])

    def __enter__(self):
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                threading.Event().wait(0.01)
        return self.port

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(10) == 0


class Liar:
    """Answers what it reads with make(bytes); for WebSocket, after a right handshake, with
    make(payload) for each message."""

    def __init__(self, make, websocket=False):
        self.make, self.websocket = make, websocket
        self.listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile("rb") as stream:
            try:
                self.answer_all(peer, stream)
            except (OSError, struct.error):
                pass  # the generator has left

    def answer_all(self, peer, stream):
        if not self.websocket:
            while head := self.head(stream):
                peer.sendall(self.make(head))
            return
        key = self.head(stream).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept
                     + b"\r\n\r\n")
        while True:
            first, length = struct.unpack("!BB", stream.read(2))
            length &= 0x7f
            if length == 126:
                length, = struct.unpack("!H", stream.read(2))
            mask = stream.read(4)
            body = stream.read(length)
            body = bytes(b ^ mask[i % 4] for i, b in enumerate(body))
            peer.sendall(self.make(first, body))

    @staticmethod
    def head(stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return b""
            head += line
        return head


LARGE = bytes(i * 7 + (i >> 8) & 0xff for i in range(300_000))
LARGE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"


def large_file():
    file = tempfile.NamedTemporaryFile()
    file.write(LARGE)
    file.flush()
    return file


def frame(first, body):
    return bytes([first, len(body)]) + body


WS = ("ws", "--connections", "3", "--operations", "300", "--payload", "100")
HTTP = ("http", "--connections", "3", "--operations", "300")
FILE = ("file", "--connections", "3", "--operations", "30", "--expect-file")


class RightAnswers(unittest.TestCase):
    def check(self, mode, *arguments, operations=300):
        with Floor(mode) as port:
            status, result, complaint = generate(port, *arguments)
        self.assertEqual((status, complaint), (0, ""))
        self.assertEqual(result["operations"], operations)
        return result

    def test_http(self):
        self.check("http", *HTTP)
        self.check("http", *HTTP, "--depth", "16")

    def test_file(self):
        with large_file() as file, Liar(lambda head: LARGE_HEAD + LARGE) as port:
            status, result, complaint = generate(port, *FILE, file.name)
        self.assertEqual((status, complaint), (0, ""))
        self.assertEqual(result["operations"], 30)

    def test_websocket_of_every_length_of_header(self):
        for payload in ("20", "125", "126", "65535", "65536", "200000"):
            self.check("ws", *WS[:-1], payload, "--depth", "3")

    def test_fanout_counts_deliveries(self):
        self.check("fanout", "fanout", "--connections", "10", "--depth", "4", "--operations",
                   "4000", operations=4000)

    def test_the_stalled_do_not_count(self):
        with Floor("fanout") as port:
            status, result, _ = generate(port, "stalled", "--connections", "10", "--stalled", "4",
                                         "--rate", "100", "--warmup", "0", "--seconds", "0.5")
        self.assertEqual(status, 0)
        self.assertEqual((result["readers"], result["missing"]), (6, 0))
        self.assertGreater(result["operations"], 0)

    def test_idle_connections_echo_in_the_end(self):
        self.check("ws", "idle", "--connections", "200", operations=200)

    def test_pings_are_answered_and_no_message(self):
        pongs = []

        def make(first, body):
            if first == 0x8a:
                pongs.append(body)
                return b""
            return frame(0x89, b"hi") + frame(first, body)

        with Liar(make, websocket=True) as port:
            status, result, complaint = generate(port, *WS)
        self.assertEqual((status, complaint), (0, ""))
        self.assertEqual(result["operations"], 300)
        self.assertEqual(set(pongs), {b"hi"})


class WrongAnswers(unittest.TestCase):
    def refused(self, make, arguments, complaint, websocket=True):
        with Liar(make, websocket) as port:
            status, result, told = generate(port, *arguments)
        self.assertEqual((status, result), (1, None))
        self.assertIn(complaint, told)

    def refused_http(self, response, complaint):
        answers = iter([HELLO] * 10)
        self.refused(lambda head: next(answers, response), HTTP, complaint, websocket=False)

    def test_http(self):
        self.refused_http(HELLO.replace(b"200", b"503"), "not status 200")
        self.refused_http(HELLO.replace(b"W", b"w"), "the body is wrong")
        self.refused_http(HELLO.replace(b"13", b"12"), "wrong length")
        self.refused_http(HELLO.replace(b"Content-Length", b"X"), "without Content-Length")
        self.refused_http(HELLO + HELLO, "more responses than requests")
        self.refused_http(b"A" * 10000, "a response without end")

    def refused_file(self, response, complaint):
        answers = iter([LARGE_HEAD + LARGE] * 5)
        with large_file() as file:
            self.refused(lambda head: next(answers, response), (*FILE, file.name), complaint,
                         websocket=False)

    def test_file(self):
        wrong = bytearray(LARGE_HEAD + LARGE)
        wrong[-1] ^= 1
        self.refused_file(bytes(wrong), "the body is wrong")
        self.refused_file(LARGE_HEAD.replace(b"200", b"404") + LARGE, "not status 200")
        self.refused_file(LARGE_HEAD.replace(b"300000", b"299999") + LARGE, "wrong length")
        self.refused_file(LARGE_HEAD.replace(b"Content-Length", b"X") + LARGE,
                          "without Content-Length")
        self.refused_file(LARGE_HEAD + LARGE + b"?", "a response")
        self.refused_file(b"A" * 10000, "a head without end")

    def test_a_changed_byte(self):
        self.refused(lambda first, body: frame(first, body[:-1] + b"?"), WS, "bytes of a message")

    def test_a_shorter_message(self):
        self.refused(lambda first, body: frame(first, body[:-1]), WS, "another kind or length")

    def test_another_kind(self):
        self.refused(lambda first, body: frame(first ^ 3, body), WS, "another kind or length")

    def test_a_message_twice(self):
        self.refused(lambda first, body: 2 * frame(first, body), WS, "an echo of something else")

    def test_the_first_message_for_ever(self):
        kept = {}
        self.refused(lambda first, body: frame(first, kept.setdefault(0, body)),
                     ("ws", "--connections", "1", "--operations", "300"),
                     "an echo of something else")

    def test_a_close(self):
        self.refused(lambda first, body: frame(0x88, b"\x03\xf3"), WS, "code 1011")

    def test_an_echo_is_no_fanout(self):
        self.refused(frame, ("fanout", "--connections", "3", "--warmup", "0.1", "--seconds",
                             "0.3"), "no operation was answered")

    def test_a_fanout_is_no_echo(self):
        with Floor("fanout") as port:
            status, _, told = generate(port, *WS)
        self.assertEqual(status, 1)
        self.assertIn("an echo of something else", told)

    def test_no_handshake(self):
        with Liar(lambda head: HELLO) as port:
            status, _, told = generate(port, *WS)
        self.assertEqual(status, 1)
        self.assertIn("handshake refused", told)

    def test_no_server(self):
        status, _, told = generate(free_port(), *WS)
        self.assertEqual(status, 1)
        self.assertIn("connect to port", told)


if __name__ == "__main__":
    unittest.main()
