"""test_generator.py DIRECTORY - the load generator takes right answers and refuses wrong ones.

The servers here are the bare loops, and one that answers each frame or request with whatever a test
makes of it. Nothing is timed.
"""
import base64
import hashlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib
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

    def __init__(self, make, websocket=False, tls=None, extension=b""):
        self.make, self.websocket, self.tls = make, websocket, tls
        self.extension = extension
        self.accepted = 0
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
        self.accepted += 1
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                peer = self.tls.wrap_socket(peer, server_side=True)
            with peer, peer.makefile("rb") as stream:
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
                     + b"\r\n" + self.extension + b"\r\n")
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


class LiarUdp:
    """Answers each datagram with make(it), a list."""

    def __init__(self, make):
        self.make = make
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.2)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self.sock.getsockname()[1]

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.sock.close()

    def serve(self):
        while not self.ended.is_set():
            try:
                data, peer = self.sock.recvfrom(65536)
                for answer in self.make(data):
                    self.sock.sendto(answer, peer)
            except (TimeoutError, ConnectionRefusedError):
                continue


def tls_context():
    """Of a server, with a certificate of its own."""
    with tempfile.TemporaryDirectory() as place:
        cert, key = f"{place}/cert.pem", f"{place}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", cert], check=True,
                       capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    return context


class OverTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tls = tls_context()

    def run_against(self, liar, *arguments):
        with liar as port:
            return generate(port, *arguments, "--tls")

    def test_http(self):
        liar = Liar(lambda head: HELLO, tls=self.tls)
        status, result, told = self.run_against(liar, *HTTP)
        self.assertEqual((status, told), (0, ""))
        self.assertEqual((result["operations"], liar.accepted), (300, 3))

    def test_websocket_of_several_records(self):
        def make(first, body):
            return bytes([first, 126]) + struct.pack("!H", len(body)) + body

        liar = Liar(make, websocket=True, tls=self.tls)
        status, result, told = self.run_against(liar, *WS[:-1], "40000")
        self.assertEqual((status, told), (0, ""))
        self.assertEqual(result["operations"], 300)

    def test_each_handshake_is_a_new_connection(self):
        for options in (["--tls"], []):
            liar = Liar(lambda head: HELLO, tls=self.tls if options else None)
            with liar as port:
                status, result, told = generate(port, "handshake", "--connections", "3",
                                                "--operations", "60", *options)
            self.assertEqual((status, told), (0, ""))
            self.assertEqual(result["operations"], 60)
            self.assertEqual(liar.accepted, 60)

    def test_wrong_answers(self):
        status, _, told = self.run_against(Liar(lambda head: HELLO.upper(), tls=self.tls), *HTTP)
        self.assertEqual(status, 1)
        self.assertIn("the body is wrong", told)

    def test_plain_answers(self):
        class Plain(Liar):
            def answer_all(self, peer, stream):
                peer.sendall(HELLO)
                stream.read()

        status, _, told = self.run_against(Plain(None), *HTTP)
        self.assertEqual(status, 1)
        self.assertIn("TLS handshake", told)

    def test_an_old_version_is_refused(self):
        old = tls_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        status, _, told = self.run_against(Liar(lambda head: HELLO, tls=old), *HTTP)
        self.assertEqual(status, 1)
        self.assertIn("TLS handshake", told)


class Raw(unittest.TestCase):
    """Messages with nothing around them."""

    ARGUMENTS = ("tcp", "--connections", "3", "--operations", "300", "--payload", "1000")

    def echo(self, change):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve(peer):
            with peer:
                try:
                    while data := peer.recv(65536):
                        peer.sendall(change(data))
                except OSError:
                    pass

        def accept():
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        with listener:
            return generate(listener.getsockname()[1], *self.ARGUMENTS)

    def test_echo(self):
        status, result, told = self.echo(lambda data: data)
        self.assertEqual((status, told), (0, ""))
        self.assertEqual(result["operations"], 300)

    def test_wrong_ones(self):
        status, _, told = self.echo(lambda data: data[:-1] + b"\0")
        self.assertEqual(status, 1)
        self.assertIn("bytes of a message", told)
        status, _, told = self.echo(lambda data: b"f" + data[1:])
        self.assertEqual(status, 1)
        self.assertIn("an echo of something else", told)


AGREED = (b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
          b"server_no_context_takeover\r\n")


def unpacked(body):
    return zlib.decompressobj(-15).decompress(body + b"\0\0\xff\xff")


def packed(body):
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def long_frame(first, body):
    return bytes([first, 126]) + struct.pack("!H", len(body)) + body


