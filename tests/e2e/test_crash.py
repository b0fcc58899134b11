"""Workers that die and workers that stand still: what the master tells of them.

The engine plays no part here. Sanitizers have handlers of their own for faults; here they are asked to
leave them to crew, so that the same is tested in every build."""

import os
import signal
import subprocess

import pytest
from processes import PATIENCE, wait_until
from program import find_binary

pytestmark = pytest.mark.one_engine

OURS = {"ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
                        "use_sigaltstack=0:disable_coredump=0"}


def say(program, line):
    """Send a line and hear what comes back; b"" when the worker died of it."""
    with program.connect("crash") as sock:
        sock.sendall(line.encode() + b"\n")
        try:
            return sock.recv(100)
        except ConnectionError:
            return b""


def last_death(program):
    deaths = program.status()["last_deaths"]
    return deaths[0] if deaths else None


def die(program, line):
    """What `status` knows of the death that follows."""
    before = program.pid("crash")
    say(program, line)
    wait_until(lambda: (last_death(program) or {}).get("pid") == before, f"dead of {line}")
    wait_until(lambda: program.pid("crash"), "another one lives", 15)
    return last_death(program)


def test_every_fault_leaves_its_words(launch):
    program = launch("crash", env=OURS)
    cases = [
        ("null", signal.SIGSEGV, "nothing is mapped at address 0x8", "write_nowhere"),
        ("jump", signal.SIGSEGV, "nothing is mapped at address 0x10", "jump_nowhere"),
        ("bus", signal.SIGBUS, "the mapped file ends before", "read_cut_file"),
        ("divide", signal.SIGFPE, "", "divide_by_zero"),
        ("illegal", signal.SIGILL, "", "do_illegal"),
        ("abort", signal.SIGABRT, "it gave itself up", "give_up"),
        ("forbidden", signal.SIGSYS, "is forbidden here", "do_forbidden"),
    ]
    for number, (line, signo, words, function) in enumerate(cases):
        death = die(program, line)
        assert death["signal"] == signo, death
        assert words in death["words"], death
        assert any(frame.startswith(function + "+0x") for frame in death["stack"]), death
        assert death["in"] == "on_message"
        if number % 2:  # no long waits: there is more to come
            program.cli("reload")
            program.wait_ready()
    program.wait_output("was killed by SIGSEGV")
    program.wait_output("call_write_nowhere+0x")


def test_overflow_smash_thread_and_fork(launch):
    program = launch("crash", env=OURS)
    death = die(program, "overflow")
    assert "the stack overflowed" in death["words"], death
    assert any("call_for_ever" in frame and " times" in frame for frame in death["stack"]), death
    assert any(frame.startswith("on_message+") for frame in death["stack"]), death
    death = die(program, "smash")  # no stack to walk, and it is told all the same
    assert death["signal"] == signal.SIGSEGV and "0x8" in death["words"], death
    program.cli("reload")
    program.wait_ready()
    death = die(program, "thread")
    assert death["signal"] == signal.SIGSEGV and death["stack"], death
    program.wait_output("in another thread than its loop's")
    wait_until(lambda: program.pid("crash"), "another one lives", 15)
    pid = program.pid("crash")
    assert say(program, "forked") == b"lives\n"
    assert program.pid("crash") == pid
    assert die(program, "exit 3")["words"] is None, "the child's words are not the worker's"


def test_a_handler_of_the_programs_own_stays(launch):
    program = launch("crash", env={**OURS, "CRASH_OWN_HANDLER": "1"})
    death = die(program, "null")
    assert (death["status"], death["signal"], death["stack"]) == (42, None, []), death


def test_a_slow_callback_is_told_with_its_stack(launch):
    program = launch("crash", sets={"crash.slow_callback_ms": 200}, env=OURS)
    with program.connect("crash") as sock:
        sock.sendall(b"sleep 2000\n")
        program.wait_output("has been in on_message for")
        program.wait_output("sleep_in_kernel+0x")
        assert sock.recv(100) == b"done\n"
    assert program.totals()["slow_callbacks"] == 1
    events = program.cli("events").stdout
    assert "slow-callback" in events and "sleep_in_kernel" in events, events
    program.wait_output("goes on, after")


