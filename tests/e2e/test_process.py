"""Processes: starting, stopping, dying, and coming back."""

import os
import random
import signal
import subprocess
import threading
import time

import laws
import pytest
from clients import Text
from processes import alive, children, reap, wait_until, zombies
from talk import ask, hit, order, wait_busy, wait_new_pid


# ---- start and stop ----


def test_start_and_stop(launch):
    program = launch("control", sets={"ctl.workers": 3})
    status = program.lawful()
    assert sorted((w["service"], w["id"]) for w in status["workers"]) == [
        ("ctl", 0), ("ctl", 1), ("ctl", 2), ("side", 0)
    ]
    assert sorted(children(program.master)) == sorted(w["pid"] for w in status["workers"])
    assert all(w["generation"] == 1 for w in status["workers"])
    assert status["mode"] == "foreground" and status["app"] == "control"
    assert ask(program, "id", "side") == "0"
    socket_file = program.run_dir / "side.sock"
    assert socket_file.is_socket()
    program.stop()
    program.wait_output("control stopped id 2")
    assert not socket_file.exists(), "the Unix socket was left behind"
    assert program.cli("status").returncode == 3
    assert program.cli("stop").returncode == 3


def test_files_are_not_for_others(launch):
    """Nobody else may write the pid file or speak to the control socket."""
    old = os.umask(0)
    try:
        program = launch("control")
    finally:
        os.umask(old)
    for path in program.run_dir.iterdir():
        if path.name != "side.sock":
            assert path.stat().st_mode & 0o022 == 0, path


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_by_signal(launch, how):
    program = launch("control")
    hit(program.master, how)
    assert program.process.wait(10) == 0
    program.sweep()


def test_daemon(launch):
    program = launch("control", start=False).start_daemon()
    assert program.status()["mode"] == "daemon"
    assert os.getsid(program.master) != os.getsid(0), "it kept our session"
    assert ask(program, "pid") == str(program.pid("ctl"))
    log = list(program.run_dir.glob("*.log"))
    assert log and "control started" in log[0].read_text()
    done = program.cli("start", "-d", *program.arguments()[2:])
    assert done.returncode == 1 and str(program.master) in done.stderr
    program.stop()


def test_single(launch):
    program = launch("control", "--single")
    status = program.lawful()
    assert status["mode"] == "single"
    assert {w["pid"] for w in status["workers"]} == {program.process.pid}
    assert not children(program.process.pid)
    assert ask(program, "pid") == ask(program, "pid", "side") == str(program.process.pid)
    assert len(program.connections()) == 0


def test_second_start(launch):
    program = launch("control")
    done = program.cli("start", *program.arguments()[2:])
    assert done.returncode == 1
    assert str(program.master) in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert ask(program, "id") == "0", "the first one suffered"


def test_two_instances_by_run_dir(launch):
    one, two = launch("control"), launch("control")
    assert one.master != two.master
    one.stop()
    assert ask(two, "pid") == str(two.pid("ctl"))


@pytest.mark.parametrize("options", [[], ["--single"]], ids=["master", "single"])
def test_graceful_stop(launch, options):
    """`stop -g` waits for those who are there, and takes nobody new."""
    program = launch("control", *options, sets={"ctl.drain_timeout_ms": 20000})
    client = Text(program.connect("ctl"))
    assert client.ask("id") == "0"
    stopping = subprocess.Popen(
        [program.binary, "stop", "-g", "--run-dir", program.run_dir], stdout=subprocess.DEVNULL
    )
    wait_until(
        lambda: all(w["state"] in ("draining", "exited") for w in program.workers("ctl"))
        and program.workers("ctl"), "draining",
    )
    assert client.ask("echo still served") == "still served"
    with pytest.raises(ConnectionError):  # at once: not kept waiting until everybody has gone
        Text(program.connect("ctl")).ask("id")
    assert stopping.poll() is None
    client.close()
    assert stopping.wait(15) == 0
    assert program.process.wait(10) == 0


def test_stop_cuts_a_graceful_stop_short(launch):
    program = launch("control", sets={"ctl.drain_timeout_ms": 60000})
    client = Text(program.connect("ctl"))
    assert client.ask("id") == "0"
    stopping = subprocess.Popen(
        [program.binary, "stop", "-g", "--run-dir", program.run_dir], stdout=subprocess.DEVNULL
    )
    wait_until(lambda: program.workers("ctl")[0]["state"] == "draining", "draining")
    program.stop()
    assert stopping.wait(10) == 0
    client.close()


