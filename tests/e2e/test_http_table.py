"""The table of raw requests (tests/data/http_requests.txt, where its form is explained) against a
running server: each row whole, byte by byte and behind a good request, all rows at the same time.
The program `told` answers with what it understood, so what is compared is not only the status."""

import re
import selectors
import socket
import time
from pathlib import Path

import pytest

TABLE = Path(__file__).resolve().parents[1] / "data" / "http_requests.txt"
FIRST = b"GET /first HTTP/1.1\r\nHost: first\r\n\r\n"
FIRST_TOLD = b"GET /first first 11 1 []"
LAST = b"GET /last HTTP/1.1\r\nHost: last\r\nConnection: close\r\n\r\n"
LAST_TOLD = b"GET /last last 11 close 2 []"
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
PIECES = re.compile(r"\\\{(?P<text>.*?)\*(?P<times>\d+)\}|\\x(?P<hex>..)|\\(?P<name>.)|(?P<char>.)")
BYTES_MOST = 400  # of a longer request, so many at both ends come one by one


def expand(text):
    out = []
    for piece in PIECES.finditer(text):
        if piece["times"]:
            out.append(expand(piece["text"]) * int(piece["times"]))
        elif piece["hex"]:
            out.append(bytes([int(piece["hex"], 16)]))
        elif piece["name"]:
            out.append(ESCAPES[piece["name"]])
        else:
            out.append(b"\r\n" if piece["char"] == "~" else piece["char"].encode())
    return b"".join(out)


class Row:
    def __init__(self, number, line):
        self.number, self.line = number, line
        self.section, status, told, request = line.split(" | ", 3)
        self.status = int(status)
        self.request = expand(request)
        # Whether 100-continue was expected is seen by the answer to it.
        self.told = expand(told).replace(b" expect ", b" ")
        self.stays = self.status == 200 and b" close " not in self.told

    def answers(self, behind):
        """Status and body of each answer that is to come, None where there is no saying."""
        wanted = [(200, FIRST_TOLD)] if behind else []
        if self.status:
            body = self.told if self.status < 400 else None
            wanted.append((self.status, b"" if self.told.startswith(b"HEAD ") else body))
        return wanted + ([(200, LAST_TOLD)] if self.stays else [])

    def sent(self, behind):
        return (FIRST if behind else b"") + self.request + (LAST if self.stays else b"")


def read_table():
    lines = TABLE.read_text(encoding="ascii").splitlines()
    return [Row(number, line) for number, line in enumerate(lines, 1)
            if line and not line.startswith("#")]


ROWS = read_table()


class Exchange:
    """One row on a connection of its own."""

    def __init__(self, row, program, service, behind, pieces):
        self.row, self.behind = row, behind
        self.sock = program.connect(service)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.pieces = pieces(row.sent(behind))
        self.received, self.ended = b"", False

    def read(self):
        try:
            while not self.ended:
                data = self.sock.recv(65536)
                self.received += data
                self.ended = not data
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True

    def write(self):
        """The next piece. False: there is none, or nobody wants it."""
        self.read()
        piece = None if self.ended else next(self.pieces, None)
        try:
            if piece is not None:
                assert self.sock.send(piece) == len(piece)
            elif not self.ended and self.row.status == 0:
                self.sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            piece = None
        return piece is not None

    def answers(self):
        """(status, fields, body) of each answer that has come, interim ones left out."""
        found, rest = [], self.received
        methods = [b"GET"] * self.behind + [self.row.told[:4]]
        while rest:
            head, blank, rest = rest.partition(b"\r\n\r\n")
            assert blank, f"half a head: {head!r}"
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            fields = {name.lower(): value for name, value in
                      (line.split(": ", 1) for line in lines[1:])}
            if status == 100:
                assert self.row.told != b"-" or self.row.status == 413
                continue
            empty = methods[len(found) : len(found) + 1] == [b"HEAD"]
            size = 0 if empty else int(fields["content-length"])
            found.append((status, fields, rest[:size]))
            assert len(rest) >= size
            rest = rest[size:]
        return found

    def check(self):
        answers = self.answers()
        wanted = self.row.answers(self.behind)
        assert [status for status, _, _ in answers] == [status for status, _ in wanted]
        for (_, fields, body), (_, told) in zip(answers, wanted):
            assert told is None or body == told
        if answers and self.row.status:
            assert answers[-1][1].get("connection") == "close" or b" 10 " in self.row.told


