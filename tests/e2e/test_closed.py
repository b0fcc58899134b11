"""connections --closed: who ended them, why, and what was lost."""

import signal
import time

import pytest
import views
from clients import Frame
from talk import hit, wait_new_pid

pytestmark = pytest.mark.one_engine


def test_each_end_is_told(launch):
    program = views.start(launch)
    with views.client(program) as control:
        well, left, broken = (views.client(program) for _ in range(3))
        ids = {"well": well.identity(), "left": left.identity(), "broken": broken.identity()}
        stalled, ids["stalled"] = views.stall(program)
        views.wait_verdict(program, ids["stalled"], "reader-stalled")
        before = time.time()
        assert control.ask(f"close {ids['well']}") == "0"
        views.wait_closed(program, ids["well"])
        left.close()
        views.wait_closed(program, ids["left"])
        broken.reset()
        views.wait_closed(program, ids["broken"])
        assert program.cli("kick", ids["stalled"]).returncode == 0
        views.wait_closed(program, ids["stalled"])
        rows = views.closed(program)
        assert [row["id"] for row in rows] == [
            ids[name] for name in ("stalled", "broken", "left", "well")], "the newest first"
        by_id = {row["id"]: row for row in rows}
        ends = {name: (by_id[cid]["ended_by"], by_id[cid]["end"]) for name, cid in ids.items()}
        # The program's on_end closes whom has left, so that end is its own.
        assert ends == {"well": ("us", "app"), "left": ("us", "app"),
                        "broken": ("peer", "reset"), "stalled": ("operator", "kicked")}
        row = by_id[ids["stalled"]]
        assert row["verdict"] == "reader-stalled" and row["state"] == "closed"
        assert row["unsent"] > 500_000 and row["unsent_messages"] > 100
        lost = row["send_fail_by_reason"]
        assert lost["aborted"] == row["unsent_messages"] and lost["full"] > 0
        assert by_id[ids["left"]]["verdict"] is None and by_id[ids["left"]]["unsent"] == 0
        assert by_id[ids["left"]]["bytes_in"] > 0 and by_id[ids["left"]]["bytes_out"] > 0
        for row in rows:
            assert row["closed_at"].endswith("Z") and row["remote"].startswith("127.0.0.1:")
            assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime(before))[:13] <= row["closed_at"]
        keys = set(program.connections()[0])
        assert set(rows[0]) == keys | {"closed_at", "end", "ended_by", "unsent", "unsent_messages"}
        text = program.cli("connections", "--closed").stdout
        for words in ("closed at", "operator", "kicked", "reader-stalled", "reset", ids["well"],
                      "\n4 connections that ended"):
            assert words in text, text
        stalled.close()


def test_a_peer_that_leaves(launch):
    """Where the program has no on_end, a peer's end is the peer's."""
    program = launch("echo")
    with Frame(program.connect("frame")) as client:
        client.send_message(b"hello")
        assert client.read_message() == b"hello"
        cid = next(row["id"] for row in program.connections() if row["service"] == "frame")
    row = views.wait_closed(program, cid)
    assert (row["ended_by"], row["end"]) == ("peer", "peer") and row["service"] == "frame"
    assert "by the peer: peer (the peer closed)" in program.cli("explain", cid).stdout


def test_order(launch):
    program = views.start(launch)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        stalled.reset()
        views.wait_closed(program, cid)
        other = views.client(program)
        last = other.identity()
        other.close()
        views.wait_closed(program, last)
        assert [row["id"] for row in views.closed(program)] == [last, cid]
        assert [row["id"] for row in views.closed(program, "--sort", "unsent")] == [cid, last]
        assert [row["id"] for row in views.closed(program, "--sort", "id")] == sorted([cid, last])
        done = program.cli("connections", "--closed", "--sort", "endedby")
        assert done.returncode == 2 and "ended_by" in done.stderr
        done = program.cli("connections", "--sort", "ended_by")
        assert done.returncode == 2, "of open ones nobody knows that yet"


def test_a_killed_worker_takes_its_own_along(launch):
    program = views.start(launch, workers=2, reuse_port="on")
    ids = {}
    while len({cid[:3] for cid in ids}) < 2:  # until each worker has had one
        one = views.client(program)
        ids[one.identity()] = one
    for one in ids.values():
        one.close()
    for cid in ids:
        views.wait_closed(program, cid)
    row = views.closed(program)[0]
    victim = row["pid"]
    number = [w["id"] for w in program.workers() if w["pid"] == victim][0]
    hit(victim, signal.SIGKILL)
    wait_new_pid(program, "push", number, victim)
    left = views.closed(program)
    assert left and victim not in {one["pid"] for one in left}
    done = program.cli("explain", row["id"])
    assert done.returncode == 1 and "has gone" in done.stderr


def test_while_every_worker_is_stopped(launch):
    program = views.start(launch)
    with views.client(program) as control:
        other = views.client(program)
        cid = other.identity()
        other.close()
        views.wait_closed(program, cid)
        pid = program.pid("push")
        hit(pid, signal.SIGSTOP)
        assert [row["id"] for row in views.closed(program)] == [cid]
        hit(pid, signal.SIGCONT)
        assert control.ask("remote me").startswith("127.0.0.1")
    program.stop()
    assert program.cli("connections", "--closed").returncode == 3