def test_quick_and_stopped_ones_are_not_slow(launch):
    program = launch("crash", sets={"crash.slow_callback_ms": int(3000 * PATIENCE),
                                    "crash.stuck_ms": int(4000 * PATIENCE)}, env=OURS)
    pid = program.pid("crash")
    for _ in range(20):
        assert say(program, "many 20") == b"done\n"
    with program.connect("crash") as sock:
        sock.sendall(b"spin 1000\n")
        wait_until(lambda: program.workers("crash")[0]["busy_ms"] > 0, "it stands")
        os.kill(pid, signal.SIGSTOP)
        program.wait_output("was stopped by SIGSTOP and serves nobody")
        os.kill(pid, signal.SIGCONT)
        program.wait_output("goes on after it was stopped")
        assert sock.recv(100) == b"done\n"
    assert program.pid("crash") == pid
    totals = program.totals()
    assert (totals["slow_callbacks"], totals["stuck_killed"]) == (0, 0)


@pytest.mark.parametrize("line, signo", [("spin 60000", signal.SIGABRT),
                                         ("ignore 60000", signal.SIGKILL)])
def test_a_stuck_worker_is_ended(launch, line, signo):
    program = launch("crash", sets={"crash.slow_callback_ms": 200, "crash.stuck_ms": 700}, env=OURS)
    death = die(program, line)
    assert death["signal"] == signo and "it was stuck in on_message" in death["words"], death
    assert (signo == signal.SIGKILL) == (death["stack"] == []), death
    assert program.totals()["stuck_killed"] == 1
    assert say(program, "pid") == f"{program.pid('crash')}\n".encode()


def test_a_crash_loop_is_shown_and_forgiven(launch, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    program = launch("crash", sets={"app.young_ms": 20, "app.hold_file": hold}, env=OURS, start=False)
    program.spawn(env=OURS)
    looping = wait_until(
        lambda: next((w for w in (program.try_status() or {"workers": []})["workers"]
                      if w["crash_loop"]), None), "a crash loop", 20)
    assert looping["died_young"] >= 4
    program.wait_output("is in a crash loop")
    assert "is in a crash loop" in program.cli("status").stdout or program.pid("crash")
    hold.unlink()
    program.cli("reload")
    program.master = program.wait_ready()["pid"]
    assert program.workers("crash")[0]["died_young"] == 0
    assert program.output().count("is in a crash loop") == 1


def test_core_dumps_are_announced(launch):
    program = launch("crash", sets={"crew.core_dumps": "on"}, env=OURS)
    program.wait_output("core dump")
    with open(f"/proc/{program.pid('crash')}/limits", encoding="ascii") as file:
        limit = next(line.split() for line in file if line.startswith("Max core file size"))
    assert limit[4] == limit[5], limit


def arguments(program):
    return [str(program.binary), "start", "--single", *program.arguments()]


def test_single_under_a_debugger(launch):
    program = launch("crash", start=False)
    program.may_fail = True
    script = ["-ex", "set confirm off", "-ex", "handle SIGTERM nostop pass", "-ex",
              "break stand_still", "-ex", "run", "-ex", "bt 3", "-ex", "delete", "-ex", "continue"]
    with subprocess.Popen(["gdb", "-q", "-batch", *script, "--args", *arguments(program)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, cwd=program.directory,
                          env={**os.environ, **OURS, "ASAN_OPTIONS": "detect_leaks=0"}) as gdb:
        wait_until(program.try_status, "it runs under gdb", 60)
        assert say(program, "spin 1") == b"done\n"
        program.cli("stop")
        output = gdb.communicate(timeout=60 * PATIENCE)[0]
    assert "Breakpoint 1, stand_still" in output, output
    assert "exited normally" in output, output


def is_sanitized():
    return b"__asan_init" in find_binary("echo").read_bytes()


if not is_sanitized():  # the two do not go together

    def test_single_under_valgrind(launch):
        program = launch("echo", start=False)
        command = ["valgrind", "-q", "--leak-check=full", "--errors-for-leak-kinds=definite",
                   "--error-exitcode=9", *arguments(program)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, cwd=program.directory) as valgrind:
            wait_until(program.try_status, "it runs under valgrind", 60)
            for _ in range(3):
                with program.connect("text") as sock:
                    sock.sendall(b"hello\n")
                    assert sock.recv(100) == b"hello\n"
            program.cli("stop")
            output = valgrind.communicate(timeout=60 * PATIENCE)[0]
        assert valgrind.returncode == 0, output
        assert "==" not in output.replace("-==", ""), output
