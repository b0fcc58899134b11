"""Echo over every protocol: what goes in comes out, whole and in order, however it is cut."""

import socket
import threading

import laws
import pytest
from clients import Frame, Netstring, Raw, Text
from wsclient import WebSocket

CLIENTS = {"tcp": Raw, "text": Text, "frame": Frame, "ws": WebSocket, "unix": Raw}
ALL = list(CLIENTS)
FRAMED = ["text", "frame", "ws"]


@pytest.fixture(scope="module")
def echo(launch_once):
    return launch_once("echo")


def client_of(program, service):
    return CLIENTS[service](program.connect(service))


def letters(size):
    return bytes(97 + i % 26 for i in range(2600)) * (size // 2600 + 1)


@pytest.mark.parametrize("service", ALL)
def test_messages_come_back_in_order(echo, service):
    with client_of(echo, service) as client:
        bodies = [b"one", b"x" * 124, b"x" * 125, b"x" * 126, b"y" * 127, b"z" * 20000]
        for body in bodies:
            client.send_message(body)
            assert client.read_message(len(body)) == body
        for body in bodies:
            client.send_message(body)
        assert [client.read_message(len(body)) for body in bodies] == bodies


@pytest.mark.parametrize("service", ALL)
def test_large_message(echo, service):
    # Less than half of max_send_buffer: a raw stream is echoed while it comes, to a client that
    # does not read yet, and beyond that crew would stop reading.
    body = letters(500_000)[:500_000]
    with client_of(echo, service) as client:
        client.send_message(body)
        assert client.read_message(len(body)) == body


@pytest.mark.parametrize("service", ALL)
def test_echo_needs_no_care(echo, service):
    """A peer that sends without end before it reads: nothing is lost, nothing grows."""
    body, times = letters(60_000)[:60_000], 150
    with client_of(echo, service) as client:
        sender = threading.Thread(
            target=lambda: [client.send_message(body) for _ in range(times)], daemon=True
        )
        sender.start()
        sender.join(0.3)  # long enough to fill every buffer on the way, if it blocks at all
        for _ in range(times):
            assert client.read_message(len(body)) == body
        sender.join(20)
    laws.no_losses(echo.lawful())


@pytest.mark.parametrize("service", ["tcp", "text", "frame", "ws"])
def test_byte_by_byte(echo, service):
    with client_of(echo, service) as client:
        send, client.send = client.send, client.send_slowly
        for body in (b"a", b"slowly, slowly", b"b" * 300):
            client.send_message(body)
            assert client.read_message(len(body)) == body
        client.send = send


@pytest.mark.parametrize("service", ["tcp", "text", "frame", "unix"])
def test_half_close(echo, service):
    """All the data, then the end of our side: everything comes back, then the end of theirs. It is
    no more than crew keeps for a peer that does not read yet: then it stops reading itself."""
    body = letters(20_000)[:20_000]
    with client_of(echo, service) as client:
        for _ in range(20):
            client.send_message(body)
        client.finish()
        for _ in range(20):
            assert client.read_message(len(body)) == body
        assert client.at_end()


def test_ipv6(launch):
    program = launch("echo", listens={"tcp": "tcp://[::1]:{port}"})
    with Raw(program.connect("tcp")) as client:
        client.send(b"over six")
        assert client.read(8) == b"over six"
        rows = [row for row in program.connections() if row["service"] == "tcp"]
        assert rows[0]["remote"] == f"[::1]:{client.sock.getsockname()[1]}"
        assert rows[0]["local"] == f"[::1]:{program.ports['tcp']}"


def test_every_address(launch):
    """An empty host listens on IPv4 and IPv6 alike; `connections` shows IPv4 as IPv4."""
    program = launch("echo", listens={"tcp": "tcp://:{port}"})
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, program.ports["tcp"]), 10) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
            shown = f"[{host}]" if ":" in host else host
            rows = [row["remote"] for row in program.connections() if row["service"] == "tcp"]
            assert rows == [f"{shown}:{sock.getsockname()[1]}"]
        program.wait_empty()


def test_connections_tell(echo):
    """Each connection's record: transport, protocol, addresses, bytes."""
    with client_of(echo, "unix") as one, client_of(echo, "ws") as two:
        one.send(b"12345")
        assert one.read(5) == b"12345"
        two.send_message(b"hi")
        assert two.read_message() == b"hi"
        rows = {row["service"]: row for row in echo.connections()}
        assert rows["unix"]["transport"] == "unix" and rows["unix"]["protocol"] == "raw"
        assert rows["unix"]["remote"].startswith("unix:")
        assert rows["unix"]["bytes_in"] == rows["unix"]["bytes_out"] == 5
        assert rows["ws"]["transport"] == "tcp" and rows["ws"]["protocol"] == "ws"
        assert rows["ws"]["state"] == "open"
        assert rows["ws"]["send_queue"] == rows["ws"]["send_queue_messages"] == 0
        assert len(rows["ws"]["id"]) == 16 and int(rows["ws"]["id"], 16) > 0