def whole(data):
    yield data


def one_by_one(data):
    ends = len(data) > 2 * BYTES_MOST
    head, middle, tail = (
        (data[:BYTES_MOST], data[BYTES_MOST:-BYTES_MOST], data[-BYTES_MOST:]) if ends
        else (data, b"", b"")
    )
    yield from (head[at : at + 1] for at in range(len(head)))
    if middle:
        yield middle
    yield from (tail[at : at + 1] for at in range(len(tail)))


def run(exchanges):
    """A piece of each in turn, so that none of two pieces arrive together; then all to their end."""
    writing = list(exchanges)
    while writing:
        writing = [one for one in writing if one.write()]
    with selectors.DefaultSelector() as selector:
        for one in exchanges:
            if not one.ended:
                selector.register(one.sock, selectors.EVENT_READ, one)
        deadline = time.monotonic() + 20
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                key.data.read()
                if key.data.ended:
                    selector.unregister(key.fileobj)
        late = [key.data.row.line for key in selector.get_map().values()]
    assert not late, f"no end came: {late}"


def judge(exchanges):
    wrong = []
    for one in exchanges:
        try:
            one.check()
        except (AssertionError, KeyError, ValueError, IndexError) as failure:
            text = one.received[:300]
            wrong.append(f"line {one.row.number}: {one.row.line[:150]}\n  {failure}\n  got {text!r}")
    assert not wrong, f"{len(wrong)} rows:\n" + "\n".join(wrong[:20])


WAYS = {"whole": (False, whole), "bytes": (False, one_by_one), "behind": (True, whole),
        "behind, bytes": (True, one_by_one)}


@pytest.fixture(scope="module", name="told")
def told_program(launch_once):
    return launch_once("told")


def test_the_table_is_there():
    assert len(ROWS) >= 220
    assert {row.status for row in ROWS} >= {0, 200, 400, 413, 414, 417, 431, 501, 505}


@pytest.mark.parametrize("way", WAYS)
def test_each_row(told, way):
    """The right answers and the right end; of what is refused the handler hears nothing."""
    behind, pieces = WAYS[way]
    before = told.wait_empty()
    exchanges = [Exchange(row, told, "whole", behind, pieces) for row in ROWS]
    try:
        run(exchanges)
    finally:
        for one in exchanges:
            one.sock.close()
    judge(exchanges)
    after = told.wait_empty()
    heard = sum(status == 200 for row in ROWS for status, _ in row.answers(behind))
    assert after["requests"] - before["requests"] == heard


@pytest.mark.parametrize("way", WAYS)
def test_each_body_in_parts(told, way):
    """The same of bodies that are not gathered: for a handler it makes no difference."""
    behind, pieces = WAYS[way]
    rows = [row for row in ROWS if row.request.startswith(b"POST /")]
    assert len(rows) > 100
    exchanges = [Exchange(row, told, "parts", behind, pieces) for row in rows]
    try:
        run(exchanges)
    finally:
        for one in exchanges:
            one.sock.close()
    judge(exchanges)
    told.wait_empty()


def test_a_form_of_parts_has_trailers(told):
    form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    with told.connect("whole") as sock:
        sock.sendall(
            b"POST /form HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\nDigest: y\r\nHost: b\r\n\r\n" % (len(form), form)
        )
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.endswith(b"POST /form a 11 close 4 []{Digest=y}")


def test_the_limit_of_a_head_is_a_setting(launch):
    """max_head: of the whole head (431) and of the request line (414), which never has over 8 KiB."""
    def request(target, head):
        start = b"GET /" + b"q" * target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX:"
        return start + b"v" * (head - len(start) - 4) + b"\r\n\r\n"

    def status(sock, data):
        with sock:
            sock.sendall(data)
            return int(sock.recv(100).split(b" ")[1])

    program = launch("told", sets={"whole.max_head": "2k", "parts.max_head": "100k"})
    for service, target, head, wanted in (
        ("whole", 10, 2048, 200), ("whole", 10, 2049, 431), ("whole", 2100, 2300, 414),
        ("parts", 10, 100 * 1024, 200), ("parts", 10, 100 * 1024 + 1, 431),
        ("parts", 8100, 9000, 200), ("parts", 8200, 9000, 414),
    ):
        got = status(program.connect(service), request(target, head))
        assert got == wanted, (service, target, head)
