"""set: settings that change while the program runs, and the admin service that a reload switches
on and off."""

import json
import signal
import socket
import struct
import time

import pytest
from clients import Text
from processes import wait_until
from program import free_port
from talk import ask, hit, order, wait_new_pid
from wsclient import PushWs

pytestmark = pytest.mark.one_engine

DONE, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3


def set_one(program, text, status=DONE):
    done = program.cli("set", text)
    assert done.returncode == status, (done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == (status != DONE), done.stderr
    return done.stdout if status == DONE else done.stderr


def events_of(program, kind):
    done = program.cli("events", "--json")
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout) if event["kind"] == kind]


def gets_in(program):
    """A refusal is a reset, which may come before connect() has returned."""
    try:
        with Text(program.connect("ctl")) as client:
            return client.ask("echo in") == "in"
    except (EOFError, ConnectionError):
        return False


@pytest.fixture(params=[(), ("--single",)], ids=["workers", "single"])
def control(launch, request):
    return launch("control", *request.param)


# ---- what a change does ----


def test_idle_timeout(control):
    """For connections that are there already, and only those of that service."""
    with Text(control.connect("ctl")) as client, Text(control.connect("side")) as other:
        assert client.ask("echo a") == other.ask("echo a") == "a"
        output = set_one(control, "ctl.idle_timeout_ms=300")
        assert "ctl.idle_timeout_ms=300" in output and "1 worker" in output
        assert client.at_end()
        control.wait_totals("it is idle", lambda t: t["closes_by_reason"]["idle"] == 1)
        assert other.ask("echo b") == "b"
    set_one(control, "ctl.idle_timeout_ms=off")
    with Text(control.connect("ctl")) as client:
        time.sleep(0.6)
        assert client.ask("echo c") == "c"


def test_max_connections(control):
    most = 3
    set_one(control, f"ctl.max_connections={most}")
    clients = [Text(control.connect("ctl")) for _ in range(most)]
    assert all(client.ask("echo in") == "in" for client in clients)
    assert not gets_in(control)
    assert control.totals()["refused_limit"] == 1
    set_one(control, f"ctl.max_connections={most + 1}")
    assert gets_in(control)
    error = set_one(control, "ctl.max_connections=1000000", FAILED)
    assert "room for" in error
    for client in clients:
        client.close()


def test_max_message(control):
    with Text(control.connect("ctl")) as client:
        set_one(control, "ctl.max_message=100")
        assert client.ask("echo " + "x" * 80) == "x" * 80
        client.send_message(b"x" * 200)
        assert client.at_end()
    set_one(control, "ctl.max_message=2m")
    with Text(control.connect("ctl")) as client:
        client.send_message(b"e" * 1_500_000)
        assert client.read_message() == b"what?"


def test_policy(launch):
    """A queue that was refused from now on ends its connection."""
    program = launch("push", sets={"push.max_send_buffer": "64k"})
    with PushWs(program.connect("push", receive_buffer=16384)) as stalled, PushWs(
        program.connect("push")
    ) as reader:
        identity = stalled.identity()
        while int(reader.ask(f"to {identity} 10 16000 shared")) == 10:
            pass
        totals = program.totals()
        assert totals["send_fail_by_reason"]["full"] > 0 and totals["connections"] == 2
        set_one(program, "push.policy=disconnect")
        reader.ask(f"to {identity} 1 16000 shared")
        totals = program.wait_totals("it is ended", lambda t: t["connections"] == 1)
        assert totals["closes_by_reason"]["full"] == 1


def test_drop_oldest(launch):
    program = launch("push", sets={"push.max_send_buffer": "64k"})
    with PushWs(program.connect("push", receive_buffer=16384)) as stalled, PushWs(
        program.connect("push")
    ) as reader:
        identity = stalled.identity()
        while int(reader.ask(f"to {identity} 10 16000 shared")) == 10:
            pass
        full = program.totals()["send_fail_by_reason"]["full"]
        set_one(program, "push.policy=drop-oldest")
        assert int(reader.ask(f"to {identity} 5 16000 shared")) == 5
        totals = program.totals()
        assert totals["send_fail_by_reason"]["evicted"] >= 4
        assert totals["send_fail_by_reason"]["full"] == full