def test_counts(launch):
    """Messages in and out are counted exactly, and the end of each connection by its reason."""
    program = launch("echo")
    with client_of(program, "frame") as client:
        for number in range(100):
            client.send_message(b"%d" % number)
        for number in range(100):
            assert client.read_message() == b"%d" % number
        totals = program.totals()
        assert totals["total_request"] == totals["messages_offered"] == 100
        assert totals["messages_sent"] == 100 and totals["send_fail"] == 0
        assert totals["connections"] == totals["connections_total"] == 1
        bytes_total = sum(4 + len(str(number)) for number in range(100))
        assert totals["bytes_in"] == totals["bytes_out"] == bytes_total
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["peer"] == 1
    client = client_of(program, "tcp")
    client.send(b"x")
    client.read(1)
    client.reset()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["reset"] == 1


# ---- text and frame at their edges ----


def test_text_lines(echo):
    with client_of(echo, "text") as client:
        client.send(b"with return\r\n\none\ntwo\r\nunfinished")
        assert client.read(21) == b"with return\n\none\ntwo\n"
        client.send(b" line\n")
        assert client.read_message() == b"unfinished line"


def test_text_too_long(launch):
    program = launch("echo", sets={"text.max_message": "1k", "frame.max_message": "1k"})
    with client_of(program, "text") as client, client_of(program, "text") as other:
        client.send_message(b"x" * 1024)
        assert client.read_message() == b"x" * 1024
        client.send(b"y" * 1025)  # no line end yet, and too long already
        assert client.at_end()
        other.send_message(b"still here")
        assert other.read_message() == b"still here"
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["protocol"] == 1


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\0\0\0\3", b"\xff\xff\xff\xff", b"\0\0\x10\0"])
def test_frame_with_bad_length(launch, head):
    program = launch("echo", sets={"frame.max_message": "1k"})
    with client_of(program, "frame") as client:
        client.send_message(b"")
        assert client.read_message() == b""
        client.send(head)
        assert client.at_end()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["protocol"] == 1
    assert totals["total_request"] == 1


# ---- a protocol of one's own ----


@pytest.fixture(scope="module")
def netstring(launch_once):
    return launch_once("netstring", sets={"net.max_message": "64k"})


def test_own_protocol(netstring):
    with Netstring(netstring.connect("net")) as client:
        for body in (b"hello", b"", b"x" * 60_000):
            client.send_message(body)
            assert client.read_message() == body
        client.send(b"".join(Netstring.encode(b"%d" % i) for i in range(50)))
        assert [client.read_message() for _ in range(50)] == [b"%d" % i for i in range(50)]
        client.send_slowly(Netstring.encode(b"byte by byte"))
        assert client.read_message() == b"byte by byte"


def test_own_protocol_encodes_a_broadcast_once(netstring):
    netstring.wait_empty()
    clients = [Netstring(netstring.connect("net")) for _ in range(10)]
    for client in clients:
        client.send_message(b"in")
        assert client.read_message() == b"in"
    before = netstring.totals()["encoded"]
    clients[0].send_message(b"all together")
    assert [client.read_message() for client in clients] == [b"together"] * 10
    assert netstring.totals()["encoded"] == before + 1
    for client in clients:
        client.close()


@pytest.mark.parametrize("bad", [b"x", b":", b"5;hello,", b"5:hello!", b"6:!hello,", b"9999999999:",
                                 b"70000:"])
def test_own_protocol_broken(netstring, bad):
    """What cut or decode refuses ends that connection, and on_message hears nothing of it."""
    netstring.wait_empty()
    before = netstring.totals()
    with Netstring(netstring.connect("net")) as client:
        client.send(Netstring.encode(b"good") + bad)
        assert client.read_message() == b"good"
        assert client.at_end()
    after = netstring.wait_empty()
    assert after["total_request"] == before["total_request"] + 1
    protocol = after["closes_by_reason"]["protocol"] - before["closes_by_reason"]["protocol"]
    assert protocol == 1
    assert after["order"] == 0
    assert after["opens"] == after["closes"]
