"""Who accepts: sockets of workers that are away, the three ways to spread connections, limits on how
fast they come, and what the kernel dropped because nobody took it in time."""

import signal
import socket
import threading

import pytest

from clients import Text
from processes import wait_until
from talk import ask, hit


def knock(program, times, service="ctl"):
    """New connections, each of which must be taken and answered; by which worker ids."""
    served = []
    for _ in range(times):
        with Text(program.connect(service)) as client:
            served.append(client.ask("id"))
    return served


# ---- reuse_port: every socket is read ----


def test_sockets_of_a_crash_loop(launch, tmp_path):
    """Worker 1 of 2 cannot be started any more: nobody who connects hangs or is refused, be it in a
    try that fails or in one that takes long; and its socket is its own again in the end."""
    fails, hangs = tmp_path / "fails", tmp_path / "hangs"
    program = launch(
        "control",
        sets={"ctl.workers": 2, "ctl.accept": "reuse-port", "app.fail_file": fails,
              "app.hang_file": hangs},
    )
    assert set(knock(program, 100)) == {"0", "1"}
    fails.write_text("")
    hit(program.pid("ctl", 1))
    program.wait_output("crash loop", 20)
    assert set(knock(program, 100)) == {"0"}
    hangs.write_text("")
    fails.unlink()
    wait_until(
        lambda: [w["state"] for w in program.workers("ctl")] == ["ready", "starting"], "it hangs"
    )
    assert set(knock(program, 100)) == {"0"}
    hangs.unlink()
    hit(program.pid("ctl", 1))
    program.wait_ready()
    wait_until(lambda: set(knock(program, 20)) == {"0", "1"}, "both serve")


def test_sockets_of_a_worker_that_leaves(launch):
    """One that ends by its own wish takes its time over it; who is given to its socket meanwhile is
    answered by the fresh one, or by a sibling as long as that is not ready."""
    program = launch(
        "control",
        sets={"ctl.workers": 2, "ctl.reuse_port": "on", "ctl.stop_timeout_ms": 60000,
              "ctl.linger_ms": 60000},
    )
    clients = [Text(program.connect("ctl")) for _ in range(20)]
    last = next(client for client in clients if client.ask("id") == "1")
    stay = [client for client in clients if client is not last and client.ask("id") == "1"]
    assert stay, "nobody keeps it from leaving"
    last.send_message(b"recycle")
    wait_until(
        lambda: "draining" in [w["state"] for w in program.workers("ctl")], "it leaves"
    )
    try:
        assert set(knock(program, 60)) <= {"0", "1"}
    finally:
        for client in clients:
            client.close()


def test_fewer_workers_under_load(launch, tmp_path):
    """A reload from 4 workers to 2 and back to 3: the sockets of those that went are read by those
    that stay, so nobody who connects hangs or is refused, before, during and after."""
    config = tmp_path / "control.ini"
    config.write_text("[ctl]\nworkers = 4\naccept = reuse-port\n")
    program = launch("control", start=False)
    program.spawn("-c", str(config))
    wait_until(lambda: program.try_status() and len(ready(program)) == 4, "four are ready")
    program.master = program.status()["pid"]
    assert set(knock(program, 100)) == {"0", "1", "2", "3"}
    failures, served, end = [], [], threading.Event()

    def load():
        while not end.is_set():
            try:
                served.append(ask(program, "id"))
            except (OSError, EOFError) as why:
                failures.append(why)

    loaders = [threading.Thread(target=load) for _ in range(4)]
    for loader in loaders:
        loader.start()
    try:
        for workers in (2, 3):
            config.write_text(f"[ctl]\nworkers = {workers}\naccept = reuse-port\n")
            done = program.cli("reload", seconds=60)
            assert done.returncode == 0, done.stderr
            so_far = len(served)
            wait_until(lambda: len(served) > so_far + 100, "it goes on")
    finally:
        end.set()
        for loader in loaders:
            loader.join(60)
    assert not any(loader.is_alive() for loader in loaders), "somebody hangs"
    assert not failures, failures[:3]
    assert set(knock(program, 100)) == {"0", "1", "2"}
    assert len(ready(program)) == 3


def ready(program):
    return [w for w in program.workers("ctl") if w["state"] == "ready"]


# ---- least-connections ----

SLACK = 4  # so many more than another worker are nothing


