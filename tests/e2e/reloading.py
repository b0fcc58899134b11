"""Reloads and binary upgrades of the program `traffic` while everybody talks to it, and what clients,
counters and processes say of them. Small in test_under_reload.py, at full size in tests/soak."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from clients import Http
from processes import (
    children, descriptor_count, memory_bytes, thread_count, wait_until, zombies)
from program import BUILD, find_binary
from wsclient import WebSocket, close_payload, CLOSE

GENERATOR = BUILD / "bench" / "crew_bench_loadgen"
VARIANTS = ("traffic", "traffic2")
HELLO = b"Hello, World!"
SPARE = 1 << 20  # of memory


def install(path, name):
    """A new file under the old name, as installations do it."""
    fresh = path.with_name(path.name + ".fresh")
    shutil.copy2(find_binary(name), fresh)
    os.rename(fresh, path)


class Client(threading.Thread):
    """Talks until told to stop, counts what it got, and keeps what went wrong."""

    def __init__(self, program):
        super().__init__(daemon=True)
        self.program = program
        self.over = threading.Event()
        self.answers = self.connections = 0
        self.failure = None

    def run(self):
        try:
            while not self.over.is_set():
                self.connections += 1
                self.talk()
        except Exception as failure:  # pylint: disable=broad-except
            self.failure = failure

    def talk(self):
        """On one connection."""
        raise NotImplementedError

    def end(self):
        self.over.set()
        self.join(60)
        if self.is_alive():
            self.failure = "hangs"


class Calm(Client):
    """HTTP: keeps its connection as long as it is told that it may."""

    def talk(self):
        with Http(self.program.connect("calm")) as client:
            while not self.over.is_set():
                answer = client.get("/")
                assert (answer.status, answer.body) == (200, HELLO), (answer.status, answer.body)
                self.answers += 1
                if answer.fields.get("connection") == "close":
                    return


class Brief(Client):
    """HTTP: a connection for each request."""

    def talk(self):
        with Http(self.program.connect("calm")) as client:
            answer = client.get("/", more="Connection: close\r\n")
            assert (answer.status, answer.body) == (200, HELLO), (answer.status, answer.body)
            self.answers += 1
            assert client.at_end()
        self.over.wait(0.005)


class Member(Client):
    """A WebSocket that comes back when it is told 1012."""

    def talk(self):
        with WebSocket(self.program.connect("room")) as client:
            while not self.over.is_set():
                client.send_message(b"%d" % self.answers)
                opcode, payload = client.read_any()
                if opcode == CLOSE:
                    assert payload[:2] == close_payload(1012), payload
                    client.send_frame(CLOSE, payload[:2])
                    assert client.at_end(), "something came after the close frame"
                    return
                assert payload == b"%d" % self.answers, payload
                self.answers += 1
                self.over.wait(0.001)
            client.leave()


class Guest(Client):
    """A WebSocket that must never end."""

    def talk(self):
        assert self.connections == 1
        with WebSocket(self.program.connect("stay")) as client:
            while not self.over.is_set():
                client.send_message(b"%d" % self.answers)
                message = client.read_message()
                assert message == b"%d" % self.answers, message
                self.answers += 1
                self.over.wait(0.001)
            client.leave()


class Generator(Client):
    """The project's own generator, on WebSockets that must never end; it counts for itself, and
    fails at the first wrong byte."""

    def __init__(self, program, connections, operations):
        super().__init__(program)
        self.command = [
            str(GENERATOR), "ws", "--port", str(program.ports["stay"]), "--connections",
            str(connections), "--operations", str(operations)]

    def talk(self):
        done = subprocess.run(self.command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr.strip()
        self.answers += json.loads(done.stdout)["operations"]


class Wrk:
    """wrk on the service `web`."""

    def __init__(self, program, connections):
        self.connections = connections
        self.process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", "-d1h", "--timeout", "30s", program.url("web")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.answers, self.failure = 0, None

    def end(self):
        self.process.send_signal(signal.SIGINT)
        told = self.process.communicate(timeout=60)[0]
        self.answers = int(re.search(r"(\d+) requests in", told)[1])
        trouble = re.search(r"Socket errors.*|Non-2xx.*", told)
        self.failure = trouble and f"wrk: {trouble[0]}"


class Figures:
    """What the processes have at one moment."""

    def __init__(self, program):
        self.descriptors, self.threads, self.memory = {}, {}, {}
        self.files = sorted(os.listdir(program.run_dir))
        self.processes = len(children(program.master))
        pids = {f"{w['service']}#{w['id']}": w["pid"] for w in program.workers()}
        for who, pid in {"master": program.master, **pids}.items():
            self.descriptors[who] = descriptor_count(pid)
            self.threads[who] = thread_count(pid)
            self.memory[who] = memory_bytes(pid)

    def grown(self, later, spare):
        """What is more in `later` than here, in words; memory by more than `spare` bytes."""
        found = [f"{name} of {who}: {getattr(self, name)[who]}, then {count}"
                 for name in ("descriptors", "threads")
                 for who, count in getattr(later, name).items()
                 if count != getattr(self, name)[who]]
        found += [f"memory of {who}: {self.memory[who]}, then {size}"
                  for who, size in later.memory.items() if size > self.memory[who] + spare]
        if later.files != self.files or later.processes != self.processes:
            found.append(f"{self.processes} processes, {self.files}; "
                         f"then {later.processes}, {later.files}")
        return found


class Standstill(threading.Thread):
    """How long this process was kept from running at worst: windows of seconds mean little on a
    machine that stands still for as long."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.longest = 0.0

    def run(self):
        before = time.monotonic()
        while not self.over.wait(0.05):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - 0.05)
            before = now


