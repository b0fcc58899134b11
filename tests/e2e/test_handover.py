"""Hand-over: at a reload connections go to the new workers alive, and their peers notice nothing."""

import os
import signal
import threading

import pytest
from certs import Authority
from clients import Raw, Text
from processes import wait_until
from talk import order
from wsclient import CLOSE, CONT, TEXT, WebSocket, frame

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
