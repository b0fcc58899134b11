"""The laws under everything at once: random calls from inside random callbacks (field-bugs 41)."""

import random
import select

import laws
import pytest
from clients import Frame, Http, PushFrame, Raw, Text
from processes import wait_until
from wsclient import CONT, KEY, PING, TEXT, WebSocket, close_payload, frame, upgrade

SERVICES = ("raw", "text", "frame", "ws", "web")
STEPS = 700


class Rabble:
    """Clients that do at random what clients do, well and badly."""

    def __init__(self, program, seed):
        self.program, self.random = program, random.Random(seed)
        self.clients = []  # (service, stream)

    def step(self):
        pick = self.random.random()
        if len(self.clients) < 6 or (pick < 0.15 and len(self.clients) < 30):
            self.come()
        elif pick < 0.6:
            self.with_one(self.talk)
        elif pick < 0.85:
            self.read_some()
        else:
            self.with_one(self.leave)

    def come(self):
        service = self.random.choice(SERVICES)
        small = 8192 if self.random.random() < 0.4 else None
        try:
            stream = Raw(self.program.connect(service, receive_buffer=small))
        except ConnectionResetError:
            return  # aborted in on_open
        stream.sock.setblocking(False)
        stream.deaf = small and self.random.random() < 0.7  # never reads: its queue fills
        self.clients.append((service, stream))
        if service == "ws":
            self.try_send(stream, upgrade(key=KEY))

    def with_one(self, act):
        if self.clients:
            act(*self.clients[self.random.randrange(len(self.clients))])

    def talk(self, service, stream):
        body = b"m" * self.random.choice((1, 10, 200, 5000))
        good = {
            "raw": body,
            "text": body + b"\n",
            "frame": Frame.encode(body),
            "ws": self.random.choice((
                frame(TEXT, body), frame(PING, body[:100]), frame(TEXT, b"a", fin=False)
                + frame(CONT, b"b"), frame(8, close_payload(1000)),
            )),
            "web": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
                   % (len(body), body),
        }[service]
        data = good * self.random.randrange(1, 8)
        if self.random.random() < 0.1:
            data = data[: self.random.randrange(len(data))]
        if self.random.random() < 0.05:
            data += self.random.randbytes(30)
        self.try_send(stream, data)

    @staticmethod
    def try_send(stream, data):
        try:
            stream.sock.send(data)
        except OSError:
            pass

    def read_some(self):
        ready, _, _ = select.select([stream.sock for _, stream in self.clients], [], [], 0)
        for service, stream in list(self.clients):
            if stream.sock in ready and not stream.deaf and self.random.random() < 0.7:
                try:
                    gone = not stream.sock.recv(100_000)
                except BlockingIOError:
                    gone = False
                except OSError:
                    gone = True
                if gone:
                    stream.close()
                    self.clients.remove((service, stream))

    def leave(self, service, stream):
        self.clients.remove((service, stream))
        how = self.random.random()
        if how < 0.4:
            stream.close()
        elif how < 0.7:
            stream.reset()
        else:
            try:
                stream.finish()
                self.clients.append((service, stream))
            except OSError:
                stream.close()

    def all_leave(self):
        for _, stream in self.clients:
            stream.close()
        self.clients = []


def faults(program):
    return [line for line in program.output().splitlines() if "chaos fault" in line]


def check_books(program):
    """Everybody has gone. The program's own books agree with crew's in every sum."""
    totals = program.wait_empty()
    assert totals["messages_queued"] == totals["bytes_queued"] == 0
    # Without connections nothing more is offered but to nobody, so one look at both is enough only
    # when it is one snapshot; wait for the program's books to be brought up to date.
    totals = program.wait_totals("all given back", lambda t: t["freed"] == t["given"])
    assert totals["messages_offered"] == totals["offered"]
    assert totals["messages_sent"] + totals["send_fail"] == totals["offered"]
    heard = totals["told"] + totals["untold"]
    assert heard <= totals["send_fail"] <= heard + totals["perhaps"]
    assert totals["opened"] == totals["closed"]
    assert totals["messages_sent"] <= totals["taken"]
    return totals


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_calls_in_random_callbacks(launch, seed):
    program = launch("chaos", sets={"app.seed": seed})
    rabble = Rabble(program, seed)
    before = program.lawful()
    for number in range(STEPS):
        rabble.step()
        if number % 35 == 0:
            after = program.lawful()
            laws.never_backward(before, after)
            before = after
    rabble.all_leave()
    totals = check_books(program)
    assert totals["faults"] == 0, faults(program)
    assert totals["taken"] > 300 and totals["opened"] > 30
    assert all(totals["send_fail_by_reason"][r] > 0 for r in ("closed", "reset", "aborted", "full"))
    assert not program.status()["exits"], "a worker died"


