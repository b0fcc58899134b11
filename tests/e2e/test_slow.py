"""Clients that do not read: what they lose is counted exactly, and nobody else loses anything."""

import time

import laws
import pytest
from clients import Frame, Http, PushFrame
from processes import memory_bytes, wait_until
from wsclient import PushWs

SIZE = 16_000
LIMIT = 65_536
KINDS = ["shared", "copied", "static", "owned", "mixed"]


def connect(program, receive_buffer=None):
    sock = program.connect("push", receive_buffer=receive_buffer)
    return PushWs(sock) if program.listens["push"].startswith("ws") else PushFrame(sock)


def slow_program(launch, scheme="frame", app=None, **sets):
    listens = {"push": scheme + "://127.0.0.1:{port}"}
    sets = {f"push.{key}": value for key, value in sets.items()}
    sets.update({f"app.{key}": value for key, value in (app or {}).items()})
    return launch("push", sets={"push.max_send_buffer": LIMIT, **sets}, listens=listens)


def fill(control, identity, kind="shared", size=SIZE):
    """Send to one until it refuses; returns how many it accepted."""
    accepted, got = 0, 10
    while got == 10:
        got = int(control.ask(f"to {identity} 10 {size} {kind}"))
        accepted += got
        assert accepted < 2000, "a client that does not read is never full"
    return accepted


def settled(program):
    """What is queued once the kernel takes no more."""
    def same():
        first, second = program.totals(), program.totals()
        return second if first["bytes_queued"] == second["bytes_queued"] > 0 else None

    return wait_until(same, "the kernel takes no more")["messages_queued"]


def row_of(program, identity):
    rows = [row for row in program.connections() if row["id"] == identity]
    return rows[0] if rows else None


@pytest.mark.parametrize("scheme,kind", [("frame", kind) for kind in KINDS] + [("ws", "mixed")])
def test_one_stalled_among_fast(launch, scheme, kind):
    """The stalled one loses what came while it was full, and only that; its stream stays whole."""
    rounds = 60
    program = slow_program(launch, scheme)
    with connect(program, 16384) as stalled, connect(program) as control:
        fast = [connect(program) for _ in range(3)]
        identity = stalled.identity()
        for count in range(1, rounds + 1):
            control.ask(f"all 1 {SIZE} {kind}")
            for client in fast:
                client.read_numbers(count)
        control.read_numbers(rounds)
        expected = control.numbers
        assert all(client.numbers == expected for client in fast)

        totals = program.totals()
        lost = totals["send_fail_by_reason"]["full"]
        assert 0 < lost < rounds and totals["send_fail"] == lost
        row = row_of(program, identity)
        assert row["send_fail"] == lost and row["send_fail_by_reason"]["full"] == lost
        assert LIMIT <= row["send_queue"] < LIMIT + SIZE + 10 and row["oldest_queued_s"] >= 0
        assert row["send_queue_messages"] == totals["messages_queued"] > 0
        others = [r for r in program.connections() if r["id"] != identity]
        assert all(r["send_fail"] == 0 for r in others)
        assert totals["fulls"] == 1 and totals["drains"] == 0
        assert totals["told_full"] == lost and totals["told_late"] == 0

        # It wakes up: what was queued comes, in order, without a hole inside a message.
        stalled.read_numbers(rounds - lost)
        assert stalled.numbers == sorted(stalled.numbers)
        program.wait_totals("drained", lambda t: t["messages_queued"] == 0)
        totals = program.wait_totals("on_drain", lambda t: t["drains"] == 1)
        assert totals["bytes_queued"] == 0 and totals["fulls"] == 1
        control.ask(f"all 1 {SIZE} {kind}")
        stalled.read_numbers(rounds - lost + 1)
        control.read_numbers(rounds + 1)
        assert stalled.numbers[-1] == control.numbers[-1]
        for client in fast:
            client.read_numbers(rounds + 1)
            client.close()
    check_books(program, rounds + 1)


def check_books(program, rounds):
    """Five clients; what the program itself counted is what crew counted."""
    totals = program.wait_empty()
    assert totals["taken"] == totals["messages_sent"]
    assert totals["refused"] == totals["send_fail"]
    assert totals["messages_offered"] == totals["taken"] + totals["refused"]
    assert totals["messages_offered"] >= 5 * rounds
    program.wait_totals("all given back", lambda t: t["freed"] == t["given"])


def test_stream_has_no_hole(launch):
    """What a slow reader gets are the first messages and the last ones, each of them whole."""
    program = slow_program(launch)
    with connect(program, 16384) as stalled, connect(program) as control:
        identity = stalled.identity()
        first = fill(control, identity)
        refused = program.totals()["refused"]
        stalled.read_numbers(first)
        # The refusals of the last command stand between.
        assert stalled.numbers == sorted(set(stalled.numbers))
        control.ask(f"to {identity} 1 {SIZE} shared")
        stalled.read_numbers(first + 1)
        assert stalled.numbers[-1] == first + refused


