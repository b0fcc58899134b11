"""Hand-over: at a reload connections go to the new workers alive, and their peers notice nothing."""

import os
import signal
import ssl
import threading
import zlib

import pytest
from certs import Authority
from clients import Raw, Text
from processes import wait_until
from wsclient import CONT, TEXT, WebSocket, frame

RELOADS = 5


class Stops(Raw):
    """The protocol of the service `own`: a full stop ends a message."""

    def send_message(self, body):
        self.send(body + b".")

    def read_message(self, _size=None):
        return self.read_until(b".")[:-1]


CLIENTS = {"plain": WebSocket, "told": Text, "local": Text, "own": Stops, "apart": WebSocket}


def client_of(program, service, **how):
    return CLIENTS[service](program.connect(service), **how)


def reload_now(program, *options):
    done = program.cli("reload", *options, seconds=60)
    assert done.returncode == 0, (done.stdout, done.stderr, program.output())


def ask(client, text):
    client.send_message(text.encode())
    return client.read_message().decode()


class Guest(threading.Thread):
    """Says its numbers one after the other, and checks those that it is told; until told to stop."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.failure = client, None
        self.said = self.pushed = 0
        self.generation = 0
        self.enough = threading.Event()

    def hear(self):
        """The answer to a number; pushes come before it."""
        while True:
            kind, *rest = self.client.read_message().decode().split()
            if kind == "p":
                self.pushed += 1
                assert int(rest[0]) == self.pushed, f"pushed {rest[0]} instead of {self.pushed}"
            else:
                return kind, rest

    def talk(self):
        self.client.send_message(b"push")
        while not self.enough.is_set():
            self.said += 1
            self.client.send_message(str(self.said).encode())
            number, rest = self.hear()
            assert int(number) == self.said, f"{number} was answered instead of {self.said}"
            assert int(rest[0]) >= self.generation
            self.generation = int(rest[0])
            self.enough.wait(0.002)
        self.client.send_message(b"hush")
        assert self.hear()[0] == "hushed"

    def run(self):
        try:
            self.talk()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure


def test_nobody_notices(launch):
    """Five reloads under traffic: nobody is disconnected, no number is lost or doubled."""
    program = launch("mover", sets={"plain.workers": 2, "told.workers": 2})
    counts = {"plain": 50, "told": 30, "local": 10, "own": 5, "apart": 5}
    guests = [Guest(client_of(program, s)) for s, n in counts.items() for _ in range(n)]
    for guest in guests:
        guest.start()
    for number in range(2, 2 + RELOADS):
        reload_now(program)
        program.lawful()
        wait_until(lambda n=number: all(g.generation == n or g.failure for g in guests),
                   f"all guests in generation {number}", 20)
    for guest in guests:
        guest.enough.set()
    for guest in guests:
        guest.join(20)
    assert [g.failure for g in guests if g.failure] == []
    total = sum(counts.values())
    totals = program.totals()
    assert totals["connections"] == totals["connections_total"] == total
    assert sum(totals["closes_by_reason"].values()) == 0
    assert totals["handed_over"] == totals["taken_over"] == total * RELOADS
    assert totals["messages_handed_over"] == totals["messages_taken_over"]
    assert totals["handover_kept"] == 0 and totals["send_fail"] == 0
    assert totals["left"] == total * RELOADS and totals["closed"] == 0
    assert totals["restored"] == (counts["told"] + counts["local"]) * RELOADS
    heard = sum(g.said for g in guests)
    assert totals["messages_sent"] == heard + sum(g.pushed for g in guests) + total
    rows = program.connections()
    assert len(rows) == total
    assert sum(row["bytes_out"] for row in rows) <= totals["bytes_out"]
    for guest in guests:
        guest.client.close()
    totals = program.wait_empty()
    assert totals["closed"] == total


def test_slow_reader_gets_every_byte(launch):
    """A full queue moves, with the message that had begun to leave, and is read in order."""
    program = launch("mover")
    clients = {s: CLIENTS[s](program.connect(s, receive_buffer=8192)) for s in ("plain", "told")}
    for client in clients.values():
        client.send_message(b"flood 800 4000")
    queued = program.wait_totals("queues are full", lambda t: t["messages_queued"] > 300)
    for _ in range(3):
        reload_now(program)
    totals = program.totals()
    assert totals["messages_queued"] > 0 and totals["handed_over"] == 2 * 3
    assert totals["messages_handed_over"] == totals["messages_taken_over"] > 600
    lost = totals["send_fail_by_reason"]["full"]
    assert totals["send_fail"] == lost and queued["messages_offered"] == 1600
    heard = 0
    for client in clients.values():
        client.send_message(b"1")
        for number in range(1, 801):
            message = client.read_message()
            if message.startswith(b"1 "):
                break
            assert message == b"f %d " % number + b"x" * 4000, (number, message[:20])
            heard += 1
        else:
            message = client.read_message()
        assert message == b"1 4"
    assert heard == 1600 - lost
    program.wait_totals("all has left", lambda t: t["messages_queued"] == 0)


def test_kept_refused_and_encrypted_ones_drain(launch, tmp_path):
    """What the program keeps, what it refuses to restore and TLS end as without hand-over."""
    authority = Authority(tmp_path)
    made = authority.issue(["127.0.0.1"])
    program = launch("mover", sets={"plain.tls_cert": made.cert, "plain.tls_key": made.key},
                     listens={"plain": "wss://127.0.0.1:{port}"})
    kept, doomed, moved = (client_of(program, "told") for _ in range(3))
    kept.send_message(b"stay")
    doomed.send_message(b"die")
    for client in (kept, doomed, moved):
        assert ask(client, "1") == "1 1"
    context = ssl.create_default_context(cafile=authority.ca())
    secret = WebSocket(context.wrap_socket(program.connect("plain"), server_hostname="127.0.0.1"))
    assert ask(secret, "1") == "1 1"
    reload_now(program)
    assert secret.read_close() == 1012
    assert kept.at_end() and doomed.at_end()
    assert ask(moved, "2") == "2 2"
    totals = program.totals()
    assert totals["handed_over"] == totals["taken_over"] == 2 and totals["handover_kept"] == 1
    assert totals["closes_by_reason"]["drain"] == 3 and totals["restored"] == 2


def test_compressed_and_unfinished(launch):
    """Windows go on where the peer's messages refer to them; a message goes on amid a frame."""
    program = launch("mover")
    offer = {"more": "Sec-WebSocket-Extensions: permessage-deflate\r\n"}
    packed = [WebSocket(program.connect(s), **offer) for s in ("plain", "apart")]
    windows = [zlib.compressobj(9, zlib.DEFLATED, -15) for _ in packed]
    opened = [zlib.decompressobj(-15) for _ in packed]
    fragments, line = client_of(program, "plain"), client_of(program, "told")

    def say(at, text):
        data = windows[at].compress(text) + windows[at].flush(zlib.Z_SYNC_FLUSH)
        packed[at].send_frame(TEXT, data[:-4], rsv=4)

    def hear(at):
        first, length = packed[at].read(2)
        payload = packed[at].read(length)
        return opened[at].decompress(payload + b"\0\0\xff\xff") if first & 0x40 else payload

    for at in range(2):
        if at == 0:
            windows[at] = None
        else:
            say(at, b"1")
            assert hear(at) == b"1 1"
    packed[0].send_frame(TEXT, zlib_alone(b"1"), rsv=4)
    assert packed[0].read_message() == b"1 1"
    fragments.send_frame(TEXT, b"w", fin=False)
    fragments.send(frame(CONT, b"ho", key=b"keys")[:7])
    line.send(b"wh")
    program.wait_totals("all that was sent has come", lambda t: t["bytes_in"] > 0)
    reload_now(program)
    say(1, b"2")
    assert hear(1) == b"2 2"
    packed[0].send_frame(TEXT, zlib_alone(b"2"), rsv=4)
    assert packed[0].read_message() == b"2 2"
    fragments.send(frame(CONT, b"ho", key=b"keys")[7:])
    assert fragments.read_message().split()[2] == b"2"
    line.send(b"o\n")
    new_id, old_id, generation, restored = line.read_message().decode().split()
    assert new_id != old_id and (generation, restored) == ("2", "1")
    assert new_id in [row["id"] for row in program.connections()]
    assert program.totals()["handed_over"] == 4


