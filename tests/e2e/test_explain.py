"""explain: why a connection is slow, in words and figures, whatever the workers are doing."""

import signal

import pytest
import views
from processes import wait_until
from talk import hit

pytestmark = pytest.mark.one_engine


def test_a_client_that_does_not_read(launch):
    program = views.start(launch)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        found = views.wait_verdict(program, cid, "reader-stalled")
        assert found["id"] == cid and found["closed"] is False
        assert "does not read" in found["meaning"]
        assert any(f"kick {cid}" in line for line in found["advice"])
        assert found["evidence"]["has_tcp"] is True and found["evidence"]["drained"] == 0
        assert found["evidence"]["unsent"] > 0 and found["cost"]["kernel_memory"] > 0
        assert found["connection"]["send_queue"] > 500_000
        assert found["connection"]["send_fail_by_reason"]["full"] > 0
        assert found["settings"]["policy"] == "drop-newest"
        assert [row["verdict"] for row in found["history"]] == ["reader-stalled"]
        assert found["episode"]["slow"] is True and found["episode"]["episodes"] == 1
        rows = {row["id"]: row for row in program.connections("--sort", "verdict")}
        assert rows[cid]["verdict"] == "reader-stalled"
        assert [rows[row]["verdict"] for row in rows if row != cid] == [None]
        assert next(iter(rows)) == cid, "none comes last"
        done = program.cli("explain", cid)
        assert done.returncode == 0 and done.stderr == ""
        for words in ("reader-stalled", "The evidence", "What it costs at present",
                      "What happens next", "Policy drop-newest: the queue is full", "What to do",
                      "What it lost", "full ", "Its history"):
            assert words in done.stdout, done.stdout
        assert "reader-stalled" in program.cli("connections").stdout
        stalled.close()


def test_one_that_is_well(launch):
    program = views.start(launch)
    with views.client(program) as control:
        cid = control.identity()
        found = views.explain(program, cid)
        assert found["verdict"] is None and found["advice"] == [] and found["evidence"] == {}
        assert found["connection"] == program.connections()[0] | {
            key: found["connection"][key] for key in ("age_s", "idle_in_s", "idle_out_s")}
        text = program.cli("explain", cid[:8].upper()).stdout
        assert "Nothing is wrong" in text and "What to do" not in text


def test_ids_that_do_not_name_one(launch):
    program = views.start(launch)
    with views.client(program) as one, views.client(program) as two:
        ids = {one.identity(), two.identity()}
        done = program.cli("explain", "0")
        assert done.returncode == 1 and done.stdout == ""
        assert all(cid in done.stderr for cid in ids) and "2 connections" in done.stderr
        done = program.cli("explain", "--json", "0")
        assert done.returncode == 1
        candidates = views.json.loads(done.stdout)["candidates"]
        assert {row["id"] for row in candidates} == ids
        for wrong in ("feed", "no-hex", "", "00100000000000011"):
            done = program.cli("explain", wrong)
            assert done.returncode == 1 and done.stdout == "" and done.stderr, wrong
        assert program.cli("explain").returncode == 2
    program.stop()
    assert program.cli("explain", "0").returncode == 3


def test_those_that_have_ended(launch):
    program = views.start(launch)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        views.wait_verdict(program, cid, "reader-stalled")
        assert program.cli("kick", cid).returncode == 0
        views.wait_closed(program, cid)
        found = views.explain(program, cid)
        assert found["closed"] is True and found["verdict"] == "reader-stalled"
        assert found["connection"]["end"] == "kicked"
        assert found["connection"]["ended_by"] == "operator"
        text = program.cli("explain", cid).stdout
        assert "by an operator: kicked" in text and "waited for it and were lost" in text
        assert f"kick {cid}" not in text
        stalled.close()


def test_a_worker_that_stands_still(launch):
    """What its loop has not come round to is nobody's doing but its own."""
    program = views.start(launch)
    with views.client(program) as control:
        cid = control.identity()
        control.send(control.encode(b"to me 5 1000 copied") + control.encode(b"dead 4000"))
        found = views.wait_verdict(program, cid, "us")
        assert found["worker"]["stands_still"] is True
        assert found["worker"]["busy_in"] == "on_message" and found["worker"]["busy_ms"] >= 200
        assert "stands still" in found["meaning"] and "on_message" in found["meaning"]
        assert program.connections()[0]["verdict"] == "us"

        def gone():
            return views.explain(program, cid)["verdict"] is None

        wait_until(gone, "it goes on", 15)


def test_while_every_worker_is_stopped(launch):
    program = views.start(launch, workers=2)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        views.wait_verdict(program, cid, "reader-stalled")
        pids = [worker["pid"] for worker in program.workers()]
        for pid in pids:
            hit(pid, signal.SIGSTOP)
        found = views.explain(program, cid)
        assert found["worker"]["stopped"] is True
        assert "stands still" in program.cli("explain", cid).stdout
        assert any("CONT" in line or "stands still" in line for line in found["advice"])
        for pid in pids:
            hit(pid, signal.SIGCONT)
        stalled.close()


def test_while_the_master_is_stopped(launch):
    program = views.start(launch)
    with views.client(program) as control:
        cid = control.identity()
        hit(program.master, signal.SIGSTOP)
        try:
            assert views.explain(program, cid)["id"] == cid
        finally:
            hit(program.master, signal.SIGCONT)


def test_what_was_set_is_told(launch):
    program = views.start(launch)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        assert program.cli("set", "push.policy=disconnect").returncode == 0
        assert program.cli("set", "push.send_timeout_ms=600000").returncode == 0

        def told():
            found = views.explain(program, cid)["settings"]
            return found["policy"] == "disconnect" and found["send_timeout_ms"] == 600000

        wait_until(told, "the worker has both")
        assert "Policy disconnect" in program.cli("explain", cid).stdout
        stalled.close()


def test_in_one_process(launch):
    program = views.start(launch, "--single")
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        views.wait_verdict(program, cid, "reader-stalled")
        stalled.close()
        assert views.wait_closed(program, cid)["ended_by"] == "peer"