def test_one_stalled_and_fifty_fast(launch):
    rounds = 30
    program = slow_program(launch)
    clients = [connect(program) for _ in range(50)]
    with connect(program, 16384) as stalled, connect(program) as control:
        identity = stalled.identity()
        offered = fill(control, identity) + program.totals()["refused"] + rounds
        for count in range(1, rounds + 1):
            control.ask(f"all 1 {SIZE} shared")
            for client in clients:
                client.read_numbers(count)
        totals = program.totals()
        lost = totals["send_fail"]
        assert lost == totals["send_fail_by_reason"]["full"] == totals["told_full"]
        assert lost > rounds // 2
        assert row_of(program, identity)["send_fail"] == lost
        # What it missed is what it did not get.
        stalled.read_numbers(offered - lost)
        stalled.send_message(b"echo awake")
        assert stalled.read_message() == b"awake"
    for client in clients:
        client.close()
    assert program.wait_empty()["ends"] == 52


def test_shared_bytes_are_held_once(launch):
    """Twenty stalled clients and large messages: shared costs the message, not the clients."""
    program = slow_program(launch, max_send_buffer="4m", kernel_unsent_limit="16k")
    pid = program.pid("push")
    stalled = [connect(program, 8192) for _ in range(20)]
    for client in stalled:
        client.identity()
    before = memory_bytes(pid)
    with connect(program) as control:
        control.ask("all 60 65536 shared")
        assert memory_bytes(pid) - before < 16 << 20
        assert program.totals()["messages_queued"] > 20 * 40
    for client in stalled:
        client.close()
    program.wait_empty()


def test_client_leaves_with_a_full_queue(launch):
    """Closing with unread data resets: what waited is lost, `reset`, and told before on_close."""
    program = slow_program(launch)
    with connect(program) as control:
        stalled = connect(program, 16384)
        fill(control, stalled.identity())
        queued = settled(program)
        stalled.close()
        totals = program.wait_totals("it has gone", lambda t: t["connections"] == 1)
        assert totals["send_fail_by_reason"]["reset"] == queued
        assert totals["closes_by_reason"]["reset"] == 1
        assert totals["told_reset"] == queued and totals["told_late"] == 0


def test_on_error_that_sends_again(launch):
    """What on_error itself loses is told as well, at the latest before the end."""
    program = slow_program(launch, app={"stubborn": 1})
    with connect(program) as control:
        stalled = connect(program, 16384)
        identity = stalled.identity()
        accepted = fill(control, identity)
        stalled.read_numbers(accepted)
        program.wait_totals("drained", lambda t: t["messages_queued"] == 0)
        stalled.close()
        totals = program.wait_totals("it has gone", lambda t: t["connections"] == 1)
        assert totals["told_full"] == totals["send_fail_by_reason"]["full"] > 1
        assert totals["told_late"] == 0


def test_abort_loses_what_waited(launch):
    program = slow_program(launch)
    with connect(program) as control, connect(program, 16384) as stalled:
        identity = stalled.identity()
        fill(control, identity)
        queued = settled(program)
        assert control.ask(f"abort {identity}") == "0"
        totals = program.wait_totals("it has gone", lambda t: t["connections"] == 1)
        assert totals["send_fail_by_reason"]["aborted"] == queued == totals["told_aborted"]
        assert totals["closes_by_reason"]["app"] == 1
        with pytest.raises(ConnectionError):
            while True:
                stalled.take_message()
        assert control.ask(f"stale {identity}") == "0"
        totals = program.totals()
        assert totals["send_fail_by_reason"]["closed"] == 3, "three sends to a stale id"
        assert totals["send_fail"] == totals["refused"] + queued + 3


def test_close_lets_the_queue_leave(launch):
    """A close in good order: all that was accepted arrives, what is offered later is `closed`."""
    program = slow_program(launch, linger_ms=5000)
    with connect(program) as control, connect(program, 16384) as stalled:
        identity = stalled.identity()
        accepted = fill(control, identity)
        before = program.totals()
        assert control.ask(f"close {identity}") == "0"
        assert row_of(program, identity)["state"] == "closing"
        assert control.ask(f"to {identity} 3 100 mixed") == "0"
        after = program.totals()
        closed = after["send_fail_by_reason"]["closed"] - before["send_fail_by_reason"]["closed"]
        assert closed == 3
        stalled.read_numbers(accepted)
        assert stalled.at_end()
        stalled.close()
        totals = program.wait_totals("it has gone", lambda t: t["connections"] == 1)
        assert totals["closes_by_reason"]["app"] == 1
        assert totals["send_fail"] == totals["send_fail_by_reason"]["full"] + 3


