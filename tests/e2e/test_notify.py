"""What a program tells its service manager: the whole order of it, and when it is silent."""

import os
import signal
import time

import pytest
from manager import Manager
from processes import alive, wait_until
from talk import ask, hit, order

pytestmark = pytest.mark.one_engine


@pytest.fixture(params=["file", "abstract"])
def either(request, tmp_path):
    path = tmp_path / "notify"
    yield from managed(path if request.param == "file" else f"@crew-test-{os.getpid()}")


@pytest.fixture
def manager(tmp_path):
    yield from managed(tmp_path / "notify")


def managed(name):
    one = Manager(name)
    yield one
    one.close()


def test_from_start_to_stop(launch, either):
    program = launch("control", sets={"ctl.workers": 2}, env=either.environment())
    either.wait("READY", "1")
    assert "generation 1: 3 workers ready" in either.last("STATUS"), either.messages
    assert int(either.messages[0]["EXTEND_TIMEOUT_USEC"]) > 10_000_000
    assert "starting" in either.messages[0]["STATUS"]
    program.stop()
    either.wait("STOPPING", "1")
    assert either.order("READY", "RELOADING", "STOPPING") == ["READY=1", "STOPPING=1"]
    assert "WATCHDOG" not in str(either.messages), "nobody asked for signs of life"


def test_workers_have_no_manager(launch, manager):
    """Neither they nor what they execute speak in the program's name."""
    given = manager.environment(WATCHDOG_USEC="9000000", WATCHDOG_PID="1", LISTEN_FDS="1",
                                LISTEN_PID="1", LISTEN_FDNAMES="ctl")
    program = launch("control", env={**given, "TOKEN": "seen"})
    assert ask(program, "env TOKEN") == "seen"
    for name in given:
        assert ask(program, f"env {name}") == "(unset)", name


def test_daemon(launch, manager):
    """The manager hears which process is the main one before that one speaks."""
    program = launch("control", start=False)
    program.start_daemon(env=manager.environment())
    manager.wait("READY", "1")
    assert manager.order("MAINPID", "READY") == [f"MAINPID={program.master}", "READY=1"]
    program.stop()
    manager.wait("STOPPING", "1")


def test_single(launch, manager):
    program = launch("control", "--single", env=manager.environment(WATCHDOG_USEC="400000"))
    manager.wait("READY", "1")
    manager.wait("WATCHDOG", "1", 3)
    program.stop()
    assert manager.order("READY", "STOPPING") == ["READY=1", "STOPPING=1"]


def test_reload(launch, manager):
    program = launch("control", env=manager.environment())
    before_us = time.monotonic_ns() // 1000
    assert program.cli("reload").returncode == 0
    manager.wait("READY", "1", 2)
    assert manager.order("READY", "RELOADING") == ["READY=1", "RELOADING=1", "READY=1"]
    began_us = int(manager.last("MONOTONIC_USEC"))
    assert before_us <= began_us <= time.monotonic_ns() // 1000
    reloading = [m for m in manager.messages if "RELOADING" in m]
    assert len(reloading) == 1 and "MONOTONIC_USEC" in reloading[0], "both belong together"
    assert "generation 2" in manager.last("STATUS")
    assert "failed" not in manager.last("STATUS").replace("sends failed", "")


def test_failed_reload(launch, manager, tmp_path):
    """A manager that asked for a reload by a signal waits for its end, also of one that is refused
    at once and of one that fails later."""
    fail_file = tmp_path / "fail"
    config = tmp_path / "control.ini"
    config.write_text(f"[app]\nfail_file = {fail_file}\n")
    program = launch("control", "-c", str(config), env=manager.environment())
    fail_file.touch()
    hit(program.master, signal.SIGHUP)
    manager.wait("READY", "1", 2)
    assert manager.order("READY", "RELOADING") == ["READY=1", "RELOADING=1", "READY=1"]
    assert "reload failed" in manager.last("STATUS") and "generation 1" in manager.last("STATUS")
    config.write_text("[ctl]\nno_such_key = 1\n")
    hit(program.master, signal.SIGHUP)
    manager.wait("READY", "1", 3)
    assert "reload refused" in manager.last("STATUS")
    assert "no_such_key" in manager.last("STATUS")
    fail_file.unlink()
    config.write_text("")
    assert program.cli("reload", "-c", str(config)).returncode == 0
    manager.wait("READY", "1", 4)
    assert "reload" not in manager.last("STATUS"), "what went wrong before is over"


