"""WebSocket: the close, pings and pongs, the heartbeat."""

import ssl
import subprocess
import time

import pytest
from certs import Authority
from processes import memory_bytes, wait_until
from wsclient import CLOSE, PING, PONG, TEXT, PushWs, WebSocket, close_payload, frame


@pytest.fixture(scope="module")
def push(launch_once):
    return launch_once("push")


# ---- the close ----


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 3000, 4999])
def test_close_is_answered_with_its_code(push, code):
    before = push.wait_empty()
    with WebSocket(push.connect("push")) as client:
        client.send(frame(CLOSE, close_payload(code, "gründe".encode())) + frame(TEXT, b"echo no"))
        assert client.read_close() == code
        assert client.at_end()
    after = push.wait_empty()
    assert after["closes_by_reason"]["peer"] - before["closes_by_reason"]["peer"] == 1
    assert after["messages"] == before["messages"]


def test_close_without_code(push):
    with WebSocket(push.connect("push")) as client:
        client.send_frame(CLOSE)
        assert client.read_close() in (1000, 1005)
        assert client.at_end()


def test_messages_queued_before_a_close_arrive(push):
    with PushWs(push.connect("push")) as client:
        client.send_message(b"to me 50 1000 mixed")
        client.send_frame(CLOSE, close_payload(1000))
        client.read_numbers(50)
        assert client.read_close() == 1000


def test_server_closes(push):
    """close gives 1000, closewith what it was told; what must not be sent is -EINVAL."""
    before = push.wait_empty()
    with PushWs(push.connect("push")) as client:
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
            assert client.ask(f"closewith me {code} x") == "-22", code
        assert client.ask("closewith me 4001 " + "r" * 124) == "-22"
        client.send_message(b"closewith me 4001 because")
        assert client.read_close() == 4001 and client.close_reason == b"because"
        client.send_frame(CLOSE, close_payload(4001))
        assert client.at_end()
    with PushWs(push.connect("push")) as client:
        client.send_message(b"close me")
        assert client.read_close() == 1000
        client.send_frame(CLOSE, close_payload(1000))
        assert client.at_end()
    after = push.wait_empty()
    assert after["closes_by_reason"]["app"] - before["closes_by_reason"]["app"] == 2


def test_peer_that_does_not_answer_a_close(push):
    """linger_ms is all it gets."""
    with PushWs(push.connect("push")) as client:
        client.send_message(b"close me")
        assert client.read_close() == 1000
        push.wait_empty()


def test_stop_says_1001(launch):
    program = launch("push")
    with WebSocket(program.connect("push")) as client:
        stopping = subprocess.Popen([program.binary, "stop", "--run-dir", program.run_dir])
        assert client.read_close() == 1001
        client.send_frame(CLOSE, close_payload(1001))
        assert client.at_end()
    assert stopping.wait(10) == 0
    assert program.process.wait(10) == 0


@pytest.mark.parametrize("who", ["program", "peer", "stop"])
@pytest.mark.parametrize("waiting", [0, 200])
def test_the_goodbye_comes_before_tls_goes(launch, tmp_path, who, waiting):
    """Row 40 of the field's bugs: what waits, then the close frame, then TLS's own end."""
    authority = Authority(tmp_path)
    pair = authority.issue(["127.0.0.1"])
    program = launch("push", listens={"push": "wss://127.0.0.1:{port}"}, sets={
        "push.tls_cert": pair.cert, "push.tls_key": pair.key, "push.max_send_buffer": "16m",
        "push.stop_timeout_ms": 10000})
    context = ssl.create_default_context(cafile=authority.ca())
    sock = context.wrap_socket(program.connect("push"), server_hostname="127.0.0.1",
                               suppress_ragged_eofs=False)
    with PushWs(sock) as client:
        if waiting:
            client.send_message(f"to me {waiting} 50000 mixed".encode())
            client.read_numbers(1)  # it goes on while the rest waits
        if who == "program":
            client.send_message(b"close me")
        elif who == "peer":
            client.send_frame(CLOSE, close_payload(1000))
        else:
            program.process.terminate()
        client.read_numbers(waiting)
        assert client.read_close() == (1001 if who == "stop" else 1000)
        if who != "peer":
            client.send_frame(CLOSE, close_payload(1000))
        assert len(client.numbers) == waiting
        assert not client.buffer and sock.recv(1) == b"", "TLS was cut off"
    assert who != "stop" or program.process.wait(10) == 0