def test_log_level(control):
    """In the workers and in the master."""
    set_one(control, "crew.log_level=error")
    with Text(control.connect("ctl")) as client:
        client.ask("echo a")
        done = control.cli("kick", "127.0.0.1")
        assert done.returncode == DONE
    assert "was kicked" not in control.output()
    set_one(control, "crew.log_level=info")
    with Text(control.connect("ctl")) as client:
        client.ask("echo a")
        assert control.cli("kick", "127.0.0.1").returncode == DONE
    control.wait_output("was kicked")


# ---- how long it holds ----


def test_a_worker_that_starts_later_has_it(launch):
    program = launch("control")
    set_one(program, "ctl.idle_timeout_ms=300")
    pid = program.pid("ctl")
    order(program, "crash").close()
    wait_new_pid(program, "ctl", 0, pid)
    with Text(program.connect("ctl")) as client:
        assert client.ask("echo a") == "a"
        assert client.at_end()
    program.wait_totals("it is idle", lambda t: t["closes_by_reason"]["idle"] == 1)


def test_a_reload_undoes_it(launch, tmp_path):
    settings = tmp_path / "settings.ini"
    settings.write_text("[ctl]\nidle_timeout_ms = off\n")
    program = launch("control", "-c", str(settings))
    set_one(program, "ctl.idle_timeout_ms=300")
    assert program.cli("reload").returncode == DONE
    with Text(program.connect("ctl")) as client:
        assert client.ask("gen") == "2"
        time.sleep(0.8)
        assert client.ask("echo still") == "still"


def test_not_in_the_midst_of_a_reload(launch, tmp_path):
    hang = tmp_path / "hang"
    program = launch("control", sets={"app.hang_file": hang})
    hang.touch()
    assert program.cli("reload", "--no-wait").returncode == DONE
    assert "reload is under way" in set_one(program, "ctl.gzip=2k", FAILED)
    hang.unlink()
    program.wait_ready(generation=2)
    set_one(program, "ctl.gzip=2k")


def fill_with_settings(program):
    """What the command says, said a thousand times."""
    magic, version, order, done = 0x77657263, 1, 68, 101
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(10)
        control.connect(str(program.run_dir / "control.ctl"))
        for number in range(1000):
            text = f"ctl.idle_timeout_ms={200000 + number}".encode()
            control.send(struct.pack("=IHHII", magic, version, order, len(text), 0) + text)
            answer = control.recv(4096)
            assert struct.unpack_from("=IHH", answer)[2] == done, answer


def test_a_stopped_worker_gets_it_later(launch):
    program = launch("control")
    pid = program.pid("ctl")
    with Text(program.connect("ctl")) as client:
        assert client.ask("echo a") == "a"
        hit(pid, signal.SIGSTOP)
        # Many, so that not all fit into its socket; the last one counts.
        try:
            fill_with_settings(program)
            done = program.cli("set", "ctl.idle_timeout_ms=300")
            assert done.returncode == DONE and "1 more does not listen now" in done.stderr
        finally:
            hit(pid, signal.SIGCONT)
        assert client.at_end()
    program.wait_totals("it is idle", lambda t: t["closes_by_reason"]["idle"] == 1)


# ---- what is refused, what is told ----


def test_what_cannot_be_set(launch):
    program = launch("control")
    for text, words in [
        ("ctl.workers=2", "cannot change while the program runs"),
        ("ctl.polcy=replace", 'did you mean "policy"'),
        ("ctll.policy=replace", 'did you mean "ctl"'),
        ("ctl.policy=repalce", "did you mean replace"),
        ("ctl.max_send_buffer=0", "out of range"),
        ("ctl.max_connections_per_ip=5", "off"),
        ("crew.engine=poll", "log_level"),
        ("app.refuse=1", "program's own"),
    ]:
        assert words in set_one(program, text, FAILED), text
    for text in ["", "ctl", "policy=replace", "ctl.policy"]:
        set_one(program, text, USAGE)
    assert not events_of(program, "set")
    program.stop()
    assert "not running" in set_one(program, "ctl.policy=replace", NOT_RUNNING)


