"""top: the live screen on a terminal, its keys, and how the terminal is given back; plain text and
JSON where there is none."""

import json
import os
import shutil
import signal
import subprocess
import termios
import time

import pytest
from clients import PushFrame
from processes import PATIENCE, alive
from terminal import Terminal

SIZE = 16_000
KEYS = "q quit"


@pytest.fixture
def crowd(launch):
    """A program with four clients that do not read, of which the first lost least, and one that
    does."""
    program = launch("push", sets={"push.max_send_buffer": 65536},
                     listens={"push": "frame://127.0.0.1:{port}"})
    program.control = PushFrame(program.connect("push"))
    program.stalled = [PushFrame(program.connect("push", 16384)) for _ in range(4)]
    program.ids = [client.identity() for client in program.stalled]
    for number, identity in enumerate(program.ids):
        program.control.ask(f"to {identity} {60 + 20 * number} {SIZE} shared")
    yield program
    for client in [program.control, *program.stalled]:
        client.close()


def top(program, *options, rows=30, columns=120, env=None):
    return Terminal([program.binary, "top", *options, "--run-dir", program.run_dir],
                    rows, columns, env)


def shown_ids(screen, program):
    """The ids that the screen shows, in its order."""
    words = [line.lstrip("> ").split(" ")[0] for line in screen.text().split("\n")]
    return [word for word in words if word in program.ids]


def marked(screen):
    """The id in the row of the cursor."""
    rows = [line for line in screen.text().split("\n") if line.startswith("> ")]
    return rows[0].split()[1] if rows else None


# ---- the screen --------------------------------------------------------------------------------