# ---- control frames ----


def test_pong_nobody_asked_for(push):
    with WebSocket(push.connect("push")) as client:
        client.send_frame(PONG, b"here I am")
        client.send_frame(PONG)
        client.send_message(b"echo fine")
        assert client.read_message() == b"fine"


def test_ten_thousand_pings_in_one_segment(push):
    before = push.totals()
    with WebSocket(push.connect("push")) as client:
        client.send(b"".join(frame(PING, b"%d" % i) for i in range(10_000)))
        client.send_message(b"echo after")
        assert client.read_message() == b"after"
        assert client.pongs and client.pongs[-1] == b"9999"
        numbers = [int(pong) for pong in client.pongs]
        assert numbers == sorted(set(numbers))
    assert push.totals()["send_fail"] == before["send_fail"]


def test_pings_of_a_client_that_does_not_read(push):
    """Pongs are never refused, so reading must pause: memory stays where it is."""
    pid = push.pid("push")
    before = memory_bytes(pid)
    pings = b"".join(frame(PING, b"p" * 125, key=b"mask") for _ in range(1000))
    with WebSocket(push.connect("push", receive_buffer=16384)) as client:
        client.sock.settimeout(1)
        try:
            for _ in range(150):
                client.send(pings)
        except TimeoutError:
            pass
        assert memory_bytes(pid) - before < 8 << 20
        with WebSocket(push.connect("push")) as other:
            other.send_message(b"echo alive")
            assert other.read_message() == b"alive"


# ---- heartbeat ----


def test_heartbeat_ends_the_dead_alone(launch):
    """A peer that reads but never answers is dead; one that answers is not."""
    program = launch("push", sets={"push.heartbeat_ms": 200})
    with WebSocket(program.connect("push")) as dead, WebSocket(program.connect("push")) as good:
        dead.answer_pings = False
        good.sock.settimeout(0.1)
        deadline = time.monotonic() + 20
        while program.totals()["closes_by_reason"]["heartbeat"] == 0:
            assert time.monotonic() < deadline
            try:
                good.read_any()
            except TimeoutError:
                pass
        dead.read_all()
        good.sock.settimeout(10)
        good.send_message(b"echo here")
        assert good.read_message() == b"here"
    assert program.wait_empty()["closes_by_reason"]["peer"] == 1


def test_heartbeat_leaves_the_slow_alone(launch):
    """A page that stands still with a full queue has not seen the ping: slow is not dead."""
    program = launch(
        "push", sets={"push.heartbeat_ms": 150, "push.max_send_buffer": "64k"}
    )
    with PushWs(program.connect("push", receive_buffer=16384)) as slow, \
            PushWs(program.connect("push")) as control:
        identity = slow.identity()
        while int(control.ask(f"to {identity} 20 16000 shared")) == 20:
            pass  # until one is refused
        control.sock.settimeout(0.05)
        for _ in range(30):  # ten heartbeats
            try:
                control.read_any()
            except TimeoutError:
                pass
        assert [r["state"] for r in program.connections() if r["id"] == identity] == ["open"]
        assert program.totals()["closes_by_reason"]["heartbeat"] == 0
        control.sock.settimeout(20)
        slow.send_message(b"echo awake")
        wait_until(lambda: slow.read_message() == b"awake", "the slow one is whole", 20)
    program.wait_empty()
