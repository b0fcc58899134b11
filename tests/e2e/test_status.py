"""status and connections: the truth, from memory, whatever the workers are doing."""

import json
import os
import signal
import subprocess
import time

import pytest
from clients import PushFrame, Raw, Text
from processes import wait_until
from talk import ask, hit, order, wait_busy


def test_every_key(launch):
    program = launch("control")
    status = program.lawful()
    assert status["version"] == "1.2.3" and status["generation"] == 1
    assert status["engine"] in ("epoll", "poll") and status["consistent"] is True
    ctl = program.workers("ctl")[0]
    assert ctl["listen"] == program.listens["ctl"] and ctl["state"] == "ready"
    assert ctl["memory_bytes"] > 100_000 and ctl["busy_ms"] == 0 and not ctl["busy_in"]
    ask(program, "count 5")
    ask(program, "count 6")
    totals = program.totals()
    assert totals["counted"] == 11, "the program's own counter is missing"
    assert totals["total_request"] == 2 and totals["workers"] == 2


def test_engine_is_what_was_asked_for(launch, engine):
    assert launch("control").status()["engine"] == engine


def test_crew_counters_in_the_program(launch):
    program = launch("control")
    with Text(program.connect("ctl")) as client:
        for number in range(5):
            client.ask("count 1")
        assert client.ask("counter counted") == "5"
        assert client.ask("counter total_request") == "7"
        assert client.ask("counter connections") == "1"
        assert client.ask("counter no_such_counter") == "0"
        old = program.pid("ctl")
        hit(old)
    wait_until(lambda: program.pid("ctl") not in (None, old), "respawned")
    program.wait_ready()
    with Text(program.connect("ctl")) as client:
        assert client.ask("counter counted") == "0", "a new worker begins at nothing"
        assert client.ask("total counted") == "5", "the dead are in the total"
        assert client.ask("total close_crash") == "1"


def test_text_has_both_blocks(launch):
    program = launch("control", sets={"ctl.workers": 2})
    hit(program.pid("ctl"), signal.SIGKILL)
    program.wait_totals("respawned", lambda t: t["workers"] == 3)
    program.wait_ready()
    done = program.cli("status")
    assert done.returncode == 0
    text = done.stdout.lower()
    for word in ("global", "process", "pid", "memory", "listening", "name", "connections",
                 "send_fail", "timers", "total_request", "qps", "status", "load average", "run",
                 "exit_status", "exit_count", "summary"):
        assert word in text, f"{word!r} is missing in\n{done.stdout}"
    for worker in program.workers():
        assert str(worker["pid"]) in text
    assert program.listens["ctl"] in text
    assert "why sends failed" not in text, "there is nothing to explain"


def test_text_explains_losses(launch):
    program = launch("push", listens={"push": "frame://127.0.0.1:{port}"})
    with PushFrame(program.connect("push")) as control:
        assert control.ask("stale 1234") == "0"
    text = program.cli("status").stdout.lower()
    assert "why sends failed" in text
    row = [line for line in text.splitlines() if line.strip().startswith("closed")]
    assert len(row) == 1 and "3" in row[0] and "100" in row[0], text


def test_repeated_status(launch):
    """status -d goes on until it is interrupted; with --json a document a line."""
    program = launch("control")
    watch = subprocess.Popen(
        [program.binary, "status", "-d", "--json", "--run-dir", program.run_dir],
        stdout=subprocess.PIPE, text=True,
    )
    documents = [json.loads(watch.stdout.readline()) for _ in range(2)]
    watch.send_signal(signal.SIGINT)
    watch.stdout.close()
    watch.wait(10)
    assert documents[0]["pid"] == documents[1]["pid"] == program.master
    assert documents[1]["uptime_s"] > documents[0]["uptime_s"]


# ---- when nobody could answer ----


def test_worker_in_an_endless_loop(launch):
    program = launch("control")
    with Text(program.connect("ctl")) as waiting:
        assert waiting.ask("count 3") == "3"
        client = order(program, "loop")
        first = wait_busy(program)
        assert first["busy_in"] == "on_message"
        time.sleep(0.3)
        second = wait_busy(program)
        assert second["busy_ms"] >= first["busy_ms"] + 250
        assert second["connections"] == 2 and second["counted"] == 3
        assert {w["state"] for w in program.workers("side")} == {"ready"}
        assert "on_message" in program.cli("status").stdout
        rows = [r for r in program.connections() if r["service"] == "ctl"]
        assert len(rows) == 2 and sum(r["bytes_in"] for r in rows) == len("count 3\nloop\n")
        program.lawful()
        client.close()


def test_all_workers_stopped(launch):
    program = launch("control", sets={"ctl.workers": 2})
    ask(program, "count 9")
    with Text(program.connect("ctl")) as client:
        client.ask("id")
        pids = [w["pid"] for w in program.workers()]
        for pid in pids:
            hit(pid, signal.SIGSTOP)
        status = program.lawful()
        assert sorted(w["pid"] for w in status["workers"]) == sorted(pids)
        assert status["totals"]["counted"] == 9 and status["totals"]["connections"] == 1
        assert len(program.connections()) == 1
        assert program.cli("status").returncode == 0
        for pid in pids:
            hit(pid, signal.SIGCONT)
        assert client.ask("echo awake") == "awake"