def test_what_is_told(control):
    done = control.cli("set", "ctl.rate_bytes=64k", "--json")
    assert done.returncode == DONE
    assert json.loads(done.stdout) == {"set": "ctl.rate_bytes=64k", "told": 1, "late": 0}
    assert control.cli("set", "ctl.rate_bytes=off", "-q").stdout == ""
    assert "set ctl.rate_bytes=65536" in control.output()
    wait_until(lambda: len(events_of(control, "set")) == 2, "each worker writes it down")
    assert "ctl.rate_bytes=65536" in json.dumps(events_of(control, "set")[0])


# ---- the admin service comes and goes ----


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def services(program):
    return sorted(w["service"] for w in program.status()["workers"] if w["state"] != "exited")


def test_admin_by_reload(launch, tmp_path):
    settings, port = tmp_path / "settings.ini", free_port()
    settings.write_text("")
    program = launch("control", "-c", str(settings))
    assert not answers(port)
    for turn in range(2):
        settings.write_text(f"[crew]\nadmin = http://127.0.0.1:{port}\n")
        done = program.cli("reload")
        assert done.returncode == DONE, done.stderr
        assert services(program) == ["admin", "ctl", "side"] and answers(port)
        set_one(program, f"admin.idle_timeout_ms={5000 + turn}")
        settings.write_text("")
        done = program.cli("reload")
        assert done.returncode == DONE, done.stderr
        assert services(program) == ["ctl", "side"] and not answers(port)
        assert "unknown section" in set_one(program, "admin.idle_timeout_ms=1", FAILED)
    assert program.lawful()["generation"] == 5


def test_admin_dies_and_comes_back(launch, tmp_path):
    settings, port = tmp_path / "settings.ini", free_port()
    settings.write_text("")
    program = launch("control", "-c", str(settings))
    settings.write_text(f"[crew]\nadmin = http://127.0.0.1:{port}\n")
    assert program.cli("reload").returncode == DONE
    pid = program.pid("admin")
    hit(pid)
    wait_until(lambda: program.pid("admin") not in (None, pid), "it is started again")
    # Killed young again and again it waits; switched off, nothing of it is left.
    for _ in range(4):
        pid = program.pid("admin")
        if pid:
            hit(pid)
            wait_until(lambda p=pid: program.pid("admin") != p, "it is dead")
    settings.write_text("")
    assert program.cli("reload").returncode == DONE
    assert sorted(w["service"] for w in program.status()["workers"]) == ["ctl", "side"]
    assert not answers(port)
    time.sleep(0.5)
    assert services(program) == ["ctl", "side"]


def test_admin_that_cannot_come(launch, tmp_path):
    """A reload that fails leaves everything as it was."""
    settings, hang = tmp_path / "settings.ini", tmp_path / "fail"
    settings.write_text("")
    program = launch("control", "-c", str(settings), sets={"app.fail_file": hang})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings.write_text(f"[crew]\nadmin = http://127.0.0.1:{port}\n")
        done = program.cli("reload")
        assert done.returncode == FAILED and str(port) in done.stderr
    assert services(program) == ["ctl", "side"] and ask(program, "gen") == "1"
    # A worker of the program does not start: the admin service goes again, and may come later.
    hang.touch()
    done = program.cli("reload")
    assert done.returncode == FAILED
    wait_until(lambda: services(program) == ["ctl", "side"], "the new workers are gone")
    assert not answers(port)
    hang.unlink()
    assert program.cli("reload").returncode == DONE
    assert services(program) == ["admin", "ctl", "side"] and answers(port)
    # Another address is a change as any other is.
    elsewhere = free_port()
    settings.write_text(f"[crew]\nadmin = http://127.0.0.1:{elsewhere}\n")
    assert program.cli("reload").returncode == DONE
    assert answers(elsewhere)
    wait_until(lambda: not answers(port), "the address of before is given up")
    phases = [event["figures"]["phase"] for event in events_of(program, "reload")]
    assert phases == ["failed", "began", "failed", "began", "done", "began", "done"]