@pytest.mark.one_engine
def test_screen(crowd):
    worker = crowd.pid("push")
    with top(crowd) as terminal:
        screen = terminal.screen
        terminal.wait_screen("reader-stalled", seconds=15)
        text = screen.text()
        assert text.startswith("push ") and " up " in text and " load " in text, text
        assert "5 connections" in text and "send_fail " in text, text
        row = screen.row_with(f" {worker} ")[1].split()
        assert row[:4] == ["push", "0", str(worker), "ready"] and row[4] == "5", row
        assert set(shown_ids(screen, crowd)) == set(crowd.ids)
        queue = crowd.connections()[1]["send_queue"]
        assert f"{queue / 1024:.1f}K" in screen.row_with(crowd.ids[0])[1]
        assert screen.text().split("\n")[-1].startswith(KEYS)
        assert "?1049" in screen.modes and "?25" not in screen.modes
        assert termios.tcgetattr(terminal.slave)[3] & termios.ECHO == 0
        assert screen.coloured()
        terminal.keys("q")
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_sort_select_filter(crowd):
    lost = {row["id"]: row["send_fail"] for row in crowd.connections()}
    most_first = sorted(crowd.ids, key=lambda identity: -lost[identity])
    assert len({lost[identity] for identity in crowd.ids}) == 4
    with top(crowd) as terminal:
        screen = terminal.screen
        terminal.wait_screen("by slowest")
        for name in ("send_queue", "oldest_queued_s", "kernel_unsent", "send_fail"):
            terminal.keys("s")
            terminal.wait_screen(f"by {name}")
        assert shown_ids(screen, crowd) == most_first
        terminal.keys("S")
        terminal.wait_screen("reversed")
        assert shown_ids(screen, crowd) == most_first[::-1]
        # Row 0 is the one that reads: it lost nothing.
        terminal.keys("jj")
        terminal.wait_screen(lambda s: marked(s) == most_first[-2], "the third row is marked")
        # The cursor follows it where the order puts it.
        terminal.keys("S")
        terminal.wait_gone("reversed")
        assert marked(screen) == most_first[-2] and shown_ids(screen, crowd) == most_first
        terminal.keys("\x1b[A")
        terminal.wait_screen(lambda s: marked(s) == most_first[-3], "one up")

        terminal.keys("f")
        terminal.wait_screen("filter (")
        terminal.keys(crowd.ids[2][:8])
        terminal.wait_screen("1 connection by")
        assert shown_ids(screen, crowd) == [crowd.ids[2]]
        terminal.keys("zzz")
        terminal.wait_screen("0 connections by")
        terminal.keys("\x7f\x7f\x7f\r")
        terminal.wait_screen(KEYS)
        assert shown_ids(screen, crowd) == [crowd.ids[2]]
        terminal.keys("\x1b")
        terminal.wait_screen(lambda s: len(shown_ids(s, crowd)) == 4, "all again")
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.one_engine
def test_explain_and_kick(crowd):
    with top(crowd, "--sort", "send_fail") as terminal:
        screen = terminal.screen
        terminal.wait_screen("by send_fail")
        first = shown_ids(screen, crowd)[0]
        terminal.wait_screen(lambda s: "reader-stalled" in s.row_with(first)[1], "judged", 15)
        terminal.keys("e")
        terminal.wait_screen(f"explain {first}")
        terminal.wait_screen("does not read")
        terminal.keys("q")
        terminal.wait_screen(KEYS)
        terminal.keys("x")
        terminal.wait_screen(f"kick {first}")
        terminal.keys("n")
        terminal.wait_screen("nobody was kicked")
        assert len(crowd.connections()) == 5
        terminal.keys("xy")
        terminal.wait_gone(f" {first} ")
        crowd.wait_totals("kicked", lambda t: t["closes_by_reason"]["kicked"] == 1)
        assert first not in [row["id"] for row in crowd.connections()]
        # The next one, from its explanation.
        second = shown_ids(screen, crowd)[0]
        terminal.keys("\r")
        terminal.wait_screen(f"explain {second}")
        terminal.keys("xy")
        crowd.wait_totals("kicked", lambda t: t["closes_by_reason"]["kicked"] == 2)
        terminal.keys("q")
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_kick_of_one_that_left(crowd):
    """The question was asked, and meanwhile the client went: that is told, and nothing breaks."""
    with top(crowd) as terminal:
        terminal.wait_screen(crowd.ids[0])
        terminal.keys("j")
        terminal.keys("p")
        terminal.wait_screen("PAUSED")
        gone = marked(terminal.screen)
        terminal.keys("x")
        terminal.wait_screen(f"kick {gone}")
        for client in [crowd.control, *crowd.stalled]:
            client.close()
        crowd.wait_empty()
        terminal.keys("y")
        terminal.wait_gone("y: yes")
        terminal.wait_gone("kicking")
        line = terminal.screen.text().split("\n")[-2]
        assert gone[:4] in line and "kicked" not in line.replace("was kicked", ""), line
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.one_engine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_kick_without_the_right(launch):
    """Who may look and not act is told so, and goes on looking."""
    program = launch("push", sets={"crew.control_mode": "0666"},
                     listens={"push": "frame://127.0.0.1:{port}"})
    copy = program.directory / "bin" / program.binary.name
    copy.parent.mkdir()
    shutil.copy(program.binary, copy)
    for place in [program.directory.parent, program.directory, program.run_dir, copy.parent, copy]:
        os.chmod(place, 0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "top",
               "--run-dir", program.run_dir]
    with PushFrame(program.connect("push")) as client, Terminal(command, 30, 140) as terminal:
        identity = client.identity()
        terminal.wait_screen(identity)
        terminal.keys("xy")
        terminal.wait_screen("may look but not act")
        assert client.identity() == identity
        terminal.keys("q")
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_sizes(crowd):
    with top(crowd) as terminal:
        terminal.wait_screen(KEYS)
        for rows, columns in ((15, 60), (24, 80), (60, 220), (5, 20), (1, 1), (30, 120)):
            terminal.resize(rows, columns)
            terminal.wait_screen(lambda s: s.text().strip() != "", "something")
            if rows >= 15:
                terminal.wait_screen(lambda s: s.text().split("\n")[-1].startswith(KEYS), "keys")
                short = [identity[:8] for identity in crowd.ids]
                assert all(identity in terminal.screen.text() for identity in short)
        terminal.keys("q")
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_pause_and_space(crowd):
    with top(crowd) as terminal:
        screen = terminal.screen
        terminal.wait_screen(KEYS)
        terminal.keys("p")
        terminal.wait_screen("PAUSED")
        before = screen.text()
        for client in crowd.stalled[:2]:
            client.close()
        crowd.wait_totals("two left", lambda t: t["connections"] == 3)
        terminal.read(1.5)
        assert screen.text() == before
        terminal.keys(" ")
        terminal.wait_screen("3 connections by")
        terminal.keys("p")
        terminal.wait_gone("PAUSED")
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.one_engine
def test_no_colours(crowd):
    with top(crowd, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait_screen("reader-stalled", seconds=15)
        assert not terminal.screen.coloured()
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.one_engine
def test_dumb_terminal(launch):
    """One that understands no sequences gets none."""
    program = launch("push")
    with top(program, env={"TERM": "dumb"}) as terminal:
        terminal.wait_screen("ready")
        terminal.wait_screen(lambda _: terminal.raw.count("generation 1") > 1, "a second screen")
        terminal.keys("\x03")
        assert terminal.wait_end() == 0
        assert "\x1b" not in terminal.raw


# ---- ends --------------------------------------------------------------------------------------


@pytest.mark.one_engine
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_signals(launch, number):
    program = launch("push")
    with top(program) as terminal:
        terminal.wait_screen(KEYS)
        terminal.process.send_signal(number)
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_control_c(launch):
    program = launch("push")
    with top(program) as terminal:
        terminal.wait_screen(KEYS)
        terminal.keys("\x03")
        assert terminal.wait_end() == 0
        terminal.check_given_back()


@pytest.mark.one_engine
def test_a_fault_of_its_own(launch):
    """The terminal is given back before it dies of what it would have died of."""
    program = launch("push")
    with top(program) as terminal:
        terminal.wait_screen(KEYS)
        terminal.process.send_signal(signal.SIGABRT)
        assert terminal.wait_end() == -signal.SIGABRT
        terminal.check_given_back()


@pytest.mark.one_engine
def test_control_z(launch):
    """Under a shell with jobs: stopped, the shell has its terminal; in front again, the screen."""
    program = launch("push")
    shell = Terminal(["sh", "-i"], env={"PS1": "shell> ", "ENV": ""})
    with shell as terminal:
        terminal.wait_screen("shell>")
        terminal.keys(f"{program.binary} top --run-dir {program.run_dir}\n")
        terminal.wait_screen(KEYS)
        terminal.keys("\x1a")
        terminal.wait_screen(lambda _: "Stopped" in terminal.raw, "what the shell says")
        terminal.check_given_back()
        terminal.keys("fg\n")
        terminal.wait_screen(lambda screen: "?1049" in screen.modes, "the other screen")
        terminal.keys("s")
        terminal.wait_screen("by send_queue")
        terminal.keys("q")
        terminal.wait_screen(lambda screen: "?1049" not in screen.modes, "the shell's screen")
        terminal.keys("exit\n")
        terminal.wait_end()
        terminal.check_given_back()


@pytest.mark.one_engine
def test_terminal_that_takes_nothing(launch):
    """Nobody reads what it writes: it still ends when it is told to."""
    program = launch("push")
    with top(program, rows=200, columns=500) as terminal:
        terminal.wait_screen(KEYS)
        for _ in range(100):
            terminal.keys("S")
            time.sleep(0.01)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(5 * PATIENCE) == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before


@pytest.mark.one_engine
def test_terminal_that_goes(launch):
    program = launch("push")
    with top(program) as terminal:
        terminal.wait_screen(KEYS)
        os.close(terminal.master)
        terminal.master = None
        assert terminal.process.wait(5 * PATIENCE) in (0, 1)


# ---- what the program does meanwhile -----------------------------------------------------------


def test_stopped_workers(launch):
    program = launch("push", sets={"push.workers": 2})
    pids = [worker["pid"] for worker in program.workers()]
    with top(program) as terminal:
        terminal.wait_screen("ready")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            terminal.wait_screen(lambda s: s.text().count("stopped") == 2, "both stopped")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        terminal.wait_gone("stopped")
        terminal.keys("q")
        assert terminal.wait_end() == 0


@pytest.mark.one_engine
def test_silent_master(launch):
    program = launch("push")
    with top(program) as terminal:
        terminal.wait_screen("ready")
        os.kill(program.master, signal.SIGSTOP)
        try:
            terminal.wait_screen("does not answer")
            terminal.keys("s")
            terminal.wait_screen("by send_queue")
        finally:
            os.kill(program.master, signal.SIGCONT)
        terminal.wait_gone("does not answer")
        terminal.keys("q")
        assert terminal.wait_end() == 0


def test_reload_stop_and_start(launch):
    program = launch("push", start=False)
    program.start_daemon()
    with top(program) as terminal:
        terminal.wait_screen("generation 1")
        assert program.cli("reload").returncode == 0
        terminal.wait_screen("generation 2")
        program.stop()
        terminal.wait_screen("stopped")
        assert alive(terminal.process.pid)
        terminal.keys("s")  # what was seen last can still be looked at
        terminal.wait_screen("by send_queue")
        program.start_daemon()
        terminal.wait_screen("generation 1")
        terminal.wait_gone("stopped")
        program.stop()
        terminal.wait_screen("stopped")
        terminal.keys("q")
        assert terminal.wait_end() == 0


# ---- without a terminal ------------------------------------------------------------------------


def watch(program, *options):
    return subprocess.Popen([program.binary, "top", *options, "--run-dir", program.run_dir],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    output, errors = process.communicate(timeout=10 * PATIENCE)
    assert process.returncode == 0 and errors == "", (process.returncode, errors)
    return output


def test_json(crowd):
    """A document on each line, each second."""
    process = watch(crowd, "--json", "--sort", "send_fail")
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    end(process)
    assert list(first) == ["status", "slowest"]
    assert first["status"]["pid"] == second["status"]["pid"] == crowd.master
    assert 0.5 < second["status"]["uptime_s"] - first["status"]["uptime_s"] < 1.5 * PATIENCE
    lost = [row["send_fail"] for row in first["slowest"]]
    assert len(lost) == 5 and lost == sorted(lost, reverse=True) and lost[0] > 0
    assert set(first["slowest"][0]) == set(crowd.connections()[0])


@pytest.mark.one_engine
def test_text(crowd):
    """Whole cells, no control sequences, a screen each second."""
    process = watch(crowd)
    text = ""
    while text.count("\n\n") < 2:
        line = process.stdout.readline()
        assert line, text
        text += line
    text += end(process, signal.SIGINT)
    assert "\x1b" not in text and ".." not in text, text
    for row in crowd.connections():
        assert text.count(row["remote"]) >= 2 and row["id"] in text, text


@pytest.mark.one_engine
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_it_says_when_the_program_stops(launch, options):
    program = launch("push", start=False)
    done = program.cli("top", *options)
    assert done.returncode == 3 and "not running" in done.stderr and not done.stdout
    program.start_daemon()
    process = watch(program, *options)
    assert process.stdout.readline()
    program.stop()
    _, errors = process.communicate(timeout=10 * PATIENCE)
    assert process.returncode == 0 and "runs no more" in errors


@pytest.mark.one_engine
def test_wrong_key(launch):
    program = launch("push")
    done = program.cli("top", "--sort", "send_quue")
    assert done.returncode == 2 and "send_queue" in done.stderr, done.stderr