def test_master_stopped(launch):
    """It says that the master is silent, and shows everything all the same."""
    program = launch("control")
    ask(program, "count 4")
    assert program.status()["master"] == "answers"
    hit(program.master, signal.SIGSTOP)
    try:
        status = program.lawful()
        assert status["master"] == "silent"
        assert status["totals"]["counted"] == 4 and len(status["workers"]) == 2
        done = program.cli("status")
        assert done.returncode == 0 and "does not answer" in done.stdout + done.stderr
        with Text(program.connect("ctl")) as client:
            assert client.ask("echo workers go on") == "workers go on"
            assert len(program.connections()) == 1
    finally:
        hit(program.master, signal.SIGCONT)
    wait_until(lambda: program.status()["master"] == "answers", "the master is back")


def test_everything_stopped(launch):
    program = launch("control")
    ask(program, "count 2")
    pids = [program.master] + [w["pid"] for w in program.workers()]
    for pid in pids:
        hit(pid, signal.SIGSTOP)
    status = program.lawful()
    assert status["master"] == "silent" and status["totals"]["counted"] == 2
    for pid in pids:
        hit(pid, signal.SIGCONT)


def test_starting_worker_is_shown(launch, tmp_path):
    hangs = tmp_path / "hangs"
    hangs.write_text("")
    program = launch("control", start=False, sets={"app.hang_file": hangs})
    program.spawn()
    wait_until(lambda: (program.try_status() or {}).get("workers"), "a status")
    wait_until(lambda: {w["state"] for w in program.workers()} == {"starting"}, "starting")
    assert all(w["busy_in"] in ("on_worker_start", None) for w in program.workers())
    hangs.unlink()
    program.master = program.wait_ready()["pid"]


# ---- connections ----


KEYS = {
    "id", "pid", "service", "transport", "protocol", "state", "local", "remote", "age_s",
    "idle_in_s", "idle_out_s", "recv_queue", "send_queue", "send_queue_messages",
    "oldest_queued_s", "kernel_unsent", "bytes_in", "bytes_out", "send_fail",
    "send_fail_by_reason", "verdict",
}


def test_connections(launch):
    program = launch("control")
    assert program.connections() == []
    clients = [Text(program.connect("ctl")) for _ in range(5)]
    for number, client in enumerate(clients):
        client.ask("echo " + "x" * number * 10)
    clients[2].send(b"unfinished")
    rows = wait_until(
        lambda: [r for r in program.connections() if r["recv_queue"] == 10] and
        program.connections(), "the unfinished message shows",
    )
    assert len(rows) == 5 and len({row["id"] for row in rows}) == 5
    for row in rows:
        assert set(row) == KEYS
        assert row["protocol"] == "text" and row["state"] == "open"
        assert row["local"] == f"127.0.0.1:{program.ports['ctl']}"
        assert row["age_s"] >= 0 and row["idle_in_s"] >= 0 and row["send_queue"] == 0
    remotes = {f"127.0.0.1:{client.sock.getsockname()[1]}" for client in clients}
    assert {row["remote"] for row in rows} == remotes
    for key in ("bytes_in", "bytes_out"):
        by_key = [row[key] for row in program.connections("--sort", key)]
        assert by_key == sorted(by_key, reverse=True) and len(set(by_key)) > 2
    by_remote = [row["remote"] for row in program.connections("--sort", "remote")]
    assert by_remote == sorted(by_remote)
    text = program.cli("connections").stdout
    assert all(remote in text for remote in remotes)
    for row in rows:
        assert row["id"] in text or row["id"].lstrip("0") in text
    done = program.cli("connections", "--sort", "bites_in")
    assert done.returncode == 2 and "bites_in" in done.stderr and "bytes_in" in done.stderr
    for client in clients:
        client.close()
    program.wait_empty()
    assert program.connections() == []


def test_slots_are_used_again(launch):
    """Ids never repeat, though slots do; a stale id is nobody's."""
    program = launch("echo")
    seen = set()
    for _ in range(20):
        with Raw(program.connect("tcp")) as client:
            client.send(b"x")
            client.read(1)
            row = program.connections()[0]
            assert row["id"] not in seen
            seen.add(row["id"])
        program.wait_empty()
    assert len({one[:8] for one in seen}) == 1, "one connection at a time, and more than one slot"


def test_status_changes_nothing(launch):
    """A hundred looks under load: nobody is disconnected, no descriptor is lost."""
    program = launch("control")
    with Text(program.connect("ctl")) as client:
        client.ask("id")
        descriptors = len(os.listdir(f"/proc/{program.master}/fd"))
        for number in range(50):
            assert client.ask(f"echo {number}") == str(number)
            program.lawful()
            program.connections()
        wait_until(
            lambda: len(os.listdir(f"/proc/{program.master}/fd")) == descriptors,
            "the master keeps no descriptor of those who asked",
        )
        assert program.totals()["connections"] == 1


@pytest.mark.one_engine
def test_only_the_owner_may_look(launch):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    program = launch("control")
    for path in (program.directory.parent, program.directory, program.run_dir):
        path.chmod(0o755)
    done = subprocess.run(
        [program.binary, "stop", "--run-dir", program.run_dir], capture_output=True, text=True,
        user="nobody", check=False, timeout=20,
    )
    assert done.returncode == 1 and done.stderr.strip(), (done.returncode, done.stderr)
    assert ask(program, "id") == "0"
