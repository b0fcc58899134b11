"""A WebSocket client that can do everything wrong."""

import base64
import hashlib
import os
import struct
import zlib

from clients import Stream, Told

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = base64.b64encode(b"sixteen bytes --").decode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def upgrade(path="/", key=KEY, version="13", more="", drop=(), first=None):
    """The bytes of a handshake. `drop` leaves fields out by name."""
    fields = {
        "Host": "test", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": version,
    }
    lines = [first or f"GET {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if name not in drop]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode("latin-1")


def mask_bytes(payload, key):
    if not payload:
        return b""
    pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return both.to_bytes(len(payload), "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, form=None, claim=None, key=None):
    """One frame. `form` forces the length's form (7, 16, 64), `claim` lies about the length."""
    length = len(payload) if claim is None else claim
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = 0x80 if mask else 0
    if form == 7:
        head = bytes([first, second | length])
    elif form == 16:
        head = struct.pack("!BBH", first, second | 126, length)
    else:
        head = struct.pack("!BBQ", first, second | 127, length)
    if not mask:
        return head + payload
    key = os.urandom(4) if key is None else key
    return head + key + mask_bytes(payload, key)


def deflate(data):
    """A message as permessage-deflate sends it (RFC 7692 section 7.2.1), by itself."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (maker.compress(data) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data):
    return zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff")


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class WebSocket(Stream):
    """After construction the handshake is done, unless `shake` is False."""

    def __init__(self, sock, shake=True, **how):
        super().__init__(sock)
        self.pongs = []
        self.answer_pings = True
        self.close_code = None
        self.packs = False  # compression was agreed on, each message by itself
        if shake:
            self.shake(**how)

    def shake(self, **how):
        self.send(upgrade(**how))
        self.check_shake(offered="Extensions" in how.get("more", ""))

    def check_shake(self, key=KEY, offered=False):
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        assert head.startswith("HTTP/1.1 101 "), head
        assert f"sec-websocket-accept: {accept_of(key)}".lower() in head.lower(), head
        self.packs = "sec-websocket-extensions: permessage-deflate" in head.lower()
        assert offered or not self.packs, head

    def send_frame(self, opcode, payload=b"", **how):
        self.send(frame(opcode, payload, **how))

    def send_message(self, body):
        self.send_frame(TEXT, body)

    def send_binary(self, body):
        self.send_frame(BINARY, body)

    def read_frame(self):
        """(opcode, payload) of the next frame, whatever it is; the server's must be whole."""
        first, second = self.read(2)
        assert first & 0x80, "the server sent a fragment"
        assert not first & (0x30 if self.packs else 0x70), "the server set a reserved bit"
        assert not second & 0x80, "the server masked a frame"
        length = second
        if length == 126:
            length = struct.unpack("!H", self.read(2))[0]
            assert length >= 126, "length not in its shortest form"
        elif length == 127:
            length = struct.unpack("!Q", self.read(8))[0]
            assert length >= 65536, "length not in its shortest form"
        payload = self.read(length)
        return first & 0x0F, inflate(payload) if first & 0x40 else payload

    def read_any(self):
        """As read_frame, with pings answered and pongs noted on the way."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == PING:
                if self.answer_pings:
                    self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            else:
                return opcode, payload

    def read_message(self, _size=None):
        opcode, payload = self.read_any()
        assert opcode in (TEXT, BINARY), (opcode, payload)
        return payload

    def read_close(self):
        """The code of the server's close, messages before it thrown away; 1005 when it has none."""
        while True:
            opcode, payload = self.read_any()
            if opcode == CLOSE:
                self.close_code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                self.close_reason = payload[2:]
                return self.close_code

    def leave(self, code=1000):
        """Close in good order and see the connection end."""
        self.send_frame(CLOSE, close_payload(code))
        self.read_close()
        assert self.at_end()
        self.close()


class PushWs(Told, WebSocket):
    def __init__(self, sock, **how):
        super().__init__(sock, **how)
        self.setup()
