"""kick: an operator ends connections, is told the truth of what came of it, and others are not
let."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from clients import Text
from processes import wait_until
from program import Program
from talk import ask, hit, order, wait_busy
from wsclient import PushWs

pytestmark = pytest.mark.one_engine

DONE, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3


def kick(program, *arguments, status=DONE):
    """The command's output: standard output, and standard error."""
    done = program.cli("kick", *arguments)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def clients_of(program, service, count):
    """Connected clients, once their connections are in the records."""
    clients = [Text(program.connect(service)) for _ in range(count)]
    wait_until(lambda: len(rows_of(program, service)) == count, "all are connected")
    return clients


def rows_of(program, service):
    return [row for row in program.connections() if row["service"] == service]


def peer_of(client):
    host, port = client.sock.getsockname()
    return f"{host}:{port}"


def row_of(program, client):
    return [row for row in program.connections() if row["remote"] == peer_of(client)][0]


def events_of(program, kind):
    done = program.cli("events", "--json")
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout) if event["kind"] == kind]


@pytest.fixture(params=[(), ("--single",)], ids=["workers", "single"])
def control(launch, request):
    sets = {} if request.param else {"ctl.workers": 2}
    return launch("control", *request.param, sets=sets)


# ---- whom ----


def test_by_id(control):
    clients = clients_of(control, "ctl", 3)
    row = row_of(control, clients[1])
    assert kick(control, row["id"]) == ("kicked 1 connection\n", "")
    with pytest.raises((EOFError, ConnectionError)):
        clients[1].fill()
    assert clients[0].ask("echo still here") == "still here"
    totals = control.totals()
    assert totals["connections"] == 2 and totals["closes_by_reason"]["kicked"] == 1
    assert f"connection {row['id']} of {row['remote']} was kicked by user {os.geteuid()}" in (
        control.output()
    )
    # Once more: there is no such connection now.
    output, error = kick(control, row["id"], status=FAILED)
    assert not output and row["id"] in error


def test_by_the_beginning_of_an_id(control):
    clients = clients_of(control, "side", 0)
    clients = clients_of(control, "ctl", 4)
    rows = rows_of(control, "ctl")
    lives = {row["id"][:3] for row in rows}
    for life in lives:
        those = [row for row in rows if row["id"][:3] == life]
        if len(those) == 1:
            continue
        output, error = kick(control, life, status=FAILED)
        assert not output and all(row["id"] in error for row in those)
        assert all(row["remote"] in error for row in those)
    assert len(rows_of(control, "ctl")) == 4
    # As short as it can be for one of them, in capitals.
    whole = rows[-1]["id"]
    length = next(n for n in range(1, 17) if sum(r["id"].startswith(whole[:n]) for r in rows) == 1)
    kick(control, whole[:length].upper())
    assert {row["id"] for row in rows_of(control, "ctl")} == {row["id"] for row in rows[:-1]}
    del clients


def test_by_address(control):
    clients = clients_of(control, "ctl", 3)
    kick(control, peer_of(clients[2]))
    assert len(rows_of(control, "ctl")) == 2
    output, error = kick(control, "127.0.0.2", status=FAILED)
    assert not output and "127.0.0.2" in error
    kick(control, "127.0.0.1:1", status=FAILED)
    with Text(control.connect("side")) as local:
        assert local.ask("echo there") == "there"
        # Numbers the whole address, however it is written; those of the Unix socket stay.
        output, _ = kick(control, "::ffff:127.0.0.1", "--json")
        answer = json.loads(output)
        assert answer["kicked"] == 2 and len(answer["ids"]) == 2 and answer["left"] == []
        assert not rows_of(control, "ctl")
        assert local.ask("echo still") == "still"
        kick(control, "unix:")
        assert local.at_end()


