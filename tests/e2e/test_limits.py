"""Limits of a service, and what happens at them: a counter, an answer, and no effect on others."""

import ctypes
import os
import socket
import ssl
import time

import pytest
from abuse import FORGETFUL
from certs import Authority
from clients import Frame, Http, Raw, Text
from processes import cpu_seconds, memory_bytes, wait_until
from wsclient import PushWs, WebSocket

TCP_NOTSENT_LOWAT = 25
SYS_PIDFD_GETFD = 438


def refused(program, service):
    """A connection that is turned away: a reset, at whatever moment it is noticed, or an end."""
    try:
        return Raw(program.connect(service)).read_all() == b""
    except ConnectionResetError:
        return True


def test_max_connections(launch):
    program = launch("echo", sets={"tcp.max_connections": 3})
    inside = [Raw(program.connect("tcp")) for _ in range(3)]
    for client in inside:
        client.send(b"in")
        assert client.read(2) == b"in"
    for _ in range(2):
        assert refused(program, "tcp")
    totals = program.totals()
    assert totals["refused_limit"] == 2 and totals["refused_ip"] == 0
    assert totals["connections"] == totals["connections_total"] == 3
    with Text(program.connect("text")) as other:
        other.send_message(b"another service")
        assert other.read_message() == b"another service"
    inside.pop().close()
    program.wait_totals("one has gone", lambda t: t["connections"] == 2)
    with Raw(program.connect("tcp")) as client:
        client.send(b"room")
        assert client.read(4) == b"room"
    for client in inside:
        client.close()


def test_max_connections_per_ip(launch):
    program = launch(
        "echo", sets={"tcp.max_connections_per_ip": 2}, listens={"tcp": "tcp://:{port}"}
    )
    inside = [Raw(program.connect("tcp")) for _ in range(2)]
    for client in inside:
        client.send(b"in")
        assert client.read(2) == b"in"
    assert refused(program, "tcp")
    assert program.totals()["refused_ip"] == 1
    # From another address there is room.
    for host, source in (("127.0.0.1", "127.0.0.2"), ("::1", "::1")):
        with socket.create_connection(
            (host, program.ports["tcp"]), 10, source_address=(source, 0)
        ) as sock:
            sock.sendall(b"other")
            assert sock.recv(5) == b"other"
    inside.pop().close()
    program.wait_totals("one has gone", lambda t: t["connections"] == 1)
    with Raw(program.connect("tcp")) as client:
        client.send(b"room")
        assert client.read(4) == b"room"
    inside[0].close()
    assert program.totals()["refused_limit"] == 0


def test_idle_timeout(launch):
    program = launch("echo", sets={"tcp.idle_timeout_ms": 400})
    with Raw(program.connect("tcp")) as idle, Raw(program.connect("tcp")) as busy:
        deadline = time.monotonic() + 20
        while program.totals()["closes_by_reason"]["idle"] == 0:
            busy.send(b"x")
            assert busy.read(1) == b"x"
            assert time.monotonic() < deadline
        assert idle.at_end()
        busy.send(b"y")
        assert busy.read(1) == b"y"
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["peer"] == totals["closes_by_reason"]["idle"] == 1


def test_max_message_each_protocol(launch):
    """Too long is refused when the length is known, before the bytes come."""
    program = launch("echo", sets={f"{s}.max_message": "2k" for s in ("text", "frame", "ws")})
    with Frame(program.connect("frame")) as client:
        client.send((2049 + 4).to_bytes(4, "big"))
        assert client.at_end()
    with Text(program.connect("text")) as client:
        client.send(b"x" * 2049)
        assert client.at_end()
    with WebSocket(program.connect("ws")) as client:
        client.send_frame(1, b"", claim=2049, form=16)
        assert client.read_close() == 1009
    assert program.wait_empty()["closes_by_reason"]["protocol"] == 3
    web = launch("hello", sets={"web.max_message": "2k"})
    with Http(web.connect("web")) as client:
        assert client.post("/echo", b"x" * 2048).status == 200
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2049\r\n\r\n")
        assert client.read_response().status == 413
        assert client.at_end()


