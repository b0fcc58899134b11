"""Slow work off the loop: the loop answers meanwhile, what is too much is refused, and how it ends."""

import threading

import pytest
from clients import Text
from processes import thread_names, wait_until

pytestmark = pytest.mark.one_engine  # threads and a post: the engine sees one descriptor


def desk(launch, *options, **sets):
    return launch("desk", *options, sets={f"desk.{key}": value for key, value in sets.items()})


def say(client, line):
    client.send_message(line.encode())


def hear(client):
    return client.read_message().decode()


def let_through(program, *names):
    for name in names:
        (program.directory / name).touch()


def counters(program):
    worker = program.workers("desk")[0]
    return {key[8:]: value for key, value in worker.items() if key.startswith("offload_")}


def wait_counters(program, **wanted):
    wait_until(lambda: wanted.items() <= counters(program).items(), f"{wanted}")


def threads(pid):
    return sorted(name for name in thread_names(pid) if name.startswith("offload/"))


def told(program):
    return [line.partition("told: ")[2] for line in program.output().splitlines() if "told: " in line]


@pytest.mark.parametrize("options", [(), ("--single",)], ids=["master", "single"])
def test_the_loop_answers_while_work_stands_still(launch, options):
    program = desk(launch, *options, offload_threads=2)
    pid = program.pid("desk")
    assert threads(pid) == []
    with Text(program.connect("desk")) as client:
        for name in "abc":
            say(client, f"hold {name}")
        wait_counters(program, running=2, queued=1)
        say(client, "ping")
        assert hear(client) == "pong"
        assert threads(pid) == ["offload/0", "offload/1"]
        shown = program.workers("desk")[0]["offload"]
        assert shown["job"] == "hold"
        wait_until(lambda: program.workers("desk")[0]["offload"]["job_ms"] > shown["job_ms"],
                   "the job grows older")
        text = program.cli("status").stdout
        assert "SLOW WORK" in text and "hold" in text.partition("SLOW WORK")[2]
        let_through(program, "b")
        assert hear(client) == "b done"
        let_through(program, "c", "a")
        assert {hear(client), hear(client)} == {"a done", "c done"}
        say(client, "many 500")
        assert hear(client) == "500 done"
        say(client, "descriptors")
        # Its standard ones, and the one it lists them by.
        assert hear(client) == "4"
    wait_counters(program, offered=504, done=504, running=0, queued=0)
    assert program.workers("desk")[0]["offload"]["job"] is None
    if not options:
        wait_until(lambda: not threads(pid), "idle threads have ended", 20)


def test_what_is_too_much_is_refused_or_late(launch):
    program = desk(launch, offload_threads=1, offload_queue=1, offload_timeout_ms="off")
    with Text(program.connect("desk")) as client:
        say(client, "hold a")
        wait_counters(program, running=1)
        assert program.cli("set", "desk.offload_timeout_ms=1").returncode == 0
        say(client, "hold b")
        assert hear(client) == "b ETIMEDOUT"
        assert program.cli("set", "desk.offload_timeout_ms=off").returncode == 0
        say(client, "hold c")
        say(client, "hold d")
        assert hear(client) == "ENOBUFS"
        assert program.cli("set", "desk.offload_queue=2").returncode == 0
        say(client, "held e")
        wait_counters(program, queued=2, refused=1, late=1)
    # Nobody is there any more that e was for; the others do not know.
    program.wait_empty()
    let_through(program, "a", "c", "e")
    wait_counters(program, done=2, canceled=1)
    assert told(program) == ["b ETIMEDOUT", "a done", "c done", "e ENOTCONN"]
    program.wait_output("slow work is refused: 1 jobs wait")


@pytest.mark.parametrize("options", [(), ("--single",)], ids=["master", "single"])
def test_a_stop_waits_for_work(launch, options):
    program = desk(launch, *options, offload_threads=1, stop_timeout_ms=60000)
    with Text(program.connect("desk")) as client:
        for name in "abc":
            say(client, f"hold {name}")
        wait_counters(program, running=1, queued=2)
        stopping = threading.Thread(target=program.stop)
        stopping.start()
        wait_until(lambda: program.workers("desk")[0]["state"] == "draining", "it drains")
        let_through(program, "a", "b", "c")
        stopping.join()
    assert told(program) == ["a done", "b done", "c done", "the end"]
    assert "left behind" not in program.output()


@pytest.mark.parametrize("options", [(), ("--single",)], ids=["master", "single"])
def test_a_stop_leaves_behind_what_does_not_come_back(launch, options):
    program = desk(launch, *options, offload_threads=1, stop_timeout_ms=300)
    with Text(program.connect("desk")) as client:
        say(client, "hold ever")
        say(client, "hold queued")
        wait_counters(program, running=1, queued=1)
        program.stop()
    assert told(program) == ["queued ECANCELED", "the end"]
    program.wait_output("the slow work hold still runs after")


def test_a_reload_with_work_in_hand(launch):
    program = desk(launch, offload_threads=1)
    with Text(program.connect("desk")) as client:
        say(client, "hold a")
        say(client, "hold b")
        wait_counters(program, running=1, queued=1)
        reloading = program.cli("reload", "--no-wait")
        assert reloading.returncode == 0, reloading.stderr
        wait_until(lambda: len(program.workers("desk")) == 2, "both generations live")
        let_through(program, "a", "b")
        program.wait_ready(generation=2)
    assert told(program) == ["a done", "b done", "the end"]
    assert program.totals()["offload_done"] == 2