def held(program, clients):
    """By worker id, how many connections the workers have; the same as is held here."""
    def look():
        counts = {w["id"]: w["connections"] for w in program.workers("ctl")}
        return counts if sum(counts.values()) == len(clients) else None

    return wait_until(look, "all are counted")


def is_level(counts):
    """On a machine that is busy with other things somebody may help a sibling that has its turn."""
    return max(counts.values()) <= min(counts.values()) + 3 * SLACK


def test_least_connections(launch):
    """Workers stay level, and one that comes anew gets what is missing; none is refused."""
    program = launch("control", sets={"ctl.workers": 3, "ctl.accept": "least-connections"})
    clients = [Text(program.connect("ctl")) for _ in range(60)]
    for client in clients:
        assert client.ask("echo in") == "in"
    counts = held(program, clients)
    assert is_level(counts), counts
    old = program.pid("ctl", 1)
    hit(old)
    stay = []
    for client in clients:
        try:
            if client.ask("echo still here") == "still here":
                stay.append(client)
        except (OSError, EOFError):
            client.close()
    assert len(stay) == 60 - counts[1]
    wait_until(lambda: program.pid("ctl", 1) not in (None, old), "it is back")
    program.wait_ready()
    wait_until(lambda: ask(program, "id") == "1", "it takes part")
    late = []
    for _ in range(counts[1]):
        late.append(Text(program.connect("ctl")))
        assert late[-1].ask("echo in") == "in"
    again = held(program, stay + late)
    assert again[1] > len(late) / 2, again
    assert program.lawful()["totals"]["refused_limit"] == 0
    for client in stay + late:
        client.close()


def test_least_connections_of_one_that_stands_still(launch):
    """Who has fewest does not take them: the others do, though they have more."""
    program = launch("control", sets={"ctl.workers": 2, "ctl.accept": "least-connections"})
    clients = [Text(program.connect("ctl")) for _ in range(30)]
    ids = [client.ask("id") for client in clients]
    for client, worker in zip(clients, ids):
        if worker == "1":
            client.close()
    stay = [client for client, worker in zip(clients, ids) if worker == "0"]
    held(program, stay)
    hit(program.pid("ctl", 1), signal.SIGSTOP)
    try:
        late = [Text(program.connect("ctl")) for _ in range(20)]
        answers = [client.ask("id") for client in late if client.sock.settimeout(30) is None]
        assert set(answers) <= {"0"}
    finally:
        hit(program.pid("ctl", 1), signal.SIGCONT)
    for client in stay + late:
        client.close()


# ---- connection_rate_per_ip ----


def is_let_in(program, source="127.0.0.1"):
    try:
        with socket.create_connection(
            ("127.0.0.1", program.ports["tcp"]), 10, source_address=(source, 0)
        ) as sock:
            sock.sendall(b"in")
            return sock.recv(2) == b"in"
    except ConnectionError:
        return False


@pytest.mark.one_engine
def test_connection_rate_per_ip(launch):
    program = launch(
        "echo", sets={"tcp.connection_rate_per_ip": 1}, listens={"tcp": "tcp://:{port}"}
    )
    assert is_let_in(program)
    wait_until(lambda: not is_let_in(program), "one is refused")
    assert program.totals()["refused_rate"] >= 1
    assert is_let_in(program, "127.0.0.2"), "another address is none of it"
    wait_until(lambda: is_let_in(program), "after a second one more is let in")
    events = program.cli("events", "--json").stdout
    assert '"kind":"rate"' in events and "127.0.0.1" in events
    program.wait_output("more than connection_rate_per_ip (1 a second)")
    assert program.cli("set", "tcp.connection_rate_per_ip=off").returncode == 0
    wait_until(lambda: all(is_let_in(program) for _ in range(20)), "the limit is off")
    assert program.cli("set", "tcp.connection_rate_per_ip=1").returncode == 0
    wait_until(lambda: not is_let_in(program), "the limit is on again")
    totals = program.lawful()["totals"]
    assert totals["refused_ip"] == totals["refused_limit"] == 0