def option_in(pid, port, name):
    """An option of the connection that the process `pid` has with our socket of that port."""
    pidfd = os.pidfd_open(pid)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        for number in map(int, os.listdir(f"/proc/{pid}/fd")):
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
            if fd < 0:
                if ctypes.get_errno() in (1, 13, 38):
                    pytest.skip("this kernel does not let us look at the server's socket")
                continue
            try:
                with socket.socket(fileno=os.dup(fd)) as sock:
                    if sock.getpeername()[1] == port:
                        return sock.getsockopt(socket.IPPROTO_TCP, name)
            except (OSError, IndexError):
                pass
            finally:
                os.close(fd)
    finally:
        os.close(pidfd)
    return None


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_strangers_that_never_read_cost_little(launch, tmp_path, scheme):
    """Row 30 of the field's bugs, where 3.5 MB became 4.7 GB: each of these asks for 20 MB."""
    authority, limit, message = Authority(tmp_path), 65536, 50000
    context = ssl.create_default_context(cafile=authority.ca())
    sets = {"push.auth_timeout_ms": 60000, "push.unauthenticated_limit": limit}
    if scheme == "wss":
        sets["push.tls_cert"], sets["push.tls_key"] = authority.issue(["127.0.0.1"])
    program = launch("push", sets=sets, listens={"push": scheme + "://127.0.0.1:{port}"},
                     env=FORGETFUL)

    def stranger():
        sock = program.connect("push", receive_buffer=16384)
        if scheme == "wss":
            sock = context.wrap_socket(sock, server_hostname="127.0.0.1")
        return PushWs(sock)

    before = memory_bytes(program.pid("push"))
    clients = [stranger() for _ in range(10)]
    for client in clients:
        client.send_message(b"to me 400 %d copied" % message)
    program.wait_totals("all was offered", lambda t: t["messages_offered"] >= 10 * 401)
    queues = [c["send_queue"] for c in program.connections()]
    assert max(queues) > 0 and all(queue < limit + message + 100 for queue in queues)
    assert program.totals()["send_fail_by_reason"]["full"] > 10 * 200
    assert memory_bytes(program.pid("push")) - before < 16 << 20
    for client in clients:
        client.sock.close()
    program.wait_empty()
    program.lawful()


@pytest.mark.parametrize("value,expected", [(None, 131072), ("16k", 16384)])
def test_kernel_unsent_limit(launch, value, expected):
    sets = {"tcp.kernel_unsent_limit": value} if value else {}
    program = launch("echo", sets=sets)
    with Raw(program.connect("tcp")) as client:
        client.send(b"x")
        assert client.read(1) == b"x"
        port = client.sock.getsockname()[1]
        assert option_in(program.pid("tcp"), port, TCP_NOTSENT_LOWAT) == expected


def test_descriptors_run_out(launch):
    """EMFILE pauses accepting: counted, a line, no spinning, and it goes on afterwards. Each pause
    may turn one client away with a reset; the others wait."""
    program = launch("control", sets={"ctl.max_connections": 63}, nofile=64)
    clients = [Text(program.connect("ctl")) for _ in range(80)]
    totals = program.wait_totals("accepting failed", lambda t: t["accept_failed"] > 0)
    inside = totals["connections"]
    assert 10 < inside < 64
    assert clients[0].ask("echo served") == "served"
    pid = program.pid("ctl")
    before, counted = cpu_seconds(pid), program.totals()["accept_failed"]
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.5, "spinning"
    assert program.totals()["accept_failed"] - counted < 1000
    lines = [line for line in program.output().splitlines() if "descriptor" in line.lower()]
    assert 1 <= len(lines) <= 10, program.output()
    # Room again: those who waited are served.
    for client in clients[: inside - 5]:
        client.close()
    served = 0
    for client in clients[inside - 5 :]:
        try:
            served += client.ask("echo me too") == "me too"
        except ConnectionError:
            pass
        client.close()
    failed = program.wait_empty()["accept_failed"]
    assert served >= len(clients) - inside + 5 - failed


def test_accepting_does_not_starve(launch):
    """Many connections at once: all are served."""
    program = launch("echo")
    clients = [Raw(program.connect("tcp")) for _ in range(200)]
    for client in clients:
        client.send(b"one of many")
    for client in clients:
        assert client.read(11) == b"one of many"
        client.close()
    assert program.wait_empty()["connections_total"] == 200


def test_hot_connection_does_not_starve_others(launch):
    """One peer pipelines without end; another one's request is answered all the same."""
    program = launch("echo")
    with Text(program.connect("text")) as hot, Text(program.connect("text")) as other:
        hot.sock.setblocking(False)
        lines = b"x\n" * 50_000
        for _ in range(20):
            try:
                hot.sock.send(lines)
            except BlockingIOError:
                pass
            other.send_message(b"and me")
            assert other.read_message() == b"and me"
            try:
                hot.sock.recv(1 << 20)
            except BlockingIOError:
                pass
    wait_until(lambda: program.totals()["connections"] == 0, "both have gone")