def zlib_alone(text):
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (maker.compress(text) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fated(program, fate, count=20):
    """Guests of `told` of whom the tenth brings that signal to the worker it moves to."""
    clients = [client_of(program, "told") for _ in range(count)]
    for number, client in enumerate(clients):
        if number == 9:
            client.send_message(b"fate %d" % fate)
        assert ask(client, "1") == "1 1"
    return clients


@pytest.mark.one_engine
def test_new_worker_dies_midway(launch):
    """What it had taken ends with it; all others go on in the old worker and drain."""
    program = launch("mover")
    clients = fated(program, signal.SIGKILL)
    program.cli("reload", seconds=60)
    for client in clients:
        assert client.read_all() == b""
    program.wait_ready()
    totals = program.totals()
    closes = totals["closes_by_reason"]
    assert totals["connections"] == 0 and totals["connections_total"] == len(clients)
    assert closes["crash"] == 10 and closes["drain"] == 10
    with client_of(program, "told") as fresh:
        assert ask(fresh, "1") == "1 2"


@pytest.mark.one_engine
def test_new_worker_says_nothing(launch):
    """Who takes nothing for a second is given up; what it had taken it has, and no more."""
    program = launch("mover", sets={"told.stop_timeout_ms": 6000})
    clients = fated(program, signal.SIGSTOP)
    done = program.cli("reload", seconds=60)
    assert done.returncode == 0, program.output()
    program.wait_output("takes no connections")
    os.kill(program.pid("told"), signal.SIGCONT)
    alive = []
    for client in clients:
        try:
            client.send_message(b"2")
            alive.append(client.read_message() == b"2 2")
        except (EOFError, ConnectionError):
            alive.append(False)
    totals = program.totals()
    assert sum(alive) == totals["connections"] >= 9
    assert totals["closes_by_reason"]["drain"] == len(clients) - sum(alive)
    assert totals["handed_over"] == totals["taken_over"]
