"""UDP, for real peers: both address families, groups, floods, limits, reloads and deaths."""

import os
import random
import signal
import socket
import struct
import threading
import time

import pytest
from processes import wait_until


class Peer:
    """One socket that speaks to a service."""

    def __init__(self, program, service="udp", host="127.0.0.1", own=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        if own:
            self.sock.bind((own, 0))
        self.sock.connect((host, program.ports[service]))
        self.sock.settimeout(10)

    def say(self, data):
        self.sock.send(data if isinstance(data, bytes) else data.encode())

    def hear(self):
        return self.sock.recv(70_000).decode()

    def ask(self, text):
        self.say(text)
        return self.hear()

    def hears_nothing(self, seconds=0.3):
        self.sock.settimeout(seconds)
        try:
            self.sock.recv(70_000)
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(10)

    def close(self):
        self.sock.close()


def everywhere(launch, **sets):
    return launch("datagrams", listens={"udp": "udp://:{port}"},
                  sets={f"udp.{key}": value for key, value in sets.items()})


def test_both_families(launch):
    program = everywhere(launch)
    for host, own in (("127.0.0.1", None), ("127.0.0.3", "127.0.0.1"), ("::1", None)):
        peer = Peer(program, host=host, own=own)
        assert peer.ask("hello") == "hello"
        local, remote = peer.ask("who").split()
        shown = f"[{host}]" if ":" in host else host
        assert local == f"{shown}:{program.ports['udp']}"
        assert remote.rpartition(":")[2] == str(peer.sock.getsockname()[1])
        peer.close()
    rows = program.connections()
    assert len(rows) == 3
    assert {(row["transport"], row["protocol"], row["state"]) for row in rows} == {
        ("udp", "raw", "open")}
    totals = program.totals()
    assert totals["messages_sent"] == totals["total_request"] == 6


def test_every_length(launch):
    program = launch("datagrams")
    peer = Peer(program)
    for length in (0, 1, 2, 1399, 1400, 1401, 1472, 1473, 9000, 65_506, 65_507):
        body = random.randbytes(length)
        peer.say(body)
        assert peer.sock.recv(70_000) == body
    assert program.totals()["datagrams_truncated"] == 0


def test_many_at_once_leave_in_order(launch):
    program = launch("datagrams")
    peer = Peer(program)
    peer.say("many 150")
    assert [peer.hear() for _ in range(150)] == [str(i) for i in range(150)]
    assert program.lawful()["totals"]["messages_sent"] == 150


def test_own_protocol(launch):
    program = launch("datagrams")
    peer = Peer(program, "lines")
    peer.say("one\ntwo\n")
    assert [peer.hear(), peer.hear()] == ["one\n", "two\n"]
    peer.say("three\nwithout an end")
    assert peer.hear() == "three\n"
    assert peer.ask("four\n") == "four\n"
    totals = program.totals()
    assert totals["datagrams_dropped"] == 1 and totals["connections"] == 1
    program.wait_output("it ends within a message")


def test_longer_than_max_message(launch):
    program = launch("datagrams", sets={"udp.max_message": 1000})
    peer = Peer(program)
    peer.say(b"x" * 1001)
    assert peer.ask("y" * 1000) == "y" * 1000
    totals = program.totals()
    assert totals["datagrams_truncated"] == 1 and totals["total_request"] == 1
    program.wait_output("longer than max_message")


def test_idle_kick_and_close(launch):
    program = launch("datagrams", sets={"udp.idle_timeout_ms": 300})
    idle = Peer(program)
    assert idle.ask("a") == "a"
    program.wait_totals("idle", lambda t: t["closes_by_reason"]["idle"] == 1)
    assert idle.ask("b") == "b"
    done = program.cli("kick", program.connections()[0]["id"])
    assert done.returncode == 0, done.stderr
    program.wait_totals("kicked", lambda t: t["closes_by_reason"]["kicked"] == 1)
    assert idle.ask("close") == "bye"
    program.wait_totals("closed", lambda t: t["closes_by_reason"]["app"] == 1)


def test_forged_addresses_are_bounded(launch):
    """10,000 peers that nobody ever hears of again; one that goes on is served all the while."""
    program = launch("datagrams", sets={"udp.max_connections": 200})
    steady = Peer(program)
    for i in range(10_000):
        forged = Peer(program, own=f"127.0.{i // 250 % 250}.{i % 250 + 1}")
        forged.say("x")
        forged.close()
        if i % 50 == 0:
            assert steady.ask(str(i)) == str(i)
    totals = program.wait_totals("all have come", lambda t: t["total_request"] == 10_200)
    assert totals["connections"] <= 200
    assert totals["refused_limit"] == 0
    assert totals["closes_by_reason"]["idle"] == totals["connections_total"] - totals["connections"]


def test_a_flood_is_counted(launch):
    """What the kernel gave us is delivered, answered and counted; nothing twice."""
    program = launch("datagrams")
    peers = [Peer(program) for _ in range(10)]
    heard = [0] * len(peers)

    def flood(number):
        peer = peers[number]
        for i in range(3_000):
            peer.say(f"{number} {i}")
        peer.sock.settimeout(1)
        try:
            while True:
                peer.hear()
                heard[number] += 1
        except TimeoutError:
            pass

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(len(peers))]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        program.lawful()
        time.sleep(0.1)
    totals = program.totals()
    assert totals["messages_offered"] == totals["total_request"] > 0
    assert totals["messages_sent"] + totals["send_fail"] == totals["total_request"]
    assert sum(heard) <= totals["messages_sent"]
    # Of a peer all may have been lost before us, where the kernel's buffer was full.
    assert 0 < totals["connections_total"] <= len(peers)