def test_finish_keeps_our_side_open(launch):
    """crew_finish: the peer sees the end after the queue, and may still send."""
    program = slow_program(launch)
    with connect(program) as control, connect(program) as client:
        identity = client.identity()
        control.ask(f"to {identity} 3 100 mixed")
        assert control.ask(f"finish {identity}") == "0"
        client.read_numbers(3)
        assert client.at_end()
        before = program.totals()["messages"]
        client.send_message(b"echo nobody hears the answer")
        wait_until(lambda: program.totals()["messages"] == before + 1, "it was heard")
        assert program.totals()["connections"] == 2
    program.wait_empty()


def test_send_timeout(launch):
    """A peer that takes nothing for so long is cut off; one that takes little is not."""
    # Long beside a look at the rows on a busy machine: between two of them one takes little.
    program = slow_program(launch, send_timeout_ms=1500)
    with connect(program) as control, connect(program, 16384) as dead, \
            connect(program, 16384) as slow:
        slow_id, dead_id = slow.identity(), dead.identity()
        fill(control, slow_id)
        fill(control, dead_id)
        deadline = time.monotonic() + 20
        while row_of(program, dead_id):
            slow.read_numbers(len(slow.numbers) + 1)
            control.ask(f"to {slow_id} 2 {SIZE} shared")
            assert time.monotonic() < deadline
        totals = program.totals()
        assert totals["closes_by_reason"]["deadline"] == 1
        assert totals["send_fail_by_reason"]["deadline"] == totals["told_deadline"] > 0
        assert row_of(program, slow_id)
        with pytest.raises((ConnectionError, EOFError)):
            while True:
                dead.take_message()


def test_pause_and_resume(launch):
    """What arrived while paused is delivered afterwards, all of it, in order."""
    program = slow_program(launch)
    with connect(program) as control, connect(program) as client:
        identity = client.identity()
        assert control.ask(f"pause {identity}") == "0"
        for number in range(200):
            client.send_message(b"echo %d" % number)
        before = program.totals()["messages"]
        control.ask("id")
        assert program.totals()["messages"] == before + 1, "a paused connection was read"
        assert control.ask(f"resume {identity}") == "0"
        assert [client.read_message() for _ in range(200)] == [b"%d" % n for n in range(200)]
        # Pausing itself: the command is the last that is heard until somebody else resumes it.
        client.send(b"".join(Frame.encode(m) for m in (b"pause me", b"echo 1", b"echo 2")))
        assert client.read_message() == b"= 0"
        assert control.ask(f"resume {identity}") == "0"
        assert client.read_message() == b"1" and client.read_message() == b"2"


def test_pipe(launch):
    """From one connection to another with back-pressure, and the end travels along."""
    program = slow_program(launch)
    body = b"p" * 10_000
    with connect(program) as control, connect(program) as source, connect(program, 16384) as sink:
        source_id, sink_id = source.identity(), sink.identity()
        assert control.ask(f"pipe {source_id} {source_id}") == "-22"
        assert control.ask(f"pipe {source_id} {sink_id}") == "0"
        before = program.totals()
        source.sock.settimeout(0.5)
        sent = 0
        rest = b""
        try:
            while sent < 3000:
                rest = Frame.encode(body)
                while rest:
                    rest = rest[source.sock.send(rest):]
                sent += 1
        except TimeoutError:
            pass
        assert sent < 3000, "reading from the source never paused"
        row = row_of(program, sink_id)
        assert row["send_fail"] == 0 and row["send_queue"] < LIMIT + 20_000
        for _ in range(sent):
            assert sink.read_message() == body
        source.sock.settimeout(20)
        source.send(rest)
        if rest:
            assert sink.read_message() == body
        assert program.totals()["messages"] == before["messages"], "on_message heard of it"
        # Taken away again: the source speaks to the program.
        assert control.ask(f"pipe {source_id} -") == "0"
        source.send_message(b"echo mine")
        assert source.read_message() == b"mine"
        assert control.ask(f"pipe {source_id} {sink_id}") == "0"
        source.send_message(b"last")
        source.finish()
        assert sink.read_message() == b"last"
        assert sink.at_end()
    laws.no_losses(program.wait_empty() and program.status())


def test_sequence_of_the_feed(launch):
    """The example's contract: numbers that grow by one with every broadcast."""
    program = launch("feed", sets={"app.rate": 200, "app.size": 1000})
    with PushWs(program.connect("feed")) as client:
        numbers = [int(client.read_message().split(b" ")[0]) for _ in range(50)]
        assert numbers == list(range(numbers[0], numbers[0] + 50))
        assert len(client.read_message()) == 1000
        with Http(program.connect("feed")) as asker:
            assert b"full" in asker.get("/stats").body
