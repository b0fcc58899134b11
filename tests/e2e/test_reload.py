"""Reload: new workers from the new program, old ones drained, and nothing lost on the way."""

import os
import shutil
import signal
import threading
import time

import laws
import pytest
from clients import Text
from processes import alive, children, descriptor_count, thread_count, wait_until, zombies
from program import find_binary
from talk import ask, hit, order, wait_busy, wait_new_pid
from wsclient import WebSocket, close_payload

pytestmark = pytest.mark.one_engine


@pytest.fixture
def copy(tmp_path):
    """control as a file of our own, so that it can be replaced as an installation does it."""
    path = tmp_path / "installed"
    shutil.copy2(find_binary("control"), path)
    return path


def install(path, source):
    """A new file under the old name: the old one lives on for those who run it."""
    fresh = path.with_name("fresh")
    shutil.copy2(source, fresh)
    os.rename(fresh, path)


def reload_now(program, *options):
    done = program.cli("reload", *options, seconds=60)
    assert done.returncode == 0, (done.stdout, done.stderr, program.output())


def test_reload(launch):
    program = launch("control", sets={"ctl.workers": 2})
    before = program.lawful()
    old = [w["pid"] for w in before["workers"]]
    reload_now(program)
    after = program.wait_ready(generation=2)
    laws.never_backward(before, laws.check_laws(after))
    assert after["generation"] == 2 and after["pid"] == program.master
    assert not set(old) & {w["pid"] for w in after["workers"]}
    assert sorted((w["service"], w["id"]) for w in after["workers"]) == [
        ("ctl", 0), ("ctl", 1), ("side", 0)
    ]
    wait_until(lambda: not any(map(alive, old)), "the old workers have gone")
    assert ask(program, "gen") == "2"
    program.wait_output("control replaced id 1")
    assert "crash loop" not in program.output()


def test_reload_brings_the_new_program(launch, copy):
    program = launch("control", binary=copy)
    assert ask(program, "variant") == "1"
    install(copy, find_binary("control2"))
    # Until it is told to, nothing of the new file runs: a respawn takes the old one.
    old = program.pid("ctl")
    hit(old)
    wait_new_pid(program, "ctl", 0, old)
    assert ask(program, "variant") == "1"
    reload_now(program)
    assert ask(program, "variant") == "2"
    old = program.pid("ctl")
    hit(old)
    wait_new_pid(program, "ctl", 0, old)
    assert ask(program, "variant") == "2"


