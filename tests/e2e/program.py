"""A crew program under test: started in the foreground, asked by its own commands, stopped at the
end, and looked at afterwards for everything that must not be there."""

import json
import os
import random
import resource
import signal
import socket
import subprocess
from pathlib import Path

import laws
from processes import alive, descendants, reap, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CREW_BUILD_DIR", ROOT / "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD

# The services of each program and where they listen unless a test says otherwise. `{port}` becomes
# a free port.
LISTENS = {
    "echo": {
        "tcp": "tcp://127.0.0.1:{port}",
        "text": "text://127.0.0.1:{port}",
        "frame": "frame://127.0.0.1:{port}",
        "ws": "ws://127.0.0.1:{port}",
        "unix": "unix://RUNDIR/echo.sock",
    },
    "hello": {"web": "http://127.0.0.1:{port}"},
    "site": {"site": "http://127.0.0.1:{port}"},
    "feed": {"feed": "ws://127.0.0.1:{port}"},
    "leaver": {
        "line": "text://127.0.0.1:{port}",
        "room": "ws://127.0.0.1:{port}",
        "web": "http://127.0.0.1:{port}",
    },
    "talker": {"talk": "text://127.0.0.1:{port}"},
    "crash": {"crash": "text://127.0.0.1:{port}"},
    "control": {"ctl": "text://127.0.0.1:{port}", "side": "text+unix://RUNDIR/side.sock"},
    "stepped": {"line": "text://127.0.0.1:{port}", "ws": "ws://127.0.0.1:{port}"},
    "table": {},  # said by its settings file
    "client": {"control": "text://127.0.0.1:{port}"},
    "fetch": {"control": "text://127.0.0.1:{port}"},
    "desk": {"desk": "text://127.0.0.1:{port}"},
    "push": {"push": "ws://127.0.0.1:{port}"},
    "slow": {"slow": "ws://127.0.0.1:{port}"},
    "web": {"web": "http://127.0.0.1:{port}"},
    "stream": {"web": "http://127.0.0.1:{port}"},
    "bulk": {"web": "http://127.0.0.1:{port}"},
    "files": {"web": "http://127.0.0.1:{port}"},
    "forms": {"web": "http://127.0.0.1:{port}"},
    "sessions": {"local": "http://127.0.0.1:{port}", "far": "http://127.0.0.1:{port}"},
    "told": {"whole": "http://127.0.0.1:{port}", "parts": "http://127.0.0.1:{port}"},
    "edge": {
        "web": "http://127.0.0.1:{port}",
        "line": "text://127.0.0.1:{port}",
        "local": "text+unix://RUNDIR/local.sock",
    },
    "wscases": {
        "shared": "ws://127.0.0.1:{port}",
        "own": "ws://127.0.0.1:{port}",
        "parts": "ws://127.0.0.1:{port}",
    },
    "secure": {"web": "http://127.0.0.1:{port}", "line": "text://127.0.0.1:{port}"},
    "mover": {
        "plain": "ws://127.0.0.1:{port}",
        "told": "text://127.0.0.1:{port}",
        "local": "text+unix://RUNDIR/local.sock",
        "own": "stops://127.0.0.1:{port}",
        "apart": "ws://127.0.0.1:{port}",
    },
    "traffic": {
        "web": "http://127.0.0.1:{port}",
        "calm": "http://127.0.0.1:{port}",
        "stay": "ws://127.0.0.1:{port}",
        "room": "ws://127.0.0.1:{port}",
    },
    "wscaller": {"door": "text://127.0.0.1:{port}"},
    "proxy": {"proxy": "tcp://127.0.0.1:{port}"},
    "socks5": {"socks5": "tcp://127.0.0.1:{port}"},
    "http_proxy": {"http_proxy": "tcp://127.0.0.1:{port}"},
    "netstring": {"net": "netstring://127.0.0.1:{port}"},
    "datagrams": {"udp": "udp://127.0.0.1:{port}", "lines": "line+udp://127.0.0.1:{port}"},
    "chaos": {
        "raw": "tcp://127.0.0.1:{port}",
        "text": "text://127.0.0.1:{port}",
        "frame": "frame://127.0.0.1:{port}",
        "ws": "ws://127.0.0.1:{port}",
        "web": "http://127.0.0.1:{port}",
    },
}