def test_a_peer_stays_with_its_worker(launch):
    """Each worker has its own socket, unless somebody says otherwise."""
    program = launch("datagrams", sets={"udp.workers": 2})
    peers = [Peer(program) for _ in range(40)]
    first = [peer.ask("pid") for peer in peers]
    assert len(set(first)) == 2
    for _ in range(3):
        assert [peer.ask("pid") for peer in peers] == first
    assert program.totals()["connections_total"] == 40


def test_one_socket_for_all(launch):
    program = launch("datagrams", sets={"udp.workers": 2, "udp.reuse_port": "off"})
    peers = [Peer(program) for _ in range(20)]
    for i in range(5):
        for peer in peers:
            assert peer.ask(str(i)) == str(i)


def test_a_dead_worker_is_replaced(launch):
    program = launch("datagrams", sets={"udp.workers": 2})
    peers = [Peer(program) for _ in range(20)]
    pids = {int(peer.ask("pid")) for peer in peers}
    os.kill(min(pids), signal.SIGKILL)
    # Who was its own is answered again: by a sibling that has its socket, or by its successor.
    for peer in peers:
        def answered(peer=peer):
            peer.say("hello?")
            peer.sock.settimeout(0.2)
            try:
                return peer.hear() == "hello?"
            except TimeoutError:
                return False
        wait_until(answered, "an answer")
    program.lawful()


def test_reload_loses_nothing(launch):
    program = launch("datagrams", sets={"udp.workers": 2})
    peers = [Peer(program) for _ in range(20)]
    stop = threading.Event()
    trouble = []

    def talk(peer):
        for number in range(1_000_000):
            if stop.is_set():
                return
            try:
                if peer.ask(str(number)) != str(number):
                    trouble.append("a wrong answer")
            except TimeoutError:
                trouble.append(f"no answer to {number}")
                return
            time.sleep(0.002)

    threads = [threading.Thread(target=talk, args=(peer,)) for peer in peers]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.2)
        began = time.monotonic()
        done = program.cli("reload", seconds=60)
        assert done.returncode == 0, (done.stderr, program.output())
        took = time.monotonic() - began
        time.sleep(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not trouble
    assert took < 15, "nobody waits for peers who cannot be heard any more"
    program.lawful()


@pytest.mark.one_engine
def test_a_group_is_joined(launch):
    group = f"239.255.{random.randrange(1, 250)}.{random.randrange(1, 250)}"
    program = launch("datagrams", sets={"udp.workers": 2},
                     listens={"udp": f"udp://{group}:{{port}}?interface=lo"})
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    loopback = struct.pack("@4s4si", socket.inet_aton(group), bytes(4), socket.if_nametoindex("lo"))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
    sock.settimeout(5)
    try:
        sock.sendto(b"to the group", (group, program.ports["udp"]))
    except OSError as error:
        pytest.skip(f"the loopback interface carries no multicast here: {error}")
    answer, sender = sock.recvfrom(100)
    assert answer == b"to the group"
    assert sender[1] == program.ports["udp"]
    program.wait_totals("one worker alone has it", lambda t: t["total_request"] == 1)


@pytest.mark.one_engine
def test_what_is_refused(launch):
    program = launch("datagrams", start=False)
    for sets, words in (
        ({"udp.listen": "text+udp://127.0.0.1:1"}, "is spoken over streams"),
        ({"udp.listen": "udp://224.0.0.1"}, "has no port"),
        ({"udp.proxy_protocol": "on"}, "PROXY"),
        ({"udp.listen": "udp://127.0.0.1:1?backlog=5"}, "backlog"),
    ):
        program.sets.update({"udp.listen": program.listens["udp"], "udp.proxy_protocol": "off"})
        program.sets.update(sets)
        done = program.cli("configtest", *program.arguments()[2:])
        assert done.returncode != 0 and words in done.stderr, (sets, done.stderr)