def test_failed_start(launch, manager):
    program = launch("control")
    other = launch("control", listens={"ctl": program.listens["ctl"]}, start=False)
    other.may_fail = True
    assert other.spawn(env=manager.environment()).wait(20) == 1
    manager.wait("ERRNO")
    assert manager.last("ERRNO") == "98"
    assert "not started" in manager.last("STATUS") and "in use" in manager.last("STATUS")
    assert not manager.all("READY")


def test_worker_that_fails_to_start(launch, manager, tmp_path):
    fail_file = tmp_path / "fail"
    fail_file.touch()
    program = launch("control", sets={"app.fail_file": fail_file}, start=False)
    program.may_fail = True
    assert program.spawn(env=manager.environment()).wait(20) == 1
    manager.wait_status("worker 0 failed to start: on_worker_start")
    assert not manager.all("READY") and not manager.all("STOPPING")


def wait_quiet(manager, seconds):
    """Until no sign of life has come for so long."""
    def quiet():
        count = len(manager.all("WATCHDOG"))
        time.sleep(seconds)
        return count == len(manager.all("WATCHDOG"))

    wait_until(quiet, "signs of life are withheld", 20)


def test_stuck_worker(launch, manager):
    program = launch("control", sets={"ctl.workers": 2},
                     env=manager.environment(WATCHDOG_USEC="400000"))
    manager.wait("WATCHDOG", "1", 3)
    stuck = order(program, "loop")
    manager.wait_status("has been in on_message for")
    wait_quiet(manager, 0.6)
    program.wait_output("the service manager gets no sign of life until it goes on")
    pid = [w["pid"] for w in program.workers("ctl") if w["state"] == "busy"][0]
    assert f"(pid {pid})" in manager.last("STATUS")
    count = len(manager.all("WATCHDOG"))
    hit(pid)
    manager.wait("WATCHDOG", "1", count + 2)
    wait_until(lambda: "on_message" not in manager.last("STATUS"), "STATUS without it")
    stuck.close()


def test_stopped_worker(launch, manager):
    """One that is stopped while its loop waits has no turn that lasts."""
    program = launch("control", env=manager.environment(WATCHDOG_USEC="400000"))
    pid = program.pid("ctl")
    hit(pid, signal.SIGSTOP)
    manager.wait_status(f"ctl#0 (pid {pid}) is stopped by a signal")
    wait_quiet(manager, 0.6)
    count = len(manager.all("WATCHDOG"))
    hit(pid, signal.SIGCONT)
    manager.wait("WATCHDOG", "1", count + 2)
    assert alive(pid)


def test_signs_of_life_of_another(launch, manager):
    """WATCHDOG_PID names another process: they are not ours to give."""
    launch("control", env=manager.environment(WATCHDOG_USEC="100000", WATCHDOG_PID="1"))
    manager.wait("READY", "1")
    time.sleep(0.3)
    assert not manager.all("WATCHDOG")


def test_figures(launch, manager):
    """They are refreshed by themselves, and only when they have changed."""
    program = launch("control", env=manager.environment())
    with program.connect("ctl"):
        manager.wait_status("1 connection,")
    texts = manager.all("STATUS")
    assert all(a != b for a, b in zip(texts, texts[1:])), texts


def test_manager_that_goes(launch, tmp_path):
    """It costs a line in the log, once; and one that comes back under the same name is heard."""
    path = tmp_path / "notify"
    manager = Manager(path)
    program = launch("control", env=manager.environment(WATCHDOG_USEC="200000"))
    manager.wait("WATCHDOG", "1", 2)
    manager.close()
    path.unlink()
    program.wait_output("the service manager does not hear")
    assert program.cli("reload").returncode == 0
    back = Manager(path)
    back.wait("WATCHDOG", "1", 2)
    assert program.output().count("the service manager does not hear") == 1
    back.close()


def test_manager_that_does_not_read(launch, tmp_path):
    """Its queue is full: nothing waits, and the news come once there is room, in their order."""
    import socket  # pylint: disable=import-outside-toplevel

    path = tmp_path / "notify"
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    deaf.bind(str(path))
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    filled = 0
    try:
        while True:
            sender.sendto(b"X=1", str(path))
            filled += 1
    except BlockingIOError:
        pass
    program = launch("control", env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"})
    assert program.cli("reload").returncode == 0
    deaf.settimeout(10)
    states = []
    while len(states) < 3:
        for line in deaf.recv(65536).decode().split("\n"):
            if line.startswith(("READY", "RELOADING")):
                states.append(line)
    assert states == ["READY=1", "RELOADING=1", "READY=1"] and filled > 0
    sender.close()
    deaf.close()
