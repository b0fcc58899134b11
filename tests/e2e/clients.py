"""Clients that speak the simple protocols, and HTTP, over a plain socket."""

import socket
import string
import struct

ALPHABET = string.ascii_lowercase * 45000


class Stream:
    """A socket with a buffer before it. EOFError is the peer's end, ConnectionError a reset."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def send_slowly(self, data):
        """Each byte by itself, so that each arrives alone."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(data)):
            self.sock.sendall(data[at : at + 1])

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError("the peer has ended")
        self.buffer += data

    def take(self, size):
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read(self, size):
        if len(self.buffer) < size:
            # Large reads gather pieces in a list: appending to bytes is quadratic.
            pieces, missing = [self.buffer], size - len(self.buffer)
            self.buffer = b""
            while missing > 0:
                piece = self.sock.recv(262144)
                if not piece:
                    self.buffer = b"".join(pieces)
                    raise EOFError("the peer has ended")
                pieces.append(piece)
                missing -= len(piece)
            self.buffer = b"".join(pieces)
        return self.take(size)

    def read_until(self, mark):
        looked = 0
        while True:
            at = self.buffer.find(mark, looked)
            if at >= 0:
                return self.take(at + len(mark))
            looked = max(0, len(self.buffer) - len(mark) + 1)
            self.fill()

    def read_all(self):
        """To the end of the stream; a reset counts as an end."""
        try:
            while True:
                self.fill()
        except (EOFError, ConnectionError):
            return self.take(len(self.buffer))

    def at_end(self):
        """True when nothing more comes: the next thing is the end."""
        return not self.buffer and self.read_all() == b""

    def finish(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Raw(Stream):
    """No protocol: what was sent is expected back, cut anywhere."""

    def send_message(self, body):
        self.send(body)

    def read_message(self, size=None):
        return self.read(size)


class Text(Stream):
    """Lines."""

    def send_message(self, body):
        self.send(body + b"\n")

    def read_message(self, _size=None):
        return self.read_until(b"\n")[:-1]

    def ask(self, line):
        self.send_message(line.encode())
        return self.read_message().decode()


class Frame(Stream):
    """Four bytes of total length before each body."""

    @staticmethod
    def encode(body):
        return struct.pack("!I", len(body) + 4) + body

    def send_message(self, body):
        self.send(self.encode(body))

    def read_message(self, _size=None):
        length = struct.unpack("!I", self.read(4))[0]
        return self.read(length - 4)


class Netstring(Stream):
    @staticmethod
    def encode(body):
        return b"%d:%s," % (len(body), body)

    def send_message(self, body):
        self.send(self.encode(body))

    def read_message(self, _size=None):
        length = int(self.read_until(b":")[:-1])
        body = self.read(length + 1)
        assert body[-1:] == b","
        return body[:-1]


class Response:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Http(Stream):
    def get(self, target, method="GET", more=""):
        self.send(f"{method} {target} HTTP/1.1\r\nHost: test\r\n{more}\r\n".encode())
        return self.read_response(head_only=method == "HEAD")

    def post(self, target, body, more=""):
        head = f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.send(head.encode() + body)
        return self.read_response()

    def read_response(self, head_only=False):
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _phrase = (lines[0] + " ").split(" ", 2)
        assert version == "HTTP/1.1", lines[0]
        fields = {}
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            assert colon, line
            fields[name.lower()] = value.strip()
        status = int(status)
        has_body = not head_only and status >= 200 and status not in (204, 304)
        body = self.read(int(fields["content-length"])) if has_body else b""
        return Response(status, fields, body)


# ---- the program `push`: numbered messages ----


def numbered(body):
    """The number of a message of `push`, having checked every byte of it."""
    text = body.decode("ascii")
    digits = text.partition(" ")[0]
    number, begins = int(digits), len(digits) + 1
    expected = ALPHABET[(number + begins) % 26 :][: len(text) - begins]
    assert text[begins:] == expected, f"message {number} is torn"
    return number


class Told:
    """Mixed into a client of `push`: answers (`= …`) apart from numbered messages."""

    def setup(self):
        self.numbers = []

    def take_message(self):
        """One message. An answer is returned, a number is noted and None returned."""
        body = self.read_message()
        if body[:2] == b"= ":
            return body[2:].decode()
        self.numbers.append(numbered(body))
        return None

    def ask(self, command):
        self.send_message(command.encode())
        while True:
            answer = self.take_message()
            if answer is not None:
                return answer

    def read_numbers(self, count):
        """Until `count` numbers have come."""
        while len(self.numbers) < count:
            self.take_message()

    def identity(self):
        return self.ask("id")


class PushFrame(Told, Frame):
    def __init__(self, sock):
        super().__init__(sock)
        self.setup()