def test_ipv6(launch):
    program = launch("control", listens={"ctl": "text://[::1]:{port}"})
    clients = clients_of(program, "ctl", 2)
    host, port = clients[0].sock.getsockname()[:2]
    kick(program, f"[{host}]:{port}")
    assert len(rows_of(program, "ctl")) == 1
    kick(program, "::1")
    assert not rows_of(program, "ctl")
    kick(program, "[::1]", status=FAILED)


def test_by_verdict(launch):
    """Those who do not read are ended; the others stay."""
    program = launch("push", sets={"push.max_send_buffer": "1m"})
    with PushWs(program.connect("push", receive_buffer=16384)) as stalled, PushWs(
        program.connect("push")
    ) as reader:
        identity, other = stalled.identity(), reader.identity()
        assert int(reader.ask(f"to {identity} 60 16000 shared")) > 0

        def stalls():
            rows = [row for row in program.connections() if row["id"] == identity]
            return rows[0]["verdict"] == "reader-stalled"

        wait_until(stalls, "the verdict", 20)
        output, error = kick(program, "--verdict", "gone", status=FAILED)
        assert not output and "gone" in error
        output, _ = kick(program, "--verdict", "reader-stalled", "--json")
        assert json.loads(output) == {"kicked": 1, "ids": [identity], "left": []}
        assert [row["id"] for row in program.connections()] == [other]
        totals = program.totals()
        assert totals["closes_by_reason"]["kicked"] == 1
        assert totals["send_fail"] == totals["send_fail_by_reason"]["aborted"] > 0
        assert reader.ask("id")


