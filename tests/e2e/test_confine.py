"""What workers are left with, whole: users, capabilities, the filter of system calls, another root; and
what happens when it cannot be."""

import os
import random
import signal
import socket
import subprocess

import pytest
from processes import alive, children, wait_until
from talk import ask, hit

pytestmark = pytest.mark.one_engine
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
# The leak sanitizer traces its own process.
NO_TRACING = {"ASAN_OPTIONS": "detect_leaks=0"}


def proc_status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {line.split(":")[0]: line.partition(":")[2].split() for line in file}


def open_to_all(program):
    for path in [program.directory, *program.directory.parents[:1]]:
        path.chmod(0o755)


@needs_root
def test_a_worker_below_1024_keeps_one_capability(launch):
    """The master opens the port; the worker has what is named, and what it executes has nothing."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = next(p for p in random.sample(range(700, 1000), 100)
                    if probe.connect_ex(("127.0.0.1", p)))
    program = launch("control", start=False, sets={
        "ctl.user": "nobody", "ctl.capabilities": "net_raw", "ctl.umask": "027",
        "ctl.nice": "3", "ctl.oom_score_adj": "250", "ctl.limit_nofile": "200",
        "ctl.cpu_affinity": "auto",
    }, listens={"ctl": f"text://127.0.0.1:{port}"})
    program.ports["ctl"] = port
    open_to_all(program)
    program.start()
    assert ask(program, "id") == "0"
    pid = program.pid("ctl")
    found = proc_status(pid)
    assert set(found["Uid"]) == set(found["Gid"]) == {"65534"}
    assert "0" not in found["Groups"]
    raw = 1 << 13
    assert [int(found[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")] == [raw] * 3
    assert int(found["CapInh"][0], 16) == int(found["CapAmb"][0], 16) == 0
    assert found["NoNewPrivs"] == ["1"] and found["Umask"] == ["0027"]
    assert len(os.sched_getaffinity(pid)) == 1
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
        assert file.read().strip() == "250"
    assert os.getpriority(os.PRIO_PROCESS, pid) == 3
    # The other service is as it was, but for privileges.
    other = proc_status(program.pid("side"))
    assert set(other["Uid"]) == {"0"} and other["NoNewPrivs"] == ["1"]
    assert program.cli("reload").returncode == 0
    assert proc_status(program.pid("ctl"))["CapEff"] == found["CapEff"]


@needs_root
def test_another_root_with_a_filter(launch):
    program = launch("control", start=False, sets={
        "ctl.user": "nobody", "ctl.seccomp": "default",
    })
    program.sets["ctl.chroot"] = program.directory
    open_to_all(program)
    program.start(env=NO_TRACING)
    assert ask(program, "id") == "0"
    pid = program.pid("ctl")
    assert os.readlink(f"/proc/{pid}/root") == str(program.directory)
    assert proc_status(pid)["Seccomp"] == ["2"]
    assert proc_status(program.pid("side"))["Seccomp"] == ["0"]


@pytest.mark.parametrize("key, value, words", [
    ("user", "no-such-user", "no such user"),
    ("group", "no-such-group", "no such group"),
    ("capabilities", "net_rwa", 'did you mean "net_raw"'),
    ("chroot", "/nowhere/at/all", "No such file"),
    ("cpu_affinity", "1000", "processor 1000 is not there"),
    ("nice", "99", "-20 to 19"),
])
def test_what_cannot_be_refuses_to_start(launch, key, value, words):
    program = launch("control", start=False, sets={f"ctl.{key}": value})
    program.may_fail = True
    for command in ("configtest", "start"):
        done = program.cli(command, *program.arguments()[2:])
        assert done.returncode == 1 and words in done.stderr and f"ctl.{key}" in done.stderr
    assert program.cli("status").returncode == 3


@needs_root
def test_somebody_is_told_what_only_root_can_do(launch):
    program = launch("control", start=False)
    open_to_all(program)
    program.may_fail = True
    place = program.directory / "own"
    place.mkdir()
    place.chmod(0o777)
    for key, value in (("capabilities", "net_raw"), ("chroot", "/usr"), ("nice", "-5")):
        done = subprocess.run(
            [program.binary, "start", "--run-dir", place / "run", "--set", f"ctl.{key}={value}"],
            capture_output=True, text=True, timeout=30, check=False, user="nobody", group="nogroup",
            extra_groups=[], env={**os.environ, **NO_TRACING},
        )
        assert done.returncode == 1 and f"ctl.{key}" in done.stderr, done.stderr


@needs_root
def test_a_run_directory_that_cannot_be_written(launch):
    program = launch("control", start=False)
    open_to_all(program)
    program.may_fail = True
    done = subprocess.run(
        [program.binary, "start", "--run-dir", "/proc/self/fdinfo/run"],
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert done.returncode == 1 and "/proc/self/fdinfo/run" in done.stderr
    place = program.directory / "readonly"
    place.mkdir(mode=0o755)
    done = subprocess.run(
        [program.binary, "start", "--run-dir", place], capture_output=True, text=True, timeout=30,
        check=False, user="nobody", group="nogroup", extra_groups=[],
    )
    assert done.returncode == 1 and str(place) in done.stderr
    assert not list(place.iterdir())


def test_single_names_what_it_leaves_out(launch):
    program = launch("control", "--single", sets={
        "ctl.recycle_requests": 1, "ctl.limit_core": 0,
    })
    program.wait_output(
        "with --single these settings of ctl do nothing: limit_core, recycle_requests")
    assert ask(program, "id") == ask(program, "id") == "0"


def test_few_descriptors(launch):
    """nofile=64 for the master too: it starts, reloads and recycles, and forgets nobody."""
    program = launch("control", nofile=64, sets={
        "ctl.workers": 2, "ctl.recycle_age_ms": 1500,
    })
    wait_until(lambda: program.totals()["recycled"] >= 1, "one is recycled", 20)
    assert program.cli("reload", seconds=60).returncode == 0
    assert ask(program, "gen") == "2"
    program.wait_ready()


def test_storms_of_deaths(launch):
    """k of n killed at random, again and again: all come back, each once."""
    program = launch("control", sets={"ctl.workers": 5})
    dice = random.Random(7)
    for _ in range(4):
        pids = {w["id"]: w["pid"] for w in program.workers("ctl") if w["state"] != "exited"}
        victims = dice.sample(sorted(pids), dice.randint(2, 5))
        hit(program.master, signal.SIGSTOP)
        for victim in victims:
            hit(pids[victim])
        hit(program.master, signal.SIGCONT)
        wait_until(lambda pids=pids, victims=victims: all(
            program.pid("ctl", v) not in (None, pids[v]) for v in victims), "all are back", 30)
        program.wait_ready()
    assert len(children(program.master)) == 6
    assert sorted(w["id"] for w in program.workers("ctl")) == [0, 1, 2, 3, 4]


def test_a_stopped_worker_does_not_hold_up_a_reload(launch):
    """SIGSTOP: it meets its deadline, and the reload ends well."""
    program = launch("control", sets={"ctl.workers": 2})
    pid = program.pid("ctl", 1)
    hit(pid, signal.SIGSTOP)
    done = program.cli("reload", seconds=60)
    assert done.returncode == 0, done.stderr
    assert not alive(pid)
    assert program.wait_ready(generation=2)