def test_stop_with_endless_timers_and_a_stuck_worker(launch):
    """Timers of the program keep nobody alive, and one that stands still is killed."""
    program = launch("control", sets={"ctl.workers": 2, "ctl.reuse_port": "on"})
    assert ask(program, "tick") == "1"
    client = order(program, "loop")
    wait_busy(program)
    program.stop()
    client.close()


def test_restart(launch):
    program = launch("control", start=False).start_daemon()
    old = program.master
    done = program.cli("restart", "-d", *program.arguments()[2:])
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not alive(old), "the old master has gone")
    reap(old)
    program.master = program.status()["pid"]
    assert program.master != old
    assert ask(program, "id") == "0"
    program.stop()
    done = program.cli("restart", "-d", *program.arguments()[2:])
    assert done.returncode == 0, "nothing ran, so there was nothing to stop"
    program.master = program.status()["pid"]
    assert ask(program, "id") == "0"


def test_two_starts_at_once(launch):
    """One of them wins, the other one says so; whichever it is, it is whole."""
    program = launch("control", start=False)
    command = [program.binary, "start", "-d", *program.arguments()]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            for _ in range(2)]
    said = [one.communicate(timeout=30)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], said
    program.master = program.wait_ready()["pid"]
    assert ask(program, "id") == "0"


# ---- dying ----


def test_kill_workers_under_load(launch):
    """Ten times: same id again, totals never backward, the other service notices nothing."""
    program = launch("control", sets={"ctl.workers": 3})
    dice = random.Random(4)
    steady = Text(program.connect("side"))
    end = threading.Event()

    def load():
        while not end.is_set():
            try:
                ask(program, "echo load")
            except (OSError, EOFError):
                pass

    loaders = [threading.Thread(target=load) for _ in range(2)]
    for loader in loaders:
        loader.start()
    try:
        before = program.lawful()
        for number in range(10):
            which = dice.randrange(3)
            old = program.pid("ctl", which)
            hit(old)
            wait_new_pid(program, "ctl", which, old)
            assert steady.ask(f"echo {number}") == str(number)
            after = program.lawful()
            laws.never_backward(before, after)
            assert sorted(w["id"] for w in after["workers"] if w["service"] == "ctl") == [0, 1, 2]
            before = after
    finally:
        end.set()
        for loader in loaders:
            loader.join(30)
    killed = [e for e in program.status()["exits"] if e["signal"] == signal.SIGKILL]
    assert [(e["service"], e["count"]) for e in killed] == [("ctl", 10)]
    assert not zombies(program.master)
    steady.close()


def test_two_killed_at_once(launch):
    program = launch("control", sets={"ctl.workers": 4})
    old = {number: program.pid("ctl", number) for number in range(4)}
    hit(program.master, signal.SIGSTOP)  # so that it hears of both at the same time
    hit(old[1])
    hit(old[2])
    hit(program.master, signal.SIGCONT)
    for number in (1, 2):
        wait_new_pid(program, "ctl", number, old[number])
    assert program.pid("ctl", 0) == old[0] and program.pid("ctl", 3) == old[3]


def test_crash_accounts(launch):
    """What a dead worker had open or queued is `crash`; its other numbers stay, gauges go."""
    program = launch("control")
    with Text(program.connect("ctl")) as idle:
        assert idle.ask("count 7") == "7"
        old = program.pid("ctl")
        client = order(program, "crash")
        wait_new_pid(program, "ctl", 0, old)
        client.close()
        totals = program.totals()
        assert totals["closes_by_reason"]["crash"] == 2 and totals["connections"] == 0
        assert totals["counted"] == 7 and totals["total_request"] == 2
        assert idle.read_all() == b""
    output = program.output()
    assert "SIGSEGV" in output or "signal 11" in output or "Segmentation" in output
    assert [e["signal"] for e in program.status()["exits"]] == [signal.SIGSEGV]


def test_on_worker_exit_in_the_master(launch):
    program = launch("control")
    old = program.pid("ctl")
    order(program, "exit 9").close()
    wait_new_pid(program, "ctl", 0, old)
    program.wait_output(
        f"control exit service ctl id 0 pid {old} status 9 signal 0 expected 0 in {program.master}"
    )
    assert {"service": "ctl", "status": 9, "signal": None, "count": 1} in program.status()["exits"]
    program.stop()
    program.wait_output("expected 1")


