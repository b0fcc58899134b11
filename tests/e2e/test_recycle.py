"""Workers that are replaced because of their requests, age or memory: one after the other, and whoever
comes meanwhile is served."""

import json
import threading

import laws
import pytest
from clients import Text
from processes import alive, wait_until
from talk import ask, wait_new_pid

pytestmark = pytest.mark.one_engine


def recycled(program):
    return program.totals()["recycled"]


def events(program):
    done = program.cli("events", "--json")
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout) if event["kind"] == "recycle"]


def test_by_requests_under_load(launch):
    """No connect is refused, no request lost, never two of a service at once; totals exact."""
    program = launch("control", sets={
        "ctl.workers": 3, "ctl.recycle_requests": 60, "ctl.drain_timeout_ms": 2000,
    })
    first = {number: program.pid("ctl", number) for number in range(3)}
    over, answers, failures, crowd = threading.Event(), [0] * 4, [], []

    def load(number):
        while not over.is_set():
            try:
                assert ask(program, f"echo {number}") == str(number)
                answers[number] += 1
            except (OSError, EOFError, AssertionError) as failure:
                failures.append(failure)

    def count():
        workers = program.workers("ctl")
        crowd.append(len([w for w in workers if w["state"] in ("starting", "draining")]))
        return recycled(program) >= 4

    loaders = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for loader in loaders:
        loader.start()
    try:
        wait_until(count, "four were recycled", 40)
    finally:
        over.set()
        for loader in loaders:
            loader.join(30)
    assert not failures
    # The fresh one, the old one that leaves, and no third.
    assert max(crowd) <= 2, crowd
    program.wait_ready()
    totals = program.wait_totals("all were counted", lambda t: t["total_request"] >= sum(answers))
    assert totals["total_request"] == sum(answers)
    assert totals["closes_by_reason"]["crash"] == 0
    assert program.pid("ctl", 0) != first[0] or program.pid("ctl", 1) != first[1]
    program.wait_output("(recycle_requests = 60)")
    told = events(program)
    assert told and all("recycle_requests = 60" in event["text"] for event in told), told
    assert [(e["status"], e["signal"]) for e in program.status()["exits"]] == [(0, None)]


def test_by_age_those_connected_may_stay(launch):
    """The fresh one is there first; who is connected to the old one is served on until the end of
    drain_timeout_ms."""
    program = launch("control", sets={
        "ctl.recycle_age_ms": 1200, "ctl.drain_timeout_ms": 60000,
    })
    with Text(program.connect("ctl")) as stays:
        old = int(stays.ask("pid"))
        fresh = int(wait_until(
            lambda: (ask(program, "pid") not in ("", str(old))) and ask(program, "pid"),
            "somebody else answers", 20))
        assert fresh != old and stays.ask("pid") == str(old)
        states = {w["pid"]: w["state"] for w in program.workers("ctl")}
        assert states[old] == "draining" and states[fresh] == "ready"
        before = program.lawful()
    # Only now may the next one go.
    wait_until(lambda: recycled(program) >= 2, "the next one too", 20)
    laws.never_backward(before, program.lawful())
    program.wait_output("recycle_age_ms = 1200")


def test_by_memory(launch):
    program = launch("control", sets={"ctl.recycle_memory": "400m"})
    old = program.pid("ctl")
    assert ask(program, "grow 420") == "420"
    wait_new_pid(program, "ctl", 0, old)
    wait_until(lambda: recycled(program) == 1, "counted")
    program.wait_output("bytes resident (recycle_memory = 419430400)")


def test_less_memory_than_it_begins_with(launch):
    """A limit that would replace every worker at once is told, and does nothing."""
    program = launch("control", sets={"ctl.recycle_memory": "64k"})
    old = program.pid("ctl")
    program.wait_output("is too little and does nothing")
    assert program.output().count("is too little") == 1
    assert program.pid("ctl") == old and recycled(program) == 0


def test_a_fresh_one_that_fails(launch, tmp_path):
    """The old one goes on, and a reload ends the matter."""
    fails = tmp_path / "fails"
    program = launch("control", sets={"ctl.recycle_age_ms": 1000, "app.fail_file": fails})
    old = program.pid("ctl")
    fails.write_text("")
    program.wait_output("the worker that it should have replaced goes on", 20)
    assert ask(program, "pid") == str(old)
    assert recycled(program) == 0
    fails.unlink()
    assert program.cli("reload").returncode == 0
    assert ask(program, "gen") == "2"


def test_a_reload_while_one_is_being_replaced(launch, tmp_path):
    """The fresh worker that never becomes ready is not waited for."""
    hangs = tmp_path / "hangs"
    program = launch("control", sets={"ctl.recycle_age_ms": 1000, "app.hang_file": hangs})
    hangs.write_text("")
    program.wait_output("is recycled:", 20)
    wait_until(lambda: len(program.workers("ctl")) == 2, "the fresh one is there")
    hangs.unlink()
    assert program.cli("reload", seconds=60).returncode == 0
    assert ask(program, "gen") == "2"


def test_a_reload_ends_who_is_leaving_already(launch):
    """The window of the reload is that of all: it does not wait for drain_timeout_ms."""
    program = launch("control", sets={
        "ctl.recycle_age_ms": 1000, "ctl.drain_timeout_ms": 60000, "ctl.stop_timeout_ms": 500,
    })
    with Text(program.connect("ctl")) as stays:
        old = int(stays.ask("pid"))
        wait_until(
            lambda: "draining" in [w["state"] for w in program.workers("ctl") if w["pid"] == old],
            "it leaves", 20)
        done = program.cli("reload", seconds=60)
        assert done.returncode == 0, done.stderr
        assert not alive(old)
    assert ask(program, "gen") == "2"


def test_the_old_one_dies_first(launch, tmp_path):
    """The fresh one, still starting, has its place; there is no third."""
    hangs = tmp_path / "hangs"
    program = launch("control", sets={"ctl.recycle_age_ms": 1000, "app.hang_file": hangs})
    old = program.pid("ctl")
    hangs.write_text("")
    program.wait_output("is recycled:", 20)
    with Text(program.connect("ctl")) as client:
        assert client.ask("pid") == str(old)
        client.send_message(b"exit 5")
        program.wait_output("which was to replace it, has its place")
    hangs.unlink()
    wait_new_pid(program, "ctl", 0, old)
    assert len(program.workers("ctl")) == 1


def test_by_its_own_wish_somebody_is_there_meanwhile(launch):
    """crew_worker_recycle: the place is filled before the old one has gone."""
    program = launch("control")
    wait_until(lambda: program.status()["uptime_s"] >= 2, "it is no longer young")
    with Text(program.connect("ctl")) as client:
        old = int(client.ask("pid"))
        client.send_message(b"recycle")
        wait_new_pid(program, "ctl", 0, old)
    program.wait_output(f"(pid {old}, generation 1) ended")
    output = program.output()
    told = "leaves by its own wish; it is started again at once"
    assert output.index(told) < output.index(f"(pid {old}, generation 1) ended")
    assert recycled(program) == 1
