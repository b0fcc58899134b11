"""The measurements: one timed run, instructions, memory, stalled readers, the commands that look."""
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

import scenes
import servers
from servers import Failed


class Generator:
    """The load generator at work on a server, on a core of its own."""

    def __init__(self, server, arguments, pids=()):
        command = [server.programs / "crew_bench_loadgen", *arguments, "--port", server.port]
        for pid in pids:
            command += ["--pid", pid]
        self.server = server
        self.process = subprocess.Popen(
            servers.pinned(servers.cores()[1], command), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def answer(self):
        """Its next line: that all are connected, or the result."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)
            raise Failed(f"{self.server.name} {self.server.mode}: "
                         + self.process.stderr.read().strip()
                         + f" (the server said: {self.server.last_words()})")
        return json.loads(line)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def timed(server, arguments, seconds, warmup):
    if arguments[0] == "file":
        name = Path(arguments[arguments.index("--path") + 1]).name
        arguments = [*arguments, "--expect-file", server.files() / name]
    with Generator(server, [*arguments, "--seconds", seconds, "--warmup", warmup],
                   server.pids()) as generator:
        return generator.answer()


# ---- instructions ------------------------------------------------------------------------------

def counted(build, kind, mode, arguments, operations):
    """All instructions of the serving process's life under callgrind that did so many operations."""
    server = kind(build, mode)
    output = Path(build) / "bench" / f"callgrind.{server.name}.{mode}"
    for old in output.parent.glob(f"{output.name}.*"):
        old.unlink()
    server.prefix = ["valgrind", "--tool=callgrind", "--trace-children=yes",
                     f"--callgrind-out-file={output}.%p"]
    with server:
        pid = server.serving_pid()
        with Generator(server, [*arguments, "--operations", operations]) as generator:
            generator.answer()
    output = output.with_name(f"{output.name}.{pid}")
    if not output.exists():
        raise Failed(f"callgrind wrote nothing of {server.name}: {server.last_words()}")
    return int(re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.M)[1])


def instructions(build, kind, mode, arguments, operations):
    """What one operation more costs: start, handshakes and end cancel out."""
    less = counted(build, kind, mode, arguments, operations)
    more = counted(build, kind, mode, arguments, 2 * operations)
    return (more - less) / operations


# ---- memory ------------------------------------------------------------------------------------

def settled_pss(pid):
    """Pss once it has stopped moving; of a collected heap it may never quite."""
    last = servers.pss_bytes(pid)
    for _ in range(10):
        time.sleep(0.5)
        now = servers.pss_bytes(pid)
        if abs(now - last) < 16384:
            return now
        last = now
    return last


def idle_memory(build, kind, connections):
    """User memory of one idle WebSocket connection: Pss with them minus without, divided."""
    with kind(build, "ws") as server:
        pid = server.serving_pid()
        # The first connection loads what the first connection of every server loads.
        with Generator(server, ["idle", "--connections", 1]) as generator:
            generator.answer()
        without = settled_pss(pid)
        with Generator(server, ["idle", "--connections", connections, "--wait"]) as generator:
            generator.answer()
            held = settled_pss(pid)
            generator.go_on()
            generator.answer()  # each of them still echoes
    return (held - without) / connections


# ---- stalled readers ---------------------------------------------------------------------------