def test_what_means_nothing(launch):
    program = launch("control")
    for words in [
        ("xyz",), ("1.2.3",), ("1.2.3.4:99999",), ("1.2.3.4:",), ("[::1",), ("[::1]x",),
        ("00112233445566778",), ("",), ("--verdict", "stalled"), (), ("1.2.3.4", "--verdict", "us"),
    ]:
        done = program.cli("kick", *words)
        assert done.returncode == USAGE, (words, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout, words
    assert "did you mean" in program.cli("kick", "--verdict", "reader-staled").stderr
    program.stop()
    assert "not running" in kick(program, "1.2.3.4", status=NOT_RUNNING)[1]


# ---- the truth ----


def test_a_stopped_worker(launch):
    program = launch("control", sets={"ctl.workers": 2})
    clients = clients_of(program, "ctl", 6)
    rows = rows_of(program, "ctl")
    pid = rows[0]["pid"]
    stuck = {row["id"] for row in rows if row["pid"] == pid}
    hit(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = program.cli("kick", "127.0.0.1", "--json")
        assert done.returncode == FAILED and 1.5 < time.monotonic() - began < 15
        answer = json.loads(done.stdout)
        assert set(answer["left"]) == stuck
        assert set(answer["ids"]) == {row["id"] for row in rows} - stuck
        assert answer["kicked"] == len(rows) - len(stuck)
        assert f"pid {pid}" in done.stderr and "stopped" in done.stderr
    finally:
        hit(pid, signal.SIGCONT)
    wait_until(lambda: not rows_of(program, "ctl"), "it ends them once it goes on")
    assert program.totals()["closes_by_reason"]["kicked"] == 6
    del clients


def test_a_busy_worker(launch):
    program = launch("control")
    victim = clients_of(program, "ctl", 1)[0]
    blocker = order(program, "block 5000")
    wait_busy(program)
    output, error = kick(program, peer_of(victim), status=FAILED)
    assert output == "kicked 0 connections\n"
    assert "on_message" in error and "ctl#0" in error
    wait_until(lambda: len(rows_of(program, "ctl")) < 2, "it is ended afterwards", 15)
    blocker.close()


def test_a_worker_that_dies_of_it(launch):
    """Its connections are gone; that is what counts."""
    program = launch("control")
    victim = clients_of(program, "ctl", 1)[0]
    pid = program.pid("ctl")
    hit(pid, signal.SIGSTOP)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {pid}"])
    output, _ = kick(program, peer_of(victim))
    assert output == "kicked 1 connection\n"
    killer.wait(5)
    program.wait_ready()


def test_a_master_that_hangs(launch):
    program = launch("control")
    victim = clients_of(program, "ctl", 1)[0]
    hit(program.master, signal.SIGSTOP)
    try:
        output, error = kick(program, peer_of(victim), status=FAILED)
        assert not output and "does not answer" in error
    finally:
        hit(program.master, signal.SIGCONT)
    assert victim.ask("echo alive") == "alive"


def test_many_at_once(launch):
    """More than one packet holds."""
    program = launch("control", sets={"ctl.workers": 2, "ctl.max_connections": 2000}, nofile=4096)
    clients = clients_of(program, "ctl", 700)
    output, _ = kick(program, "127.0.0.1")
    assert output == "kicked 700 connections\n"
    assert program.totals()["closes_by_reason"]["kicked"] == 700
    program.wait_output("connections were kicked by user")
    for client in clients:
        client.close()


def test_events(control):
    victim = clients_of(control, "ctl", 1)[0]
    row = row_of(control, victim)
    kick(control, row["id"])
    kicks = events_of(control, "kick")
    assert [event["id"] for event in kicks] == [row["id"]]
    assert kicks[0]["service"] == "ctl"


# ---- who may ----


def as_nobody(program, binary, *arguments):
    words = ["setpriv", "--reuid=65534", "--regid=65534"]
    groups = program.groups if hasattr(program, "groups") else "--clear-groups"
    return subprocess.run(
        [*words, groups, str(binary), *arguments, "--run-dir", str(program.run_dir)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
        cwd="/",
    )


def opened(program):
    """Let other users come to the control socket; returns a copy of the program they may run."""
    copy = program.directory / "copy"
    shutil.copy(program.binary, copy)
    os.chmod(copy, 0o755)
    for place in [program.directory.parent, program.directory, program.run_dir]:
        os.chmod(place, 0o755)
    return copy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_others_may_look_but_not_act(launch):
    program = launch("control", sets={"crew.control_mode": "0666"})
    victim = clients_of(program, "ctl", 1)[0]
    copy = opened(program)
    assert as_nobody(program, copy, "connections").returncode == DONE
    for words in [("kick", peer_of(victim)), ("set", "ctl.policy=replace"), ("reload",)]:
        done = as_nobody(program, copy, *words)
        assert done.returncode == FAILED, (words, done.stdout, done.stderr)
        assert "user 65534 may look but not act" in done.stderr
    assert victim.ask("echo alive") == "alive"
    assert "policy" not in program.output()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_members_of_the_group_may_act(launch):
    sets = {"crew.control_mode": "0666", "crew.control_act_group": "daemon"}
    program = launch("control", sets=sets)
    victim, other = clients_of(program, "ctl", 2)
    copy = opened(program)
    done = as_nobody(program, copy, "kick", peer_of(victim))
    assert done.returncode == FAILED and "group daemon" in done.stderr
    program.groups = "--groups=daemon"
    done = as_nobody(program, copy, "kick", peer_of(victim))
    assert done.returncode == DONE, done.stderr
    program.wait_output("was kicked by user 65534")
    assert other.ask("echo alive") == "alive"


def test_a_closed_control_socket(launch):
    program = launch("control")
    assert isinstance(program, Program)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    copy = opened(program)
    done = as_nobody(program, copy, "set", "ctl.policy=replace")
    assert done.returncode == FAILED and "closed to this user" in done.stderr


def test_kick_through_a_reload(launch):
    """Old workers that drain obey as well."""
    program = launch("control", sets={"ctl.drain_timeout_ms": 20000})
    client = clients_of(program, "ctl", 1)[0]
    row = row_of(program, client)
    assert program.cli("reload", "-g", "--no-wait").returncode == DONE
    wait_until(lambda: ask(program, "gen") == "2", "the new workers are there")
    assert row["id"] in {one["id"] for one in program.connections()}
    kick(program, row["id"])
    program.wait_ready(generation=2)