class Deflate(unittest.TestCase):
    ARGUMENTS = ("ws", "--connections", "3", "--operations", "300", "--payload", "1024", "--json",
                 "--deflate", "--text")

    def echo(self, make, extension=AGREED):
        with Liar(make, websocket=True, extension=extension) as port:
            return generate(port, *self.ARGUMENTS)

    def refused(self, make, complaint, extension=AGREED):
        status, _, told = self.echo(make, extension)
        self.assertEqual(status, 1)
        self.assertIn(complaint, told)

    def test_echo(self):
        sizes = []

        def make(first, body):
            if first == 0x8a:
                return b""
            self.assertEqual(first, 0xc1)
            sizes.append(len(body))
            text = json.loads("[" + unpacked(body)[20:].decode().split("},", 1)[1]
                              .rpartition(",{")[0] + "]")
            self.assertTrue(text[0]["side"] in ("buy", "sell"))
            return frame(0x89, b"hi") + long_frame(first, packed(unpacked(body)))

        status, result, told = self.echo(make)
        self.assertEqual((status, told), (0, ""))
        self.assertEqual(result["operations"], 300)
        # As JSON of the kind is: to a third or a half.
        self.assertTrue(all(250 < size < 550 for size in sizes), sizes[0])

    def test_byte_by_byte(self):
        class Slow(Liar):
            def answer_all(self, peer, stream):
                super().answer_all(Bytewise(peer), stream)

        class Bytewise:
            def __init__(self, peer):
                self.peer = peer

            def sendall(self, data):
                for i in range(len(data)):
                    self.peer.sendall(data[i:i + 1])

        with Slow(lambda first, body: long_frame(first, body), websocket=True,
                  extension=AGREED) as port:
            status, result, told = generate(port, "ws", "--connections", "2", "--operations",
                                            "20", *self.ARGUMENTS[5:])
        self.assertEqual((status, told), (0, ""))
        self.assertEqual(result["operations"], 20)

    def test_wrong_ones(self):
        self.refused(lambda first, body: long_frame(0x81, unpacked(body)), "not compressed")
        self.refused(lambda first, body: long_frame(first, body[:-1]), "what was compressed")
        self.refused(lambda first, body: long_frame(first, packed(unpacked(body) + b"!")),
                     "what was compressed")
        self.refused(lambda first, body: long_frame(first, packed(unpacked(body)[:-1] + b"!")),
                     "bytes of a message")
        self.refused(lambda first, body: 2 * long_frame(first, body), "something else")

    def test_agreement(self):
        self.refused(None, "was not agreed on", extension=b"")
        with Liar(None, websocket=True, extension=AGREED) as port:
            status, _, told = generate(port, *WS)
        self.assertEqual(status, 1)
        self.assertIn("that was not offered", told)

    def test_belongs_to_websocket(self):
        for arguments in ((*HTTP, "--deflate"), (*HTTP, "--json"), (*UDP, "--tls"),
                          ("handshake", "--depth", "2")):
            self.assertEqual(generate(9, *arguments)[0], 1)


UDP = ("udp", "--connections", "3", "--depth", "4", "--operations", "300", "--payload", "100")


class Datagrams(unittest.TestCase):
    def test_echo(self):
        port = free_port()
        floor = subprocess.Popen([PROGRAMS / "crew_bench_floor", "udp", str(port)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.connect(("127.0.0.1", port))
            peer.settimeout(0.1)
            for _ in range(100):
                try:
                    peer.send(b"there?")
                    peer.recv(10)
                    break
                except OSError:
                    threading.Event().wait(0.05)
        status, result, told = generate(port, *UDP)
        floor.terminate()
        self.assertEqual(floor.wait(10), 0)
        self.assertEqual((status, told), (0, ""))
        self.assertEqual(result["operations"], 300)

    def test_wrong_ones(self):
        for make in (lambda data: [data[:-1]], lambda data: [data + b"x"],
                     lambda data: [data[:-1] + b"!"], lambda data: [data, data],
                     lambda data: [b"f" * 16 + data[16:]], lambda data: [data[:16] + b"ffff"
                                                                         + data[20:]]):
            with LiarUdp(make) as port:
                status, _, told = generate(port, *UDP)
            self.assertEqual(status, 1)
            self.assertIn("an echo", told)

    def test_too_many(self):
        status, _, told = generate(9, "udp", "--connections", "65", "--depth", "2")
        self.assertEqual(status, 1)
        self.assertIn("at most 128 in all", told)


if __name__ == "__main__":
    unittest.main()
