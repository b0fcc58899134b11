"""The servers that are measured: how each is started, which processes it is, and what it weighs.

Every server runs on one core and answers in modes: `http` (hello), `json` (a small object made for
each request), `file` (1 MiB from the disk), `ws` (echo) and `fanout` (what one says goes to all);
crew also `copy`, which is `fanout` with a copy for each receiver, and `policy`, whose messages have
a key.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST_PORT = 19100
FILE = "large.bin"  # in each server's directory, for the mode `file`
FILE_BYTES = bytes(i * 31 + (i >> 8) & 0xff for i in range(1 << 20))


class Failed(Exception):
    """A server or the generator did not do what it must; the text says which and why."""


def cores():
    """The server's core and the generator's."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


def pinned(core, command):
    return ["taskset", "-c", str(core)] + [str(part) for part in command]


def parent_of(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def tree(root):
    """The process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(parent_of(entry), []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def pss_bytes(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no Pss")


class Server:
    """One running server in one mode. Use it with `with`."""

    name = "?"
    modes = ()
    next_port = FIRST_PORT

    def __init__(self, build, mode):
        self.mode = mode
        self.directory = Path(build) / "bench" / "run" / self.name
        self.programs = Path(build) / "bench"
        self.port = Server.next_port
        # Nothing lingers on a port that was not used before.
        Server.next_port += 10
        self.prefix = []
        self.process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if self.mode == "file":
            (self.directory / FILE).write_bytes(FILE_BYTES)
        log = open(self.directory / "output.log", "wb")
        with log:
            self.process = subprocess.Popen(
                pinned(cores()[0], self.prefix + self.command()),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env=os.environ | self.environment())
        try:
            self.await_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def await_port(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failed(f"{self.name} {self.mode} does not answer on port {self.port}: "
                     + self.last_words())

    def last_words(self):
        text = (self.directory / "output.log").read_text(errors="replace").strip()
        return text[-600:] or "it said nothing"

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in tree(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def pids(self):
        return tree(self.process.pid)

    def serving_pid(self):
        """The process whose memory counts."""
        return self.process.pid


class Floor(Server):
    name = "floor"
    modes = ("http", "ws", "fanout")

    def command(self):
        return [self.programs / "crew_bench_floor", self.mode, self.port]


class Crew(Server):
    """The program of bench/crew with the one service of the mode."""

    name = "crew"
    modes = ("http", "json", "file", "ws", "fanout", "copy", "policy")
    services = {"http": "http", "json": "http", "file": "http"}  # others are called as their mode
    single = False

    def program(self):
        return self.programs / "crew_bench_server"

    def service(self):
        return self.services.get(self.mode, self.mode)

    def environment(self):
        return {"BENCH_ONLY": self.service()}

    def command(self):
        scheme = "http" if self.service() == "http" else "ws"
        listen = f"{self.service()}.listen={scheme}://127.0.0.1:{self.port}"
        return [self.program(), "start", *(["--single"] if self.single else []),
                "--run-dir", self.directory, "--set", listen]

    def ask(self, *arguments):
        """How a command of the program itself is started: its words, and how Popen is to run it."""
        command = [self.program(), *arguments, "--run-dir", self.directory]
        return pinned(cores()[1], command), {"env": os.environ | self.environment()}

    def told(self, *arguments):
        """What a command prints."""
        command, how = self.ask(*arguments)
        done = subprocess.run(command, capture_output=True, timeout=30, **how)
        if done.returncode:
            raise Failed(f"crew {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def status(self):
        return json.loads(self.told("status", "--json"))

    def worker(self):
        """What `status` says of the mode's one worker."""
        for worker in self.status()["workers"]:
            if worker["service"] == self.service():
                return worker
        raise Failed(f"crew status knows no worker of {self.service()}")

    def serving_pid(self):
        return self.worker()["pid"]


class CrewAtRest(Crew):
    """Without heartbeats: its workers do nothing by themselves, however many are connected."""

    def command(self):
        return [*super().command(), "--set", f"{self.service()}.heartbeat_ms=0"]


class Nginx(Server):
    name = "nginx"
    modes = ("http", "file")

    def command(self):
        text = (HERE / "peers" / "nginx.conf").read_text()
        text = text.replace("@DIR@", str(self.directory)).replace("@PORT@", str(self.port))
        (self.directory / "nginx.conf").write_text(text)
        return ["nginx", "-p", self.directory, "-e", self.directory / "error.log",
                "-c", self.directory / "nginx.conf"]


class Node(Server):
    name = "Node"
    modes = ("http", "json", "file", "ws", "fanout")

    def command(self):
        return ["node", self.programs / "peers" / "node.mjs", self.mode, self.port]


class Bun(Server):
    name = "Bun"
    modes = ("http", "json", "file", "ws", "fanout")

    def command(self):
        return [self.programs / "peers" / "node_modules" / ".bin" / "bun",
                self.programs / "peers" / "bun.js", self.mode, self.port]


ALL = {server.name: server for server in (Floor, Crew, Nginx, Node, Bun)}


def install_peers(build):
    """Put what npm offers into the build directory; the pinned versions, once."""
    target = Path(build) / "bench" / "peers"
    lock = HERE / "peers" / "package-lock.json"
    done = target / "installed.json"
    target.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "peers").iterdir():
        shutil.copy(file, target)
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    print("installing Node's ws and Bun with npm ...", flush=True)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=target,
                   check=True, timeout=600, stdout=subprocess.DEVNULL)
    shutil.copy(lock, done)


def present(name, build):
    """Why this server cannot be measured here; None when it can."""
    programs = Path(build) / "bench"
    need = {"floor": programs / "crew_bench_floor", "crew": programs / "crew_bench_server",
            "nginx": "nginx", "Node": "node",
            "Bun": programs / "peers" / "node_modules" / ".bin" / "bun"}[name]
    if not shutil.which(str(need)):
        return f"{need} is not there"
    if name == "Node" and not (programs / "peers" / "node_modules" / "ws").is_dir():
        return "npm has not installed the package ws"
    return None
