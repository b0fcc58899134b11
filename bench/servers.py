"""The servers that are measured: how each is started, which processes it is, and what it weighs.

Every server runs on one core and answers in modes: `http` (hello), `json` (a small object made for
each request), `file` (1 MiB from the disk), `ws` (echo), `fanout` (what one says goes to all), `udp`
(echo) and `proxy` (connections are passed on to an nginx behind it, which is not measured);
`tcp` (echo without a protocol) is there over TLS only, as all modes whose name ends in `+tls`;
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
SHORT_FILE = "short.bin"  # for the mode `proxy`, beside it
LONG_FILE = "long.bin"
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


def certificate(programs):
    """The paths of the one certificate that all servers show, and of its key (P-256)."""
    place = Path(programs) / "tls"
    cert, key = place / "cert.pem", place / "key.pem"
    if not (cert.exists() and time.time() - cert.stat().st_mtime < 7 * 86400):
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def pss_bytes(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} has no Pss")


class Server:
    """One running server in one mode. Use it with `with`."""

    name = "?"
    modes = ()
    core = 0  # of cores()
    next_port = FIRST_PORT

    def __init__(self, build, mode):
        self.mode = mode.removesuffix("+tls")
        self.certificate = certificate(Path(build) / "bench") if mode.endswith("+tls") else ()
        self.directory = Path(build) / "bench" / "run" / self.name
        self.programs = Path(build) / "bench"
        self.port = Server.next_port
        # Nothing lingers on a port that was not used before.
        Server.next_port += 10
        self.prefix = []
        self.process = None
        self.origin = None  # what a proxy is before

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if self.mode == "file":
            (self.directory / FILE).write_bytes(FILE_BYTES)
        if self.mode == "proxy":
            self.origin = Origin(self).__enter__()
        log = open(self.directory / "output.log", "wb")
        with log:
            self.process = subprocess.Popen(
                pinned(cores()[self.core], self.prefix + self.command()),
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
                if self.mode == "udp":
                    self.ask_udp()
                else:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failed(f"{self.name} {self.mode} does not answer on port {self.port}: "
                     + self.last_words())

    def ask_udp(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.settimeout(1)
            peer.connect(("127.0.0.1", self.port))
            peer.send(b"there?")
            peer.recv(100)

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
        if self.origin:
            self.origin.__exit__()

    def files(self):
        """The directory of what it serves."""
        return self.origin.directory if self.origin else self.directory

    def pids(self):
        return tree(self.process.pid)

    def serving_pid(self):
        """The process whose memory counts."""
        return self.process.pid


class Floor(Server):
    name = "floor"
    modes = ("http", "ws", "fanout", "udp")

    def command(self):
        return [self.programs / "crew_bench_floor", self.mode, self.port]


class Crew(Server):
    """The program of bench/crew with the one service of the mode."""

    name = "crew"
    modes = ("http", "json", "file", "ws", "fanout", "copy", "policy", "udp", "proxy",
             "http+tls", "ws+tls", "tcp+tls")
    services = {"http": "http", "json": "http", "file": "http"}  # others are called as their mode

    def program(self):
        if self.mode == "proxy":
            return self.programs.parent / "examples" / "proxy"
        return self.programs / "crew_bench_server"

    def service(self):
        return self.services.get(self.mode, self.mode)

    def environment(self):
        return {"BENCH_ONLY": self.service()}

    def command(self):
        scheme = {"http": "http", "udp": "udp", "tcp": "tcp", "proxy": "tcp"}.get(
            self.service(), "ws")
        listen = f"{self.service()}.listen={scheme}://127.0.0.1:{self.port}"
        tls = [word for key, path in zip(("tls_cert", "tls_key"), self.certificate)
               for word in ("--set", f"{self.service()}.{key}={path}")]
        behind = ["--set", f"app.upstreams=tcp://127.0.0.1:{self.origin.port}"] if self.origin else []
        return [self.program(), "start", "--run-dir", self.directory,
                "--set", listen, *behind, *tls]

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

    def find_worker(self):
        for worker in self.status()["workers"]:
            if worker["service"] == self.service() and worker["state"] != "starting":
                return worker
        raise Failed(f"crew status knows no worker of {self.service()}")

    def worker(self):
        """What `status` says of the mode's one worker; under valgrind a start takes seconds."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.find_worker()
            except Failed:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def serving_pid(self):
        return self.worker()["pid"]


class CrewAtRest(Crew):
    """Without heartbeats: its workers do nothing by themselves, however many are connected."""

    def command(self):
        return [*super().command(), "--set", f"{self.service()}.heartbeat_ms=0"]


class Nginx(Server):
    name = "nginx"
    modes = ("http", "file", "http+tls")
    # 1.22 speaks TLS 1.2 only, unless it is told to; a session that is resumed is not measured.
    tls = ("ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3; "
           "ssl_session_cache off;")

    def command(self):
        text = (HERE / "peers" / "nginx.conf").read_text()
        text = text.replace("@DIR@", str(self.directory)).replace("@PORT@", str(self.port))
        text = text.replace("@SSL@", "ssl" if self.certificate else "")
        text = text.replace("@CERTIFICATE@",
                            self.tls.format(*self.certificate) if self.certificate else "")
        (self.directory / "nginx.conf").write_text(text)
        return ["nginx", "-p", self.directory, "-e", self.directory / "error.log",
                "-c", self.directory / "nginx.conf"]


class Origin(Nginx):
    """What a proxy passes connections on to; it runs where the generator does."""

    core = 1

    def __init__(self, proxy):
        super().__init__(proxy.programs.parent, "origin")
        self.directory = proxy.directory / "origin"

    def command(self):
        for name, size in ((SHORT_FILE, 1 << 16), (FILE, 1 << 20), (LONG_FILE, 1 << 24)):
            (self.directory / name).write_bytes((FILE_BYTES * 16)[:size])
        return super().command()


class Haproxy(Server):
    name = "haproxy"
    modes = ("proxy",)

    def command(self):
        text = (HERE / "peers" / "haproxy.cfg").read_text()
        text = text.replace("@PORT@", str(self.port)).replace("@ORIGIN@", str(self.origin.port))
        (self.directory / "haproxy.cfg").write_text(text)
        return ["haproxy", "-f", self.directory / "haproxy.cfg"]


class Node(Server):
    name = "Node"
    modes = ("http", "json", "file", "ws", "fanout", "http+tls", "ws+tls", "tcp+tls")

    def command(self):
        return ["node", self.programs / "peers" / "node.mjs", self.mode, self.port,
                *self.certificate]


class Bun(Server):
    name = "Bun"
    modes = ("http", "json", "file", "ws", "fanout", "http+tls", "ws+tls", "tcp+tls")

    def command(self):
        return [self.programs / "peers" / "node_modules" / ".bin" / "bun",
                self.programs / "peers" / "bun.js", self.mode, self.port, *self.certificate]


ALL = {server.name: server for server in (Floor, Crew, Nginx, Node, Bun, Haproxy)}


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
            "nginx": "nginx", "Node": "node", "haproxy": "haproxy",
            "Bun": programs / "peers" / "node_modules" / ".bin" / "bun"}[name]
    if not shutil.which(str(need)):
        return f"{need} is not there"
    if name == "Node" and not (programs / "peers" / "node_modules" / "ws").is_dir():
        return "npm has not installed the package ws"
    return None
