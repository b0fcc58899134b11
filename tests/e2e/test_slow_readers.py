"""Policies at work: a tenth of the clients stall. The others notice nothing, memory stays within
its bound, and a client that wakes up is told to the message what it has missed."""

import time

import laws
import pytest
from clients import Frame
from processes import memory_bytes, wait_until
from program import BUILD
from wsclient import WebSocket

CLIENTS, STALLED = 20, 2
ROUNDS, BATCH, SIZE = 40, 5, 8_000
SENT = ROUNDS * BATCH
LIMIT = 65_536
HEAD = 10  # a frame's
# What memory may grow by beside the queues; a sanitizer keeps what was freed.
SPARE = (64 if "asan" in BUILD.name else 8) << 20


class Subscriber:
    """Mixed into a client: numbers and gaps apart from answers."""

    def setup(self):
        self.numbers, self.keys, self.gaps = [], {}, []

    def take_next(self):
        """One message; an answer is returned, all else noted."""
        body = self.read_message().decode()
        if body.startswith("= "):
            return body[2:]
        words = body.split(" ")
        if words[0] == "gap":
            self.gaps.append(tuple(int(word) for word in words[1:]))
        else:
            assert words[0] == "m" and body.rstrip(".").endswith(" "), "a message is torn"
            assert len(body) == SIZE
            self.numbers.append(int(words[1]))
            self.keys[words[2]] = int(words[1])
        return None

    def ask(self, command):
        self.send_message(command.encode())
        while True:
            answer = self.take_next()
            if answer is not None:
                return answer

    def read_to(self, number):
        while not self.numbers or self.numbers[-1] < number:
            self.take_next()

    def missed(self, last):
        return sorted(set(range(1, last + 1)) - set(self.numbers))


class SlowWs(Subscriber, WebSocket):
    def __init__(self, sock):
        super().__init__(sock)
        self.setup()


class SlowFrame(Subscriber, Frame):
    def __init__(self, sock):
        super().__init__(sock)
        self.setup()


class Scene:
    """A program, the one who feeds it, those who read, and those who do not."""

    def __init__(self, launch, scheme="ws", clients=CLIENTS, stalled=STALLED, **sets):
        sets = {f"slow.{key}": value for key, value in sets.items()}
        self.program = launch("slow", sets={"slow.max_send_buffer": LIMIT, **sets},
                              listens={"slow": scheme + "://127.0.0.1:{port}"})
        kind = SlowWs if scheme == "ws" else SlowFrame
        connect = self.program.connect
        self.stalled = [kind(connect("slow", receive_buffer=16384)) for _ in range(stalled)]
        self.ids = [client.ask("id") for client in self.stalled]
        self.readers = [kind(connect("slow")) for _ in range(clients - stalled)]
        self.control = self.readers[0]
        for reader in self.readers:
            reader.ask("id")
        self.clients = clients
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.stalled + self.readers:
            client.close()

    def feed(self, rounds=ROUNDS, batch=BATCH, keys=0, ttl=0):
        """Round by round: each reader has each message before the next round."""
        accepted = 0
        for _ in range(rounds):
            accepted += int(self.control.ask(f"feed {batch} {SIZE} {keys} {ttl}"))
            self.number += batch
            for reader in self.readers:
                reader.read_to(self.number)
        return accepted

    def rows(self):
        return [row for row in self.program.connections() if row["id"] in self.ids]

    def check_readers(self):
        """Everything, in order, and nothing to be told of."""
        for reader in self.readers:
            assert reader.numbers == list(range(1, self.number + 1))
            assert not reader.gaps

    def check_bound(self, before):
        worker = self.program.pid("slow")
        for row in self.rows():
            assert row["send_queue"] < LIMIT + SIZE + HEAD
        allowed = len(self.stalled) * (LIMIT + SIZE) + SPARE
        assert memory_bytes(worker) - before < allowed

    def wake(self):
        """They read all that comes, which ends with a message that all get."""
        for client in self.stalled:
            wait = time.monotonic() + 10
            while time.monotonic() < wait:
                client.sock.settimeout(0.5)
                try:
                    client.take_next()
                except TimeoutError:
                    break
            client.sock.settimeout(20)
        self.feed(1)
        for client in self.stalled:
            client.read_to(self.number)

    def totals(self):
        return laws.check_laws(self.program.status())["totals"]


def check_gaps(scene, lost):
    """What was told is what is missing: how many, the first and the last."""
    for client in scene.stalled:
        missed = client.missed(scene.number)
        assert client.numbers == sorted(set(client.numbers))
        assert sum(gap[0] for gap in client.gaps) == len(missed) > 0
        assert min(gap[1] for gap in client.gaps) == missed[0]
        assert max(gap[2] for gap in client.gaps) == missed[-1]
        assert client.gaps[0][2] - client.gaps[0][1] + 1 == client.gaps[0][0]
    totals = scene.program.wait_totals("all left", lambda t: t["messages_queued"] == 0)
    assert totals["send_fail"] == sum(len(c.missed(scene.number)) for c in scene.stalled)
    assert totals["send_fail"] == totals["send_fail_by_reason"][lost]
    assert totals["told_lost"] == totals["told_gaps"] == totals["send_fail"]