@pytest.mark.parametrize("seed", [11])
def test_random_calls_with_pipes(launch, seed):
    """As above with crew_pipe: its messages are in no book of the program, the laws hold."""
    program = launch("chaos", sets={"app.seed": seed, "app.pipes": 1})
    rabble = Rabble(program, seed)
    for number in range(STEPS):
        rabble.step()
        if number % 35 == 0:
            program.lawful()
    rabble.all_leave()
    program.wait_empty()
    totals = program.totals()
    assert totals["faults"] == 0, faults(program)
    assert totals["opened"] == totals["closed"]
    assert not program.status()["exits"], "a worker died"


@pytest.mark.parametrize("seed", [21])
def test_random_calls_in_one_process(launch, seed):
    """All services in one loop."""
    program = launch("chaos", "--single", sets={"app.seed": seed})
    rabble = Rabble(program, seed)
    for number in range(STEPS):
        rabble.step()
        if number % 70 == 0:
            program.lawful()
    rabble.all_leave()
    totals = program.wait_empty()
    assert totals["faults"] == 0, faults(program)
    assert totals["opened"] == totals["closed"]


def test_stop_in_the_middle(launch):
    """Stopping while everything is under way: workers end in good order, nothing leaks."""
    program = launch("chaos", sets={"app.seed": 31})
    rabble = Rabble(program, 31)
    for _ in range(STEPS // 2):
        rabble.step()
    program.stop()
    rabble.all_leave()
    assert "signal" not in "".join(faults(program))


@pytest.mark.parametrize("kind", ["shared", "copied", "static", "owned", "mixed"])
def test_what_clients_received_is_what_was_sent(launch, kind):
    """Everybody reads: sent on our side is received on theirs, to the message and to the byte."""
    program = launch("push", listens={"push": "frame://127.0.0.1:{port}"})
    clients = [PushFrame(program.connect("push")) for _ in range(4)]
    clients[0].ask("all 50 700 " + kind)
    clients[0].ask("all 5 30000 " + kind)
    received = 2  # two answers
    for client in clients:
        client.read_numbers(55)
        assert client.numbers == list(range(55))
        received += 55
    status = program.lawful()
    laws.no_losses(status)
    totals = status["totals"]
    assert totals["messages_offered"] == totals["messages_sent"] == received
    bodies = 4 * (50 * 704 + 5 * 30004) + 2 * 4 + len("= 200") + len("= 20")
    assert totals["bytes_out"] == bodies
    for client in clients:
        client.close()
    wait_until(lambda: program.totals()["freed"] == program.totals()["given"], "given back")


def test_invalid_sends_are_not_offered(launch):
    """A frame that the protocol cannot make is send_invalid and nothing else."""
    program = launch("web")
    with Http(program.connect("web")) as client:
        assert client.get("/twice").body == b"first"
    totals = program.wait_empty()
    assert totals["send_invalid"] == 1 and totals["messages_offered"] == 1
    assert totals["send_fail"] == 0


def test_handshake_never_counts_messages(launch):
    program = launch("push")
    with WebSocket(program.connect("push")) as client, Text(program.connect("push")) as waiting:
        client.send_frame(PING, b"p")
        client.leave(1000)
        waiting.send(b"GET /")
    totals = program.wait_empty()
    assert totals["messages_offered"] == totals["messages_sent"] == 0
    assert totals["bytes_out"] > 100