BROKEN = {
    "a text": b"this is not a program\n",
    "nothing": b"",
    "half a program": None,
    "another program": b"#!/bin/sh\nexit 0\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_program_is_refused(launch, copy, what):
    """It says so, exits with 1, and goes on with what it has."""
    program = launch("control", binary=copy)
    pid = program.pid("ctl")
    good = copy.read_bytes()
    fresh = copy.with_name("fresh")
    content = BROKEN[what]
    fresh.write_bytes(good[: len(good) // 3] if content is None else content)
    fresh.chmod(0o755)
    os.rename(fresh, copy)
    program.binary = find_binary("control")  # for the commands
    done = program.cli("reload")
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stderr.strip(), "no word about why"
    assert program.pid("ctl") == pid and ask(program, "gen") == "1"
    # Whole again: the next one works.
    fresh.write_bytes(good)
    fresh.chmod(0o755)
    os.rename(fresh, copy)
    reload_now(program)
    assert ask(program, "gen") == "2"


def test_missing_program_is_refused(launch, copy):
    program = launch("control", binary=copy)
    copy.unlink()
    program.binary = find_binary("control")
    assert program.cli("reload").returncode == 1
    assert ask(program, "gen") == "1"


def test_bad_settings_are_refused(launch, tmp_path):
    """The settings are read anew, and checked before anything is replaced."""
    config = tmp_path / "control.ini"
    config.write_text("[app]\nword = one\n")
    program = launch("control", "-c", str(config))
    assert ask(program, "setting word") == "one"
    config.write_text("[app]\nword = two\n[ctl]\nno_such_key = 1\n")
    done = program.cli("reload")
    assert done.returncode == 1 and "no_such_key" in done.stderr + program.output()
    assert ask(program, "setting word") == "one" and ask(program, "gen") == "1"
    config.write_text("[app]\nword = two\nrefuse = 1\n")
    assert program.cli("reload").returncode == 1
    assert ask(program, "gen") == "1"
    config.write_text("[app]\nword = two\n")
    reload_now(program)
    assert ask(program, "setting word") == "two"


def test_new_workers_that_fail_are_rolled_back(launch, tmp_path):
    fails = tmp_path / "fails"
    program = launch("control", sets={"app.fail_file": fails, "ctl.workers": 2})
    old = sorted(w["pid"] for w in program.workers())
    fails.write_text("")
    done = program.cli("reload", seconds=60)
    assert done.returncode == 1 and done.stderr.strip()
    fails.unlink()
    wait_until(lambda: sorted(w["pid"] for w in program.workers()) == old, "as it was before")
    assert ask(program, "gen") == "1"
    assert sorted(children(program.master)) == old
    reload_now(program)


def test_no_connect_is_refused(launch):
    """Clients come and go all the time through five reloads; each is served."""
    program = launch("control", sets={"ctl.workers": 2, "ctl.drain_timeout_ms": 2000})
    end, troubles, served = threading.Event(), [], []

    def load():
        while not end.is_set():
            try:
                served.append(ask(program, "echo x"))
            except (OSError, EOFError) as trouble:
                troubles.append(repr(trouble))

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for _ in range(5):
            reload_now(program, "-g")
    finally:
        end.set()
        loader.join(30)
    assert not troubles, troubles[:3]
    assert len(served) > 20
    totals = program.totals()
    assert totals["messages_sent"] == len(served) and totals["send_fail"] == 0


def test_graceful_reload_waits_for_connections(launch):
    program = launch("control", sets={"ctl.drain_timeout_ms": 1500})
    with Text(program.connect("ctl")) as client:
        old = client.ask("pid")
        done = program.cli("reload", "-g", "--no-wait")
        assert done.returncode == 0
        wait_until(lambda: ask(program, "gen") == "2", "the new worker serves")
        assert client.ask("pid") == old, "cut before its time"
        wait_until(
            lambda: {w["generation"]: w["state"] for w in program.workers("ctl")}
            == {1: "draining", 2: "ready"}, "one drains, the other is ready",
        )
        # At the end of the window it has to go all the same.
        wait_until(lambda: not alive(int(old)), "the old worker has gone")
        assert client.read_all() == b""
    assert program.wait_empty()["closes_by_reason"]["drain"] >= 1


def test_websockets_are_told_1012(launch):
    program = launch("push", sets={"push.drain_timeout_ms": 500})
    clients = [WebSocket(program.connect("push")) for _ in range(5)]
    assert program.cli("reload", "--no-wait").returncode == 0
    for client in clients:
        assert client.read_close() == 1012
        client.send_frame(8, close_payload(1012))
        assert client.at_end()
    program.wait_ready(generation=2)
    with WebSocket(program.connect("push")) as client:
        client.send_message(b"echo new")
        assert client.read_message() == b"new"
    program.wait_empty()


def test_one_at_a_time(launch, tmp_path):
    """While one is under way another one is refused."""
    hangs = tmp_path / "hangs"
    program = launch("control", sets={"app.hang_file": hangs})
    hangs.write_text("")
    assert program.cli("reload", "--no-wait").returncode == 0
    wait_until(lambda: any(w["state"] == "starting" for w in program.workers()), "it hangs")
    done = program.cli("reload")
    assert done.returncode == 1 and done.stderr.strip()
    assert ask(program, "gen") == "1"
    hangs.unlink()
    program.wait_ready(generation=2)


def test_reload_while_a_worker_is_stuck(launch):
    """The stuck one is killed at the end of its time; the new one serves."""
    program = launch("control", sets={"ctl.drain_timeout_ms": 500})
    client = order(program, "loop")
    old = wait_busy(program)["pid"]
    reload_now(program)
    assert ask(program, "gen") == "2"
    wait_until(lambda: not alive(old), "the stuck worker has gone")
    client.close()


def test_signal_reloads(launch):
    program = launch("control")
    hit(program.master, signal.SIGHUP)
    wait_until(lambda: program.status()["generation"] == 2, "the new generation")
    program.wait_ready(generation=2)
    assert ask(program, "gen") == "2"


def test_unix_socket_through_reloads(launch):
    """Its path is there all the time and after it."""
    program = launch("control")
    for generation in (2, 3):
        reload_now(program)
        assert ask(program, "gen", "side") == str(generation)


def figures(program):
    return [(descriptor_count(pid), thread_count(pid))
            for pid in (program.master, program.pid("ctl"))]


def test_fifty_reloads(launch):
    """No descriptor, no thread, no process, no zombie is left over, in the master or a worker."""
    program = launch("control", sets={"ctl.workers": 2})
    reload_now(program)
    program.wait_ready(generation=2)
    time.sleep(0.1)
    before = figures(program)
    for _ in range(50):
        reload_now(program)
    status = program.wait_ready(generation=52)
    wait_until(lambda: len(children(program.master)) == 3, "only the last generation")
    wait_until(
        lambda: figures(program) == before,
        f"as many descriptors and threads as after the first reload ({before})",
    )
    assert not zombies(program.master)
    laws.check_laws(status)
    assert status["totals"]["workers"] == 3