def test_recycle(launch):
    """A worker that asks to be replaced leaves in good order; no crash, no back-off."""
    program = launch("control")
    with Text(program.connect("ctl")) as client:
        old = int(client.ask("pid"))
        client.send_message(b"recycle")
        wait_new_pid(program, "ctl", 0, old)
    assert [(e["status"], e["signal"]) for e in program.status()["exits"]] == [(0, None)]
    program.wait_output("control stopped id 0")
    assert program.totals()["closes_by_reason"]["crash"] == 0


def test_crash_loop_backs_off(launch, tmp_path):
    """Dying young again and again: told as such, fewer and fewer tries, and it recovers."""
    fails = tmp_path / "fails"
    program = launch("control", sets={"app.fail_file": fails})
    fails.write_text("")
    hit(program.pid("ctl"))
    program.wait_output("crash loop", 20)
    states = [w["state"] for w in program.workers("ctl")]
    assert states == ["exited"] or states == ["starting"]
    assert ask(program, "echo the other service works", "side").endswith("works")
    first = time.monotonic()
    tries = sum(e["count"] for e in program.status()["exits"])
    time.sleep(1.5)
    more = sum(e["count"] for e in program.status()["exits"]) - tries
    assert more <= 6, f"{more} tries in {time.monotonic() - first:.1f} s: no back-off"
    program.lawful()
    fails.unlink()
    program.wait_ready()
    assert ask(program, "id") == "0"


def test_young_exits_back_off(launch):
    """Ready, but dead soon after, again and again: that is a crash loop too."""
    program = launch("control", start=False, sets={"app.young_ms": 30})
    program.spawn()
    program.wait_output("crash loop", 20)
    wait_until(program.try_status, "a status")
    assert any(e["status"] == 7 for e in program.status()["exits"])
    program.stop()


def test_daemon_that_cannot_start_says_so(launch, tmp_path):
    fails = tmp_path / "fails"
    fails.write_text("")
    program = launch("control", start=False, sets={"app.fail_file": fails})
    program.may_fail = True
    process = program.spawn("-d")
    assert process.wait(40) == 1
    assert "ctl" in program.output_path.read_text() or "side" in program.output_path.read_text()
    program.sweep()
    assert program.cli("status").returncode == 3


# ---- the master ----


def test_master_killed(launch):
    """The workers end by themselves, and the next start works, stale files and all."""
    program = launch("control", sets={"ctl.workers": 2})
    pids = [w["pid"] for w in program.workers()]
    program.kill_master()
    wait_until(lambda: not any(map(alive, pids)), "the workers end")
    program.sweep()
    assert (program.run_dir / "side.sock").exists(), "nobody was there to remove it"
    assert program.cli("status").returncode == 3
    program.start()
    assert ask(program, "id", "side") == "0"


def test_master_killed_while_a_worker_is_stuck(launch):
    program = launch("control", sets={"ctl.workers": 2, "ctl.reuse_port": "on"})
    client = order(program, "block 2000")
    wait_busy(program)
    pids = [w["pid"] for w in program.workers()]
    program.kill_master()
    wait_until(lambda: not any(map(alive, pids)), "the workers end", 20)
    client.close()


def test_stopped_worker_is_not_dead(launch):
    """SIGSTOP: the master leaves it alone, and kills it at the stop."""
    program = launch("control")
    pid = program.pid("ctl")
    hit(pid, signal.SIGSTOP)
    time.sleep(0.5)
    status = program.lawful()
    assert [w["pid"] for w in status["workers"] if w["service"] == "ctl"] == [pid]
    assert not status["exits"]
    assert ask(program, "id", "side") == "0"
    program.stop()
    assert not alive(pid)


def test_recycled_pid_is_left_alone(launch):
    """A pid file that names another live process of the same name, and is not locked by it."""
    victim, program = launch("control"), launch("control")
    names = [p for p in program.run_dir.iterdir() if p.is_file()
             and str(program.master) in p.read_text(errors="replace").split()]
    assert len(names) == 1, "which of them is the pid file?"
    text = names[0].read_text()
    old = program.master
    program.stop()
    names[0].write_text(text.replace(str(old), str(victim.master)))
    for command in ("stop", "status", "reload"):
        assert program.cli(command).returncode == 3, command
    assert alive(victim.master) and ask(victim, "id") == "0"
    program.start()
    assert ask(program, "id") == "0"
