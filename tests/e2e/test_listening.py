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
    """One that ends by its own wish takes its time over it; meanwhile a sibling accepts for it."""
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
    assert set(knock(program, 60)) == {"0"}
    for client in clients:
        client.close()


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
