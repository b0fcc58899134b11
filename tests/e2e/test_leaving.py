"""Leaving in good order: what clients hear at a reload and at a stop, that requests do not fail, that
whoever waits is told for whom, and that a restart refuses nobody."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest
from clients import Text
from processes import alive, reap, wait_until
from talk import hit
from wsclient import WebSocket, close_payload

pytestmark = pytest.mark.one_engine

HINT = re.compile(rb"^reload; retry-after-ms=(\d+)$")


def command(program, *arguments):
    """One that runs on meanwhile; its standard error goes to a file that can be looked at."""
    path = program.directory / f"stderr{time.monotonic_ns()}"
    with open(path, "wb") as stderr:
        process = subprocess.Popen(
            [program.binary, *arguments, "--run-dir", program.run_dir],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        )
    return process, path


def ask_line(program, line):
    with Text(program.connect("line")) as client:
        return client.ask(line)


def wrk(program, seconds, path="/"):
    return subprocess.Popen(
        ["wrk", "--threads", "1", "--connections", "16", "--duration", f"{seconds}s",
         "--timeout", "15s", program.url("web", path)],
        stdout=subprocess.PIPE, text=True,
    )


def assert_all_answered(load):
    said = load.communicate(timeout=60)[0]
    assert load.returncode == 0, said
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    assert int(re.search(r"(\d+) requests in", said).group(1)) > 20, said


# ---- reload ----


def test_websockets_are_sent_away_one_by_one(launch):
    """Each hears 1012 with a hint, at a moment of its own, while the new generation serves."""
    program = launch("leaver", sets={"room.drain_timeout_ms": 2400})
    clients = [WebSocket(program.connect("room")) for _ in range(16)]
    process, _ = command(program, "reload", "-g")
    moments, hints = {}, []

    def listen(number):
        client = clients[number]
        code = client.read_close()
        moments[number] = time.monotonic()
        hints.append(HINT.match(client.close_reason) if code == 1012 else None)
        client.send_frame(8, close_payload(1012))

    listeners = [threading.Thread(target=listen, args=(n,)) for n in range(len(clients))]
    for thread in listeners:
        thread.start()
    for thread in listeners:
        thread.join(30)
    assert len(moments) == len(clients) and all(hints)
    assert all(100 <= int(hint.group(1)) < 1000 for hint in hints)
    # Of 1.8 s over which they are spread; at once would be within a few milliseconds.
    assert max(moments.values()) - min(moments.values()) > 0.3
    assert process.wait(20) == 0
    assert program.wait_empty()["closes_by_reason"]["drain"] == len(clients)


def test_no_request_fails(launch):
    """Under load, through reloads of both kinds; answers say when they are the last."""
    program = launch("leaver", sets={"web.workers": 2, "web.drain_timeout_ms": 600})
    load, slow = wrk(program, 3), wrk(program, 3, "/slow")
    for options in (["-g"], []):
        assert program.cli("reload", *options, seconds=60).returncode == 0
    assert_all_answered(load)
    assert_all_answered(slow)
    assert program.wait_empty()["send_fail"] == 0


def test_farewell(launch):
    """Lines are told, once; one leaves, one stays until the end of the window, and both end well."""
    program = launch("leaver", sets={"line.drain_timeout_ms": 1000})
    with Text(program.connect("line")) as leaves, Text(program.connect("line")) as stays:
        assert leaves.ask("gen") == "1" and stays.ask("stay") == "staying"
        process, _ = command(program, "reload", "-g")
        assert leaves.read_all() == b"farewell\n"
        assert stays.read_all() == b"farewell\n"
        assert process.wait(20) == 0
    assert ask_line(program, "gen") == "2"
    closes = program.wait_empty()["closes_by_reason"]
    assert closes["drain"] == 1 and closes["app"] >= 1


def test_what_lives_on_holds_nobody(launch):
    """Timers and watches of the program's that never end."""
    program = launch("leaver")
    assert ask_line(program, "tick") == "ticking"
    old = int(ask_line(program, "pid"))
    assert program.cli("reload", "-g", seconds=30).returncode == 0
    assert not alive(old)


def test_a_callback_that_does_not_return(launch):
    """status and the command name it; at the end of its time the worker is killed, and the reload done."""
    program = launch("leaver", sets={"line.stop_timeout_ms": 500})
    client = Text(program.connect("line"))
    client.send_message(b"block 60000")
    wait_until(lambda: any(w["busy_ms"] > 0 for w in program.workers("line")), "it stands still")
    process, stderr = command(program, "reload")

    def held():
        status = program.status()
        old = [w for w in status["workers"] if w["generation"] == 1 and w["waits_for"]]
        return (status, old[0]) if status["reload"]["state"] == "draining" and old else None

    status, worker = wait_until(held, "the old one is held")
    assert worker["service"] == "line" and "on_message" in worker["waits_for"]
    assert 0 <= worker["leaves_in_s"] <= 2.5
    assert status["reload"]["generation"] == status["generation"] == 2
    assert status["reload"]["began_s_ago"] >= 0 and status["reload"]["ready"] == 3
    shown = program.cli("status").stdout
    assert "RELOAD" in shown and "generation 1: 1 worker left, line#0" in shown, shown
    refused = program.cli("reload")
    assert refused.returncode == 1 and "still drains" in refused.stderr
    assert process.wait(20) == 0
    said = stderr.read_text()
    assert "generation 1: 1 worker left, line#0, waiting for on_message" in said, said
    assert program.status()["reload"]["state"] == "none"
    client.close()


