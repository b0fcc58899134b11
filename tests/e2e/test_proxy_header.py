"""The PROXY header before everything that a stream may carry: bytes, lines, frames, WebSockets, and
TLS before any of them. (The header itself, and whom it is taken from: test_edge.py.)"""

import socket
import ssl
import struct
import subprocess

import pytest
from certs import Authority
from clients import Http, Text

pytestmark = pytest.mark.one_engine


def curl(*arguments):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


V2 = b"\r\n\r\n\0\r\nQUIT\n"


def header_v2(extra=b"", length=None):
    body = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8")
    body += struct.pack("!HH", 4711, 80) + extra
    length = len(body) if length is None else length
    return V2 + struct.pack("!BBH", 0x21, 0x11, length) + body


V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n"


@pytest.mark.parametrize("header", [V1, header_v2(b"\x20\0\5\1\0\0\0\0")], ids=["v1", "v2"])
@pytest.mark.parametrize(
    "service, sent, got",
    [
        ("tcp", b"bytes", b"bytes"),
        ("text", b"a line\n", b"a line\n"),
        ("frame", b"\0\0\0\7abc", b"\0\0\0\7abc"),
        ("unix", b"bytes", b"bytes"),
    ],
)
def test_a_header_before_each_protocol(launch, header, service, sent, got):
    program = launch("echo", sets={f"{service}.proxy_protocol": "on"})
    with Text(program.connect(service)) as client:
        client.send(header + sent)
        assert client.read(len(got)) == got
        assert [row["remote"] for row in program.connections()] == ["192.0.2.7:4711"]


def test_a_header_before_a_websocket(launch):
    program = launch("echo", sets={"ws.proxy_protocol": "on"})
    with Http(program.connect("ws")) as client:
        client.send(
            header_v2() + b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            b"\x81\x82\0\0\0\0hi"
        )
        assert b"101" in client.read_until(b"\r\n\r\n")
        assert client.read(4) == b"\x81\x02hi"
        assert [row["remote"] for row in program.connections()] == ["192.0.2.7:4711"]


@pytest.mark.parametrize(
    "header",
    [
        header_v2(length=0xFFFF),  # more than is ever taken
        header_v2(length=4),  # shorter than its own addresses
        header_v2(extra=b"\x04\xff\xff"),  # a part that would run past the end
        header_v2(extra=b"\x04\0"),  # a part without its length
        header_v2(extra=b"\x04\0\1"),  # one that is one byte short
    ],
    ids=["too-long", "too-short", "past-the-end", "no-length", "one-short"],
)
def test_lengths_that_lie(launch, header):
    """Row 34 of the field's bugs: sums of lengths."""
    program = launch("echo", sets={"text.proxy_protocol": "on"})
    with Text(program.connect("text")) as client:
        client.send(header + b"hello\n")
        client.finish()
        assert client.at_end()
    totals = program.wait_empty()
    assert totals["total_request"] == 0


# ---- the same before TLS ----


class TlsBehind:
    """A proxy that hands a client's TLS on: its own header in plain, then the client's records, in
    one piece with the header, or cut anywhere."""

    def __init__(self, sock, header, authority, cut):
        self.sock, self.header, self.cut = sock, header, cut
        context = ssl.create_default_context(cafile=str(authority.ca()))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="edge.example")
        self.call(self.tls.do_handshake)

    def flush(self):
        data, self.header = self.header + self.outgoing.read(), b""
        step = self.cut or len(data) or 1
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])

    def call(self, function, *arguments):
        while True:
            try:
                result = function(*arguments)
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    raise EOFError("the peer has ended") from None
                self.incoming.write(data)

    def ask(self, data):
        self.call(self.tls.write, data)
        return self.call(self.tls.read, 65536)


@pytest.fixture
def authority(tmp_path):
    place = tmp_path / "authority"
    place.mkdir()
    return Authority(place)


def launch_tls(launch, authority, service="line", **sets):
    server = authority.issue(["edge.example"])
    settings = {"tls_cert": server.cert, "tls_key": server.key, "proxy_protocol": "on", **sets}
    return launch("edge", sets={f"{service}.{key}": value for key, value in settings.items()})


@pytest.mark.parametrize("cut", [0, 1, 29], ids=["at-once", "bytes", "pieces"])
@pytest.mark.parametrize("header", [V1, header_v2()], ids=["v1", "v2"])
def test_a_header_before_tls(launch, authority, header, cut):
    program = launch_tls(launch, authority)
    with program.connect("line") as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = TlsBehind(sock, header, authority, cut)
        assert client.call(client.tls.read, 65536) == b"192.0.2.7:4711\n"
        assert client.ask(b"hello\n") == b"hello\n"
        (row,) = program.connections()
        assert (row["remote"], row["transport"]) == ("192.0.2.7:4711", "tls")
    program.wait_empty()


def test_curl_as_a_proxy_before_https(launch, authority):
    program = launch_tls(launch, authority, "web")
    port = program.ports["web"]
    status, answer = curl(
        "--haproxy-protocol", "--cacert", str(authority.ca()),
        "--resolve", f"edge.example:{port}:127.0.0.1", f"https://edge.example:{port}/who",
    )
    assert status == 0 and answer.startswith("127.0.0.1:"), answer


def test_tls_without_the_header(launch, authority):
    program = launch_tls(launch, authority)
    with program.connect("line") as sock:
        with pytest.raises((EOFError, ConnectionError)):
            TlsBehind(sock, b"", authority, 0)
    program.wait_totals("ended for it", lambda t: t["closes_by_reason"]["protocol"] == 1)


def test_a_header_and_no_tls(launch, authority):
    """What comes behind the header is no handshake; or nothing comes."""
    program = launch_tls(launch, authority, handshake_timeout_ms=300)
    with Text(program.connect("line")) as client:
        client.send(V1 + b"hello\n")
        client.read_all()
    with Text(program.connect("line")) as client:
        client.send(V1)
        client.read_all()
    with Text(program.connect("line")) as client:
        client.send(V1)
        client.finish()
        client.read_all()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["handshake"] == 3, totals["closes_by_reason"]
    assert totals["total_request"] == 0


def test_clients_are_counted_before_tls(launch, authority):
    """Whose connection it is, is known before a handshake is paid for."""
    program = launch_tls(launch, authority, max_connections_per_ip=1)
    with program.connect("line") as first, program.connect("line") as second:
        client = TlsBehind(first, V1, authority, 0)
        assert client.call(client.tls.read, 65536) == b"192.0.2.7:4711\n"
        with pytest.raises((EOFError, ConnectionError)):
            TlsBehind(second, V1, authority, 0)
        assert program.wait_totals("refused", lambda t: t["refused_ip"] == 1)
