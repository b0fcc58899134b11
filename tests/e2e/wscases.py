"""The table of WebSocket cases (tests/data/ws_cases.txt, where its form is explained): what a peer
sends in either role, and what an echo of ours has to answer."""

import re
import struct
import zlib
from pathlib import Path

from wsclient import BINARY, CLOSE, CONT, PING, PONG, TEXT, mask_bytes

TABLE = Path(__file__).resolve().parents[1] / "data" / "ws_cases.txt"
FRAME = re.compile(r"<(?P<raw>[0-9A-Fa-f]*)>|(?P<byte0>[0-9A-F]{2})(?P<shape>[a-zA-Z0-9]*)"
                   r"\((?P<payload>[^()]*)\)(?:\*(?P<times>\d+))?")
SHAPE = re.compile(r"w(?P<width>\d+)|n(?P<len>\d+)|m(?P<mask>[0-9A-F]{8})|(?P<wrong>u)")
PIECES = re.compile(r"\\\{(?P<text>.*?)\*(?P<times>\d+)\}|\\x(?P<hex>..)|(?P<char>.)")
MASK = bytes.fromhex("9D21F308")
NO_CODE = 1005


def expand(text):
    out = []
    for piece in PIECES.finditer(text):
        if piece["times"]:
            out.append(expand(piece["text"]) * int(piece["times"]))
        elif piece["hex"]:
            out.append(bytes([int(piece["hex"], 16)]))
        else:
            out.append(piece["char"].encode())
    return b"".join(out)


def frame_of(byte0, shape, payload, client):
    """`client`: the one that sends is."""
    length, width, mask, masked = len(payload), None, MASK, client
    for one in SHAPE.finditer(shape):
        if one["width"]:
            width = int(one["width"])
        elif one["len"]:
            length = int(one["len"])
        elif one["mask"]:
            mask = bytes.fromhex(one["mask"])
        else:
            masked = not masked
    if width is None:
        width = 0 if length < 126 else 2 if length < 65536 else 8
    head = bytes([byte0, masked << 7 | (length if width == 0 else 126 if width == 2 else 127)])
    head += length.to_bytes(width, "big") if width else b""
    return head + (mask + mask_bytes(payload, mask) if masked else payload)


class Case:
    def __init__(self, number, line):
        self.number, self.line = number, line
        self.section, self.name, options, self.frames, events = line.split(" | ")
        words = set(options.split(" "))
        self.roles = {"server", "client"} & words or {"server", "client"}
        self.deflate, self.takeover = "deflate" in words, "takeover" in words
        self.shared, self.open = "shared" in words, "open" in words
        self.events = [] if events == "-" else events.rstrip(";").split(";")
        self.ends = bool(self.events) and self.events[-1].split(" ")[0] in ("close", "bad")
        self.too_long = self.events[-1:] == ["bad 1009"]

    def sent(self, client):
        """What the peer sends, who is the client or not."""
        out = []
        for one in FRAME.finditer(self.frames):
            if one["raw"] is not None:
                out.append(bytes.fromhex(one["raw"]))
            else:
                out.append(frame_of(int(one["byte0"], 16), one["shape"], expand(one["payload"]),
                                    client) * int(one["times"] or 1))
        return b"".join(out)

    def answers(self):
        """What an echo answers: (kind, body as the table writes it, or the code)."""
        wanted = []
        for event in self.events:
            word, _, body = event.partition(" ")
            if word in ("text", "msg"):
                wanted.append((word, body))
            elif word == "ping":
                wanted.append(("pong", body))
            elif word in ("close", "bad"):
                wanted.append(("close", int(body.split(" ")[0])))
        return wanted


def read_table():
    lines = TABLE.read_text(encoding="ascii").splitlines()
    return [Case(number, line) for number, line in enumerate(lines, 1)
            if line and not line.startswith("#")]


def shown(body):
    """As the table writes a body."""
    if len(body) > 48:
        return f"#{len(body)}:{zlib.crc32(body):08x}"
    plain = [0x20 < byte < 0x7F and chr(byte) not in "\\()|{}*;#" for byte in body]
    return "".join(chr(byte) if is_plain else f"\\x{byte:02X}"
                   for byte, is_plain in zip(body, plain))


class Answers:
    """What came of ours, taken apart; anything that breaks a rule of the RFCs is an AssertionError.
    `client`: ours is the client. `takeover`: its window stays."""

    def __init__(self, data, client, deflate=False, takeover=False):
        self.data, self.client, self.deflate, self.takeover = data, client, deflate, takeover
        self.inflater = zlib.decompressobj(-15)
        self.compressed = 0  # so many messages were

    def take(self, count):
        assert len(self.data) >= count, f"half a frame: {self.data[:20]!r}"
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def frame(self):
        first, second = self.take(2)
        assert not first & 0x30, "a reserved bit is set"
        assert bool(second & 0x80) == self.client, "masked as it must not be"
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self.take(2))[0]
            assert length >= 126
        elif length == 127:
            length = struct.unpack("!Q", self.take(8))[0]
            assert length >= 65536
        key = self.take(4) if self.client else None
        payload = self.take(length)
        return first, mask_bytes(payload, key) if key else payload

    def inflate(self, payload):
        if not self.takeover:
            self.inflater = zlib.decompressobj(-15)
        self.compressed += 1
        return self.inflater.decompress(payload + b"\0\0\xff\xff")

    def messages(self):
        """(kind, body) as Case.answers() has them."""
        opcode, packed, gathered = None, False, b""
        while self.data:
            first, payload = self.frame()
            kind = first & 0x0F
            if kind >= CLOSE:
                assert first & 0xC0 == 0x80 and len(payload) <= 125
                yield self.control(kind, payload)
                continue
            assert (kind == CONT) == (opcode is not None), "fragments out of order"
            if kind != CONT:
                opcode, packed, gathered = kind, bool(first & 0x40), b""
                assert self.deflate or not packed
            else:
                assert not first & 0x40
            gathered += payload
            if first & 0x80:
                body = self.inflate(gathered) if packed else gathered
                yield {TEXT: "text", BINARY: "msg"}[opcode], shown(body)
                opcode = None

    @staticmethod
    def control(kind, payload):
        if kind == CLOSE:
            return "close", struct.unpack("!H", payload[:2])[0] if payload else NO_CODE
        return {PING: "ping", PONG: "pong"}[kind], shown(payload)