@pytest.mark.parametrize("scheme", ["ws", "frame"])
@pytest.mark.parametrize("policy,lost", [("drop-newest", "full"), ("drop-oldest", "evicted")])
def test_surplus_is_dropped(launch, scheme, policy, lost):
    with Scene(launch, scheme, policy=policy) as scene:
        before = memory_bytes(scene.program.pid("slow"))
        accepted = scene.feed()
        scene.check_readers()
        scene.check_bound(before)
        totals = scene.totals()
        assert totals["send_fail_by_reason"][lost] == totals["send_fail"] > SENT
        refused = totals["send_fail"] if policy == "drop-newest" else 0
        assert accepted == SENT * CLIENTS - refused
        scene.wake()
        check_gaps(scene, lost)
        scene.check_readers()
        for client in scene.stalled:
            missed = client.missed(scene.number)
            last = SENT if policy == "drop-newest" else SENT - 1
            # The newest are missing, or those before what was the newest.
            assert (missed[-1] == SENT) == (policy == "drop-newest") and missed[-1] <= last


def test_replace_keeps_the_latest_of_each_key(launch):
    keys = 3
    with Scene(launch, policy="replace") as scene:
        before = memory_bytes(scene.program.pid("slow"))
        # One at a time: what is made in the same turn as its successor is not sent to anybody.
        accepted = scene.feed(rounds=SENT, batch=1, keys=keys)
        assert accepted == SENT * CLIENTS
        scene.check_readers()
        scene.check_bound(before)
        for row in scene.rows():
            assert row["send_queue_messages"] <= keys + 2
        replaced = scene.totals()["messages_replaced"]
        assert replaced > SENT
        scene.wake()
        totals = scene.program.wait_totals("all left", lambda t: t["messages_queued"] == 0)
        assert totals["send_fail"] == 0
        assert replaced == sum(len(client.missed(scene.number)) for client in scene.stalled)
        for client in scene.stalled:
            latest = {f"key{n % keys}": n for n in range(SENT - keys + 1, SENT + 1)}
            assert {key: n for key, n in client.keys.items() if key} == latest
            assert not client.gaps


def test_disconnect_ends_who_cannot_keep_up(launch):
    with Scene(launch, policy="disconnect") as scene:
        scene.feed()
        scene.check_readers()
        totals = scene.totals()
        assert totals["closes_by_reason"]["full"] == STALLED
        assert totals["connections"] == CLIENTS - STALLED
        assert totals["send_fail"] == totals["send_fail_by_reason"]["full"] > 0
        assert totals["messages_queued"] == totals["bytes_queued"] == 0
        for client in scene.stalled:
            client.sock.settimeout(5)
            with pytest.raises((EOFError, ConnectionError)):
                client.read_to(SENT)


def test_what_is_too_old_is_not_sent(launch):
    with Scene(launch, max_send_buffer="4m") as scene:
        scene.feed(rounds=12, ttl=300)
        expired = scene.program.wait_totals(
            "nothing waits that may expire", lambda t: t["messages_queued"] <= STALLED
        )["send_fail_by_reason"]["expired"]
        assert expired > 0
        scene.check_readers()
        scene.wake()
        check_gaps(scene, "expired")


def test_a_policy_of_one_connection(launch):
    with Scene(launch, policy="drop-newest") as scene:
        assert scene.control.ask(f"policy {scene.ids[0]} drop-oldest") == "0"
        assert scene.control.ask(f"policy {scene.ids[0]} nonsense") == "-22"
        scene.feed()
        fails = {row["id"]: row["send_fail_by_reason"] for row in scene.rows()}
        assert fails[scene.ids[0]]["evicted"] > 0 and fails[scene.ids[0]]["full"] == 0
        assert fails[scene.ids[1]]["full"] > 0 and fails[scene.ids[1]]["evicted"] == 0
        scene.check_readers()


def test_set_changes_the_policy_of_all(launch):
    with Scene(launch, policy="drop-newest") as scene:
        scene.feed()
        full = scene.totals()["send_fail_by_reason"]["full"]
        assert full > 0
        done = scene.program.cli("set", "slow.policy=drop-oldest")
        assert done.returncode == 0, done.stderr
        scene.feed(rounds=5)
        reasons = scene.totals()["send_fail_by_reason"]
        assert reasons["full"] == full
        assert reasons["evicted"] == STALLED * 5 * BATCH
        scene.check_readers()


def test_kick_lets_go_at_once(launch):
    with Scene(launch) as scene:
        scene.feed()
        held = scene.totals()["bytes_queued"]
        assert held >= STALLED * LIMIT
        done = scene.program.cli("kick", scene.ids[0])
        assert done.returncode == 0, done.stderr
        totals = scene.program.wait_totals(
            "one is gone", lambda t: t["closes_by_reason"]["kicked"] == 1)
        assert totals["bytes_queued"] <= held - LIMIT
        assert totals["send_fail_by_reason"]["aborted"] > 0
        scene.feed(rounds=3)
        scene.check_readers()


def test_a_cap_slows_one_alone(launch):
    """Row 54 the other way round: the reader is not slow, and nobody else waits for it."""
    with Scene(launch, stalled=1) as scene:
        slow = scene.stalled[0]
        assert scene.control.ask(f"rate {scene.ids[0]} 0 10") == "0"
        began = time.monotonic()
        scene.feed(rounds=3)
        scene.check_readers()
        assert scene.totals()["messages_queued"] >= 3 * BATCH - 11
        slow.read_to(scene.number)
        assert time.monotonic() - began > 0.3
        assert slow.numbers == list(range(1, scene.number + 1))


def test_one_stalled_among_many(launch):
    """Row 54: each of the others has each message before the next is made."""
    with Scene(launch, clients=60, stalled=1, policy="drop-oldest") as scene:
        scene.feed(rounds=20)
        scene.check_readers()
        wait_until(lambda: scene.rows()[0]["send_fail_by_reason"]["evicted"] > 0, "it loses")
