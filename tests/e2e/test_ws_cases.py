"""The table of WebSocket cases against a running server that echoes, and against clients that do:
each whole and byte by byte, over TCP and TLS, many at the same time."""

import re
import selectors
import socket
import ssl
import time

import pytest
from certs import Authority
from wscases import Answers, read_table
from wsclient import KEY, accept_of, frame, upgrade

pytestmark = pytest.mark.one_engine

CASES = read_table()
BYTES_MOST = 300  # of a longer stream, so many at both ends come one by one
# Fewer than a worker has inflaters to lend (src/proto/deflate.h): beyond that, what is compressed is
# looked at when it is whole.
TOGETHER = 40
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def whole(data):
    yield data


def one_by_one(data):
    head, tail = data[:BYTES_MOST], data[max(BYTES_MOST, len(data) - BYTES_MOST):]
    middle = data[len(head) : len(data) - len(tail)]
    yield from (head[at : at + 1] for at in range(len(head)))
    if middle:
        yield middle
    yield from (tail[at : at + 1] for at in range(len(tail)))


WAYS = {"whole": whole, "bytes": one_by_one}


class Peer:
    """One case on a connection of its own, as a client."""

    client = True

    def __init__(self, case, sock, pieces):
        self.case, self.sock = case, sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.ended = b"", False
        self.agreed = ""
        self.shake()
        sock.setblocking(False)
        data = case.sent(self.client)
        if not (case.ends or case.open):
            data += frame(8, b"\x03\xe8", mask=self.client)
        self.pieces = pieces(data)
        self.rest = b""

    def read_head(self):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.sock.recv(1)
            if not data:
                raise EOFError(head)
            head += data
        return head.decode("latin-1")

    def shake(self):
        self.sock.sendall(upgrade(more=OFFER if self.case.deflate else ""))
        text = self.read_head().lower()
        assert text.startswith("http/1.1 101 ") and accept_of(KEY).lower() in text
        extensions = re.findall(r"sec-websocket-extensions: (.*)\r\n", text)
        self.agreed = extensions[0] if extensions else ""
        assert self.agreed.startswith("permessage-deflate") == self.case.deflate, self.agreed

    def read(self):
        try:
            while not self.ended:
                data = self.sock.recv(65536)
                self.received += data
                self.ended = not data
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except (ConnectionResetError, ssl.SSLError):
            self.ended = True

    def send(self):
        try:
            self.rest = self.rest[self.sock.send(self.rest):]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.rest = b""
            self.pieces = iter(())

    def write(self):
        """The next piece. False: there is none, or nobody wants it."""
        self.read()
        if not self.rest:
            self.rest = next(self.pieces, b"")
        if self.ended or not self.rest:
            return False
        self.send()
        return True

    def wanted(self):
        return self.case.answers() + ([] if self.case.ends else [("close", 1000)])

    def answers(self):
        """What has come; whether windows stay was agreed on as the case needs it."""
        ours, theirs = ("client", "server") if self.client else ("server", "client")
        if self.case.takeover:
            assert f"{ours}_no_context_takeover" not in self.agreed
        if self.case.shared:
            assert f"{ours}_no_context_takeover" in self.agreed
        takeover = f"{theirs}_no_context_takeover" not in self.agreed
        return Answers(self.received, not self.client, self.case.deflate, takeover)

    def check(self):
        answers = self.answers()
        assert list(answers.messages()) == self.wanted()
        assert self.ended
        return answers.compressed


class Host(Peer):
    """The same as the server. It ends the connection when it has heard the goodbye."""

    client = False

    def shake(self):
        text = self.read_head()
        assert text.startswith("GET /cases HTTP/1.1\r\n"), text
        key, = re.findall(r"sec-websocket-key: (.*)\r\n", text, re.IGNORECASE)
        offer, = re.findall(r"sec-websocket-extensions: (.*)\r\n", text, re.IGNORECASE)
        assert offer.startswith("permessage-deflate")
        if self.case.deflate:
            resets = "; server_no_context_takeover; client_no_context_takeover"
            self.agreed = "permessage-deflate" + ("" if self.case.takeover else resets)
        fields = f"Sec-WebSocket-Extensions: {self.agreed}\r\n" if self.agreed else ""
        self.sock.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(key)}\r\n{fields}\r\n".encode())

    def read(self):
        before = len(self.received)
        super().read()
        if len(self.received) == before or self.ended:
            return
        try:
            self.ended = [kind for kind, _ in self.answers().messages()][-1:] == ["close"]
        except AssertionError:
            pass  # half a frame, or a fault that check() will see


def run(peers):
    """A piece of each in turn, so that none of two pieces arrive together; then all to their end."""
    writing = list(peers)
    deadline = time.monotonic() + 100
    while writing and time.monotonic() < deadline:
        writing = [one for one in writing if one.write()]
    assert not writing, f"not taken: {[one.case.name for one in writing]}"
    with selectors.DefaultSelector() as selector:
        for one in peers:
            one.read()
            if not one.ended and not one.case.open:
                selector.register(one.sock, selectors.EVENT_READ, one)
        deadline = time.monotonic() + 30
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                key.data.read()
                if key.data.ended:
                    selector.unregister(key.fileobj)
        late = [key.data.case.name for key in selector.get_map().values()]
    assert not late, f"no end came: {late}"