class Soaking:
    """The program, the clients, and what was met; `failures` is empty when all is well."""

    def __init__(self, start, place, size, window_ms):
        self.path = place / "traffic"
        install(self.path, "traffic")
        services = ("web", "calm", "stay", "room")
        self.program = start(self.path, {
            "web.workers": 2, "stay.workers": 2, "room.workers": 2,
            **{f"{name}.stop_timeout_ms": window_ms for name in services}})
        self.master = self.program.master
        self.failures, self.seconds = [], []
        self.reloads = self.upgrades = self.asked = 0
        self.wrk, self.clients = None, []
        self.size = size
        self.first = self.last = self.totals = None
        self.standstill = Standstill()

    # ---- the load ----

    def begin(self):
        size = self.size
        self.wrk = Wrk(self.program, size * 2)
        self.clients = [kind(self.program) for kind in (Calm, Member, Guest) for _ in range(size)]
        self.clients += [Brief(self.program), Generator(self.program, size * 2, size * 10000)]
        for client in [self.standstill, *self.clients]:
            client.start()

    def end(self):
        self.standstill.over.set()
        for client in [self.wrk, *self.clients]:
            client.end()

    def broken(self):
        return self.failures or any(client.failure for client in self.clients)

    def sum(self, kind, what="answers"):
        return sum(getattr(c, what) for c in self.clients if isinstance(c, kind))

    # ---- reloads ----

    def reload(self, upgrade=False):
        """With another program or the same; the commands are those of the new file."""
        if upgrade:
            self.upgrades += 1
            install(self.path, VARIANTS[self.upgrades % 2])
        began = time.monotonic()
        done = self.program.cli("reload", seconds=120)
        self.seconds.append(time.monotonic() - began)
        if done.returncode:
            self.failures.append(f"reload {self.reloads + 1}: {done.stdout} {done.stderr}")
            return
        self.reloads += 1
        # It is done when the command is back: nothing is waited for.
        status = self.program.status()
        shown = [(w["service"], w["id"], w["pid"], w["generation"], w["state"])
                 for w in status["workers"]]
        good = [w for w in shown if w[3] == self.reloads + 1 and w[4] in ("ready", "busy")]
        if len(good) != len(shown) or len(good) != self.program.expected_workers():
            self.failures.append(f"after reload {self.reloads}: {shown}")
            return
        assert status["pid"] == self.master and not zombies(self.master)
        self.program.lawful()
        self.ask_variant()

    def ask_variant(self):
        with Http(self.program.connect("calm")) as client:
            said = int(client.get("/variant", more="Connection: close\r\n").body)
        self.asked += 1
        if said != self.upgrades % 2 + 1:
            self.failures.append(f"reload {self.reloads}: the program is {said}")

    def look_at_rest(self):
        """Twice, so that what is only there for the one before has gone."""
        self.program.wait_empty()
        self.reload()
        self.reload()
        self.program.wait_empty()
        return Figures(self.program)

    # ---- what it was ----

    def judge(self):
        """What clients received is what the program says that it sent, and nobody was failed."""
        totals = self.totals = self.program.totals()
        counted = sum(client.answers for client in self.clients) + self.asked
        if totals["messages_sent"] != totals["web_answers"] + counted:
            self.failures.append(f"{totals['messages_sent']} messages sent, of which "
                                 f"{totals['web_answers']} to wrk; clients counted {counted}")
        # wrk ends with requests under way.
        if not 0 <= totals["web_answers"] - self.wrk.answers <= self.wrk.connections:
            self.failures.append(
                f"wrk got {self.wrk.answers} of {totals['web_answers']} answers")
        for name in ("send_fail", "refused_limit", "refused_ip", "handover_kept", "accept_failed"):
            if totals[name]:
                self.failures.append(f"{name} is {totals[name]}")
        if totals["handed_over"] != totals["taken_over"]:
            self.failures.append(f"{totals['handed_over']} connections were handed over, "
                                 f"{totals['taken_over']} taken over")
        self.failures += [f"{type(who).__name__}: {who.failure!r}" for who in self.clients
                          if who.failure]
        if self.wrk.failure:
            self.failures.append(self.wrk.failure)
        self.failures += self.first.grown(self.last, SPARE)


def under_load(start, place, reloads, upgrades, size, window_ms=2000):
    """So many reloads, and so many more that bring another program; `size` is how many clients
    there are of each kind. `start(path, sets)` starts the program that is in this file."""
    soaking = Soaking(start, place, size, window_ms)
    soaking.first = soaking.look_at_rest()
    soaking.begin()
    count, done = reloads + upgrades, 0
    try:
        while done < count and not soaking.broken():
            done += 1
            soaking.reload(upgrade=done * upgrades // count > soaking.upgrades)
    finally:
        soaking.end()
    soaking.last = soaking.look_at_rest()
    soaking.judge()
    return soaking