def test_stop_goes_through_a_reload(launch):
    """... that waits for somebody; the reload tells that it did not end well."""
    program = launch("leaver", sets={"line.drain_timeout_ms": 60000,
                                          "line.stop_timeout_ms": 200})
    with Text(program.connect("line")) as client:
        assert client.ask("stay") == "staying"
        process, _ = command(program, "reload", "-g")
        wait_until(lambda: program.status()["reload"]["state"] == "draining", "it drains")
        program.stop()
        assert process.wait(20) == 1


# ---- stop ----


def test_stop_says_what_it_waits_for(launch):
    program = launch("leaver", sets={"room.drain_timeout_ms": 20000})
    clients = [WebSocket(program.connect("room")) for _ in range(3)]
    process, stderr = command(program, "stop", "-g")
    wait_until(lambda: "room#0" in stderr.read_text(), "it says for whom", 20)
    said = stderr.read_text()
    assert re.search(r"waiting for the master \(pid \d+\).*at most \d+ s", said), said
    assert re.search(r"1 worker left, room#0, waiting for 3 connections, \d+ s left", said), said
    for client in clients:
        client.close()
    assert process.wait(20) == 0
    assert program.process.wait(10) == 0
    program.master = None


def test_stop_names_a_callback(launch):
    program = launch("leaver", sets={"app.hold_stop_ms": 1900})
    done = program.cli("stop")
    assert done.returncode == 0 and "on_worker_stop" in done.stderr, done.stderr
    assert program.process.wait(10) == 0
    program.master = None


# ---- restart ----


def restart(program, *options):
    """In the background; the new master is the program's from then on."""
    old = program.master
    done = program.cli("restart", "-d", *options, *program.arguments()[2:], seconds=60)
    assert done.returncode == 0, (done.stderr, program.output())
    wait_until(lambda: not alive(old), "the old master has gone")
    reap(old)
    program.master = program.status()["pid"]
    assert program.master != old
    return done


def connect_all_the_time(program, service, end, troubles, served):
    while not end.is_set():
        try:
            with Text(program.connect(service)) as client:
                served.append(client.ask("pid"))
        except ConnectionRefusedError as trouble:
            troubles.append(repr(trouble))
        except (OSError, EOFError):
            continue  # it was served by the one that left: that is no refusal


@pytest.mark.parametrize("listen", ["text://127.0.0.1:{port}", "text+unix://RUNDIR/line.sock"],
                         ids=["tcp", "unix"])
def test_restart_refuses_nobody(launch, listen):
    program = launch("leaver", listens={"line": listen}, start=False,
                     sets={"line.workers": 2}).start_daemon()
    end, troubles, served = threading.Event(), [], []
    client = threading.Thread(
        target=connect_all_the_time, args=(program, "line", end, troubles, served))
    client.start()
    try:
        for _ in range(2):
            restart(program)
            seen = len(served)
            wait_until(lambda before=seen: len(served) > before, "the new one serves")
    finally:
        end.set()
        client.join(30)
    assert not troubles, troubles[:3]
    assert "no service listens there now" not in program.output()


def test_restart_with_reuse_port_and_another_address(launch):
    """What is the same is taken over, the rest is closed and opened."""
    program = launch("leaver", start=False,
                     sets={"line.workers": 2, "line.reuse_port": "on"}).start_daemon()
    moved = program.ports["room"]
    program.ports["room"] = program.ports["room"] + 1
    program.sets["room.listen"] = f"ws://127.0.0.1:{program.ports['room']}"
    program.listens["room"] = program.sets["room.listen"]
    program.sets["line.workers"] = 3
    restart(program)
    assert ask_line(program, "gen") == "1"
    WebSocket(program.connect("room")).close()
    program.ports["room"], back = moved, program.ports["room"]
    with pytest.raises(ConnectionRefusedError):
        program.connect("room")
    program.ports["room"] = back


def test_broken_settings_stop_nothing(launch, tmp_path):
    """Neither what does not parse nor what would fail at once."""
    program = launch("leaver")
    for bad in ("web.no_such_key=1", "web.user=nobody-of-that-name",
                f"web.tls_cert={tmp_path}/none web.tls_key={tmp_path}/none"):
        options = [word for pair in bad.split() for word in ("--set", pair)]
        done = program.cli("restart", "-d", *program.arguments()[2:], *options)
        assert done.returncode == 1 and done.stderr.strip(), bad
        assert ask_line(program, "gen") == "1" and alive(program.master)


def test_restart_of_a_master_that_does_not_answer(launch):
    """As without a takeover, and said."""
    program = launch("leaver", start=False).start_daemon()
    old = program.master
    hit(old, signal.SIGSTOP)
    waker = threading.Timer(2.5, os.kill, (old, signal.SIGCONT))
    waker.start()
    done = program.cli("restart", "-d", *program.arguments()[2:], seconds=60)
    waker.join()
    assert done.returncode == 0, done.stderr
    assert "cannot be taken over" in done.stderr
    wait_until(lambda: not alive(old), "the old master has gone")
    reap(old)
    program.master = program.status()["pid"]
    assert ask_line(program, "gen") == "1"


def test_restart_in_the_foreground(launch):
    program = launch("leaver")
    old = program.process
    program.spawn_command("restart")
    assert old.wait(20) == 0
    program.wait_ready()
    program.master = program.status()["pid"]
    assert program.master == program.process.pid
    assert ask_line(program, "gen") == "1"