class MemoryWatch:
    """The highest Pss of a process while it is watched."""

    def __init__(self, pid):
        self.pid = pid
        self.most = self.start = servers.pss_bytes(pid)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.25):
            self.most = max(self.most, servers.pss_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def stalled_run(build, mode, stalled, seconds):
    """Messages at a steady rate to many, of whom some never read; crew's account of it."""
    scene = scenes.STALLED
    connections = scene["connections"] - scene["stalled"] + stalled
    arguments = ["stalled", "--connections", connections, "--stalled", stalled,
                 "--payload", scene["payload"], "--rate", scene["rate"],
                 "--seconds", seconds, "--wait", "--hold"]
    with servers.Crew(build, mode) as server:
        with Generator(server, arguments) as generator:
            generator.answer()
            time.sleep(0.5)
            with MemoryWatch(server.serving_pid()) as memory:
                generator.go_on()
                result = generator.answer()
                time.sleep(0.3)
                worker = server.worker()
    fails = {reason: n for reason, n in worker["send_fail_by_reason"].items() if n}
    expected = result["published"] * connections
    lawful = (worker["messages_offered"] == expected
              and expected == worker["messages_sent"] + worker["messages_queued"]
              + worker["messages_replaced"] + worker["send_fail"])
    return {"mode": mode, "p99_us": result["p99_us"], "p50_us": result["p50_us"],
            "published": result["published"], "missing": result["missing"],
            "memory_bytes": memory.most - memory.start, "fails": fails, "lawful": lawful,
            "late": result["late"]}


def stalled_scene(build, mode, rounds, seconds):
    """Alternating rounds with and without the stalled; the medians of memory and p99."""
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(stalled_run(build, mode, 0, seconds))
        beside.append(stalled_run(build, mode, scenes.STALLED["stalled"], seconds))
    p99_alone = statistics.median(run["p99_us"] for run in alone)
    p99_beside = statistics.median(run["p99_us"] for run in beside)
    return {"mode": mode, "p99_alone_us": p99_alone, "p99_us": p99_beside,
            "p99_ratio": p99_beside / p99_alone,
            "memory_bytes": max(run["memory_bytes"] for run in beside),
            "missing": sum(run["missing"] for run in alone + beside),
            "lawful": all(run["lawful"] for run in alone + beside),
            "fails": [run["fails"] for run in beside],
            "runs": {"alone": alone, "beside": beside}}


# ---- status ------------------------------------------------------------------------------------

def status_ms(build, times=7):
    """How long `status` takes with every worker stopped."""
    with servers.Crew(build, "ws") as server:
        workers = [worker["pid"] for worker in server.status()["workers"]]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        taken = []
        try:
            for _ in range(times):
                begin = time.monotonic()
                told = server.status()
                taken.append((time.monotonic() - begin) * 1e3)
                if sorted(worker["pid"] for worker in told["workers"]) != sorted(workers):
                    raise Failed("status does not list the stopped workers")
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
    return max(taken)


# ---- commands --------------------------------------------------------------------------------

def cpu_ms(pids):
    """CPU time of processes so far, as the scheduler counts it."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


def command_ms(server, times, *arguments):
    """The slowest of so many runs."""
    taken = []
    for _ in range(times):
        begin = time.monotonic()
        server.told(*arguments)
        taken.append((time.monotonic() - begin) * 1e3)
    return max(taken)


def top_ms(server, connections, screens):
    """How long until the first document of `top --json` is there, and the CPU time of each."""
    command, how = server.ask("top", "--json")
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, **how) as process:
        first = process.stdout.readline()
        taken = (time.monotonic() - begin) * 1e3
        try:
            for _ in range(screens - 1):
                process.stdout.readline()
            cpu = cpu_ms([process.pid])
        finally:
            process.terminate()
    if json.loads(first)["status"]["totals"]["connections"] != connections:
        raise Failed("top does not tell of all connections")
    return taken, cpu / screens


def commands(build, connections, times=7, screens=4):
    """Milliseconds of each command while so many are connected; what it cost the workers."""
    with servers.CrewAtRest(build, "ws") as server:
        with Generator(server, ["idle", "--connections", connections, "--wait"]) as generator:
            generator.answer()
            workers = [worker["pid"] for worker in server.status()["workers"]]
            settled_pss(workers[0])
            identity = json.loads(server.told("connections", "--json"))[-1]["id"]
            before, begin = cpu_ms(workers), time.monotonic()
            taken = {
                "status": command_ms(server, times, "status"),
                "connections": command_ms(server, times, "connections"),
                "connections --json": command_ms(server, times, "connections", "--json"),
                "explain": command_ms(server, times, "explain", identity),
            }
            taken["top --json, the first document"], refresh = top_ms(
                server, connections, screens)
            busy, passed = cpu_ms(workers) - before, time.monotonic() - begin
            # The same time with nobody looking.
            before = cpu_ms(workers)
            time.sleep(passed)
            rest = cpu_ms(workers) - before
            generator.go_on()
            generator.answer()
    return {"connections": connections, "ms": taken, "refresh_cpu_ms": refresh,
            "worker_cpu_ms": busy, "worker_rest_cpu_ms": rest, "seconds": passed}


# ---- the parser --------------------------------------------------------------------------------

def parsers(build, seconds):
    """Bytes per second of crew's HTTP parser and of libhttp-parser."""
    done = subprocess.run(
        servers.pinned(servers.cores()[0], [Path(build) / "bench" / "crew_bench_parser", seconds]),
        capture_output=True, text=True, timeout=60 + seconds)
    if done.returncode:
        raise Failed(f"crew_bench_parser: {done.stderr.strip()}")
    return json.loads(done.stdout)