@pytest.mark.one_engine
def test_connection_rate_behind_a_proxy(launch):
    """It is the client who comes too fast, and not his proxy."""
    program = launch(
        "edge", sets={"line.proxy_protocol": "on", "line.connection_rate_per_ip": 1}
    )

    def is_served(last):
        with Text(program.connect("line")) as client:
            try:
                client.send(b"PROXY TCP4 192.0.2.%d 192.0.2.8 4711 80\r\n" % last)
                return client.read_message() == b"192.0.2.%d:4711" % last
            except (ConnectionError, EOFError):
                return False

    assert is_served(1)
    wait_until(lambda: not is_served(1), "one is refused")
    assert is_served(2) and is_served(3) and is_served(4)
    assert program.totals()["refused_rate"] >= 1


# ---- backlog ----


def port_of(program, service="ctl"):
    return next(row for row in program.status()["listening"] if row["service"] == service)


@pytest.mark.one_engine
def test_a_full_backlog(launch):
    """Nobody accepts, and too many come: counted, shown, and what to do about it."""
    program = launch("control", listens={"ctl": "text://127.0.0.1:{port}?backlog=2"})
    row = port_of(program)
    assert (row["accept"], row["sockets"], row["backlog"]) == ("shared", 1, 2)
    assert row["overflow"] == 0 and row["last_overflow_s"] is None
    assert port_of(program, "side")["backlog"] is None
    pid = program.pid("ctl")
    hit(pid, signal.SIGSTOP)
    peers = []
    try:
        for _ in range(12):
            peers.append(socket.socket())
            peers[-1].setblocking(False)
            peers[-1].connect_ex(("127.0.0.1", program.ports["ctl"]))
        row = wait_until(
            lambda: (found := port_of(program))["overflow"] > 0 and found, "it is counted", 20
        )
        assert row["waiting"] == 3 and row["last_overflow_s"] >= 0
        text = program.cli("status").stdout
        assert "the backlog of ctl is full" in text and "somaxconn" in text
    finally:
        hit(pid, signal.SIGCONT)
        for peer in peers:
            peer.close()
    totals = program.lawful()["totals"]
    assert totals["accept_overflow"] >= row["overflow"]
    assert ask(program, "id") == "0"
    hit(pid)
    wait_until(lambda: program.pid("ctl") not in (None, pid), "another one")
    program.wait_ready()
    assert program.totals()["accept_overflow"] >= totals["accept_overflow"], "it ran backward"


def test_the_spread_is_shown(launch):
    program = launch("control", sets={"ctl.workers": 2, "ctl.accept": "least-connections"})
    clients = [Text(program.connect("ctl")) for _ in range(20)]
    for client in clients:
        assert client.ask("echo in") == "in"
    held(program, clients)
    status = program.lawful()
    workers = [w for w in status["workers"] if w["service"] == "ctl"]
    assert abs(sum(w["share"]["connections"] for w in workers) - 1) < 1e-6
    assert abs(sum(w["share"]["accepted"] for w in workers) - 1) < 1e-6
    for worker in workers:
        assert abs(worker["share"]["connections"] - worker["connections"] / 20) < 1e-6
    row = port_of(program)
    most = max(w["connections"] for w in workers)
    assert abs(row["connections_spread"] - most / 10) < 1e-6
    text = program.cli("status").stdout
    summary = next(line for line in text.splitlines() if line.startswith("Summary"))
    assert f"spread {most / 10:.2f}" in summary
    assert "ctl: the busiest of 2 workers has" in text
    for client in clients:
        client.close()


# ---- Unix sockets ----


@pytest.mark.one_engine
def test_a_unix_socket_has_one_owner_at_a_time(launch, tmp_path):
    """The path passes from one program to the next: the new one never loses it to the old one's
    end, and it is never without a file while an abandoned one is replaced."""
    path = tmp_path / "side.sock"
    listens = {"side": f"text+unix://{path}"}
    old = launch("control", listens=listens)
    assert ask_at(path) == "0"
    path.unlink()
    new = launch("control", listens=listens)
    first = ask_at(path, "pid")
    assert first == str(new.pid("side"))
    old.stop()
    assert ask_at(path, "pid") == first, "the old one took the path along"
    new.kill_master()
    new.sweep()
    assert path.exists()
    missing, end = [], threading.Event()

    def watch():
        while not end.is_set():
            if not path.exists():
                missing.append(True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        new.start()
        assert ask_at(path) == "0"
    finally:
        end.set()
        watcher.join()
    assert not missing, "for a moment there was nothing at the path"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("side")] == ["side.sock"]
    new.stop()
    assert not path.exists()


def ask_at(path, line="id"):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(str(path))
    with Text(sock) as client:
        return client.ask(line)