def judge(peers):
    """How many messages came compressed."""
    wrong, compressed = [], 0
    for one in peers:
        if one.case.open:
            one.read()
            assert not one.received and not one.ended, one.case.name
            continue
        try:
            compressed += one.check()
        except AssertionError as failure:
            wrong.append(f"line {one.case.number}: {one.case.line[:150]}\n  {failure}\n"
                         f"  got {one.received[:200]!r}")
    assert not wrong, f"{len(wrong)} cases:\n" + "\n".join(wrong[:20])
    return compressed


def run_cases(cases, make, way):
    """`make` is given a case and how it is cut."""
    compressed = 0
    for start in range(0, len(cases), TOGETHER):
        peers = []
        try:
            for case in cases[start : start + TOGETHER]:
                peers.append(make(case, WAYS[way]))
            run(peers)
            compressed += judge(peers)
        finally:
            for one in peers:
                one.sock.close()
    return compressed


def choose(role):
    cases = [case for case in CASES if role in case.roles]
    return {
        "shared": [case for case in cases if not case.takeover],
        "own": [case for case in cases if case.deflate and not case.shared],
        # There half a message is echoed already, and none is too long.
        "parts": [case for case in cases if not (case.too_long or case.takeover or case.open)],
    }


SERVER, CLIENT = choose("server"), choose("client")


def test_the_table_is_there():
    assert len(CASES) >= 250
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(len(cases) >= 100 for cases in [*SERVER.values(), *CLIENT.values()])


@pytest.fixture(scope="module", name="server")
def server_pair(tmp_path_factory):
    """A certificate, and who vouches for it."""
    authority = Authority(tmp_path_factory.mktemp("certs"))
    return authority.issue(["127.0.0.1"]), authority.ca()


# ---- ours is the server ----


@pytest.fixture(scope="module", name="plain")
def plain_program(launch_once):
    return launch_once("wscases")


@pytest.fixture(scope="module", name="secure")
def secure_program(launch_once, server):
    sets, listens = {}, {}
    for name in SERVER:
        sets[f"{name}.tls_cert"], sets[f"{name}.tls_key"] = server[0].cert, server[0].key
        listens[name] = "wss://127.0.0.1:{port}"
    return launch_once("wscases", sets=sets, listens=listens)


def run_server(program, service, way, wrap=lambda sock: sock):
    compressed = run_cases(
        SERVER[service], lambda case, cut: Peer(case, wrap(program.connect(service)), cut), way)
    program.wait_empty()
    assert service == "parts" or compressed >= 10


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", SERVER)
def test_each_case(plain, service, way):
    run_server(plain, service, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", SERVER)
def test_each_case_over_tls(secure, server, service, way):
    context = ssl.create_default_context(cafile=str(server[1]))
    run_server(secure, service, way,
               lambda sock: context.wrap_socket(sock, server_hostname="127.0.0.1"))


def test_the_laws_hold(plain, secure):
    for program in (plain, secure):
        program.wait_empty()
        program.lawful()


# ---- ours is the client ----


class Door:
    """Where the callers of one program come to: a socket for each of its services."""

    def __init__(self, launch_once, context=None, authority=None):
        self.context = context
        self.socks = {name: socket.create_server(("127.0.0.1", 0), backlog=200) for name in CLIENT}
        scheme = "wss" if context else "ws"
        sets = {f"app.{name}": f"{scheme}://127.0.0.1:{sock.getsockname()[1]}/cases"
                for name, sock in self.socks.items()}
        if authority:
            sets["app.ca"] = authority
        self.program = launch_once("wscaller", sets=sets)

    def take(self, service, case, cut):
        """The next that calls; one that gave up while nobody answered is none."""
        self.socks[service].settimeout(20)
        while True:
            sock, _ = self.socks[service].accept()
            sock.settimeout(20)
            try:
                if self.context:
                    sock = self.context.wrap_socket(sock, server_side=True)
                return Host(case, sock, cut)
            except (EOFError, ConnectionResetError, ssl.SSLError):
                sock.close()

    def run(self, service, way):
        compressed = run_cases(
            CLIENT[service], lambda case, cut: self.take(service, case, cut), way)
        assert service == "parts" or compressed >= 10


@pytest.fixture(scope="module", name="door")
def plain_door(launch_once):
    return Door(launch_once)


@pytest.fixture(scope="module", name="secure_door")
def tls_door(launch_once, server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server[0].cert, server[0].key)
    return Door(launch_once, context, server[1])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", CLIENT)
def test_each_case_as_a_client(door, service, way):
    door.run(service, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", CLIENT)
def test_each_case_as_a_client_over_tls(secure_door, service, way):
    secure_door.run(service, way)


def test_the_laws_hold_of_clients(door, secure_door):
    for one in (door, secure_door):
        one.program.lawful()