# Words that must never be in what a program prints, whatever the test.
FORBIDDEN = ("panic", "AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehavior")


def free_port():
    """Below the range of ports that the kernel gives to clients, so that none of them takes it."""
    while True:
        port = random.randrange(18000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def find_binary(name):
    for place in (BUILD / "examples" / name, BUILD / "tests" / "programs" / name):
        if place.exists():
            return place
    raise FileNotFoundError(f"{name} is not built in {BUILD}")


class Program:
    """`sets` is {"SECTION.KEY": value}; `listens` replaces single entries of LISTENS."""

    def __init__(self, name, directory, engine, sets=None, listens=None, binary=None):
        self.name = name
        self.directory = Path(directory)
        self.binary = Path(binary) if binary else find_binary(name)
        self.run_dir = self.directory / "run"
        self.output_path = self.directory / "output"
        self.listens, self.ports = {}, {}
        for service, listen in {**LISTENS[name], **(listens or {})}.items():
            self.ports[service] = free_port()
            self.listens[service] = listen.format(port=self.ports[service])
        self.sets = {"crew.engine": engine}
        self.sets.update({f"{name}.listen": listen for name, listen in self.listens.items()})
        self.sets.update(sets or {})
        self.process = None
        self.master = None
        self.may_fail = False  # a test that breaks the master says so

    # ---- starting ----

    def arguments(self):
        pairs = [item for key, value in self.sets.items() for item in ("--set", f"{key}={value}")]
        return ["--run-dir", str(self.run_dir), *pairs]

    def expected_workers(self):
        """Of the program's services, and one that the admin service has when it is on."""
        own = sum(int(self.sets.get(f"{name}.workers", 1)) for name in self.listens)
        return own + (self.sets.get("crew.admin", "off") != "off")

    def spawn(self, *options, nofile=None, env=None, cwd=None):
        """`start` as a process; does not wait for anything."""
        return self.spawn_command("start", *options, nofile=nofile, env=env, cwd=cwd)

    def spawn_command(self, command, *options, nofile=None, env=None, cwd=None):
        """The same of another command that starts something."""
        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(
                [str(self.binary), command, *options, *self.arguments()],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=limit, env={**os.environ, **(env or {})}, cwd=cwd or self.directory,
            )
        return self.process

    def start(self, *options, **how):
        """Foreground, and wait until all workers are ready."""
        self.spawn(*options, **how)
        status = self.wait_ready()
        self.master = status["pid"]
        assert self.master == self.process.pid, "the foreground process is not the master"
        return self

    def start_daemon(self, *options, **how):
        """`start -d`: everything is ready when the command is back."""
        process = self.spawn("-d", *options, **how)
        assert process.wait(30) == 0, self.output()
        self.process = None
        status = self.status()
        assert all(worker["state"] in ("ready", "busy") for worker in status["workers"])
        self.master = status["pid"]
        return self

    def wait_ready(self, generation=None):
        """Until the status shows every worker of the services ready."""
        def ready():
            if self.process and self.process.poll() is not None:
                raise AssertionError(f"ended while starting: {self.output()}")
            status = self.try_status()
            if not status:
                return None
            workers = [w for w in status["workers"] if w["state"] == "ready"]
            if generation:
                workers = [w for w in workers if w["generation"] == generation]
            done = len(workers) == self.expected_workers() == len(status["workers"])
            return status if done else None

        return wait_until(ready, "all workers ready", 15)

    # ---- asking ----

    def cli(self, *arguments, seconds=30):
        """One command of the program itself, on this run directory."""
        return subprocess.run(
            [str(self.binary), *arguments, "--run-dir", str(self.run_dir)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        )

    def status(self):
        done = self.cli("status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def try_status(self):
        done = self.cli("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def lawful(self):
        """A status in which the laws hold."""
        return laws.check_laws(self.status())

    def totals(self):
        return self.lawful()["totals"]

    def connections(self, *arguments):
        done = self.cli("connections", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def workers(self, service=None):
        return [w for w in self.status()["workers"] if service in (None, w["service"])]

    def pid(self, service, number=0):
        """The pid of a worker that lives."""
        for worker in self.workers(service):
            if worker["id"] == number and worker["state"] != "exited":
                return worker["pid"]
        return None

    def wait_totals(self, what, condition, seconds=10):
        """Until `condition(totals)`; the laws hold each time we look."""
        def look():
            totals = self.totals()
            return totals if condition(totals) else None

        return wait_until(look, what, seconds)

    def wait_empty(self):
        return self.wait_totals("no connection left", lambda t: t["connections"] == 0)

    def output(self):
        """All that was printed, and the log files."""
        text = ""
        for path in [self.output_path, *sorted(self.run_dir.glob("*.log"))]:
            if path.exists():
                text += path.read_text(encoding="utf-8", errors="replace")
        return text

    def wait_output(self, words, seconds=10):
        wait_until(lambda: words in self.output(), f"{words!r} in the log", seconds)

    # ---- connecting ----

    def connect(self, service, receive_buffer=None):
        """A connected socket."""
        listen = self.listens[service]
        if "unix://" in listen:
            path = listen.partition("://")[2].replace("RUNDIR", str(self.run_dir))
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address = path
        else:
            ipv6 = "[" in listen
            sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
            address = ("::1" if ipv6 else "127.0.0.1", self.ports[service])
        sock.settimeout(20)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(address)
        return sock

    def url(self, service, path="/"):
        scheme = self.listens[service].partition("://")[0]
        return f"{scheme}://127.0.0.1:{self.ports[service]}{path}"

    # ---- stopping ----

    def stop(self, *options):
        """`stop` does its work and says so; the master ends with 0."""
        done = self.cli("stop", *options)
        assert done.returncode == 0, (done.stdout, done.stderr, self.output())
        if self.process:
            assert self.process.wait(15) == 0, self.output()
        elif self.master:
            wait_until(lambda: not alive(self.master), "the daemon has gone")
            assert reap(self.master) in (0, None)
        self.master = None
        return done

    def kill_master(self):
        os.kill(self.master, signal.SIGKILL)
        if self.process:
            self.process.wait(15)
        wait_until(lambda: not alive(self.master), "the master has gone")
        reap(self.master)
        self.process = self.master = None

    def running(self):
        if self.process:
            return self.process.poll() is None
        return self.master is not None and alive(self.master)

    def finish(self):
        """The end of every test: laws, exit status, nothing left, nothing ugly printed."""
        try:
            if self.running():
                if not self.may_fail:
                    self.lawful()
                self.stop()
            elif self.process and not self.may_fail:
                assert self.process.returncode == 0, self.output()
        finally:
            self.sweep()
        output = self.output()
        for word in FORBIDDEN:
            assert word not in output, output

    def sweep(self):
        """Nothing may be left; what is left all the same goes now, and the test fails."""
        def left():
            for pid in descendants(os.getpid()):
                if not alive(pid):
                    reap(pid)
            return [pid for pid in self.mine() if alive(pid)]

        try:
            wait_until(lambda: not left(), "no process is left", 5)
        finally:
            for pid in left():
                os.kill(pid, signal.SIGKILL)
                os.kill(pid, signal.SIGCONT)

    def mine(self):
        """Processes below us whose program is this one's file, whatever their title says."""
        found = []
        for pid in descendants(os.getpid()):
            try:
                if f"{self.directory}/" in os.readlink(f"/proc/{pid}/cwd") + "/":
                    found.append(pid)
            except OSError:
                continue
        return found
