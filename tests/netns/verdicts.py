"""Faults brought about between a server and a client, and the verdicts that crew comes to.

Each run is a lab of its own: the program `flood` in the server's namespace, one client in the
other. A run is labelled by the fault that was injected, and by nothing else; which verdict is right
was written down here before anything was measured.
"""

import collections
import concurrent.futures
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Callable, Optional

import lab

PORT = 7000
SMALL_BUFFER = "4096 16384 16384"  # tcp_wmem
SETTLED = 3.5  # seconds from the fault until the verdict is read


def stop(lab_, reader):
    del lab_
    os.kill(reader.pid, signal.SIGSTOP)


def vanish(lab_, reader):
    del reader
    lab_.cut()


def stop_then_vanish(lab_, reader):
    stop(lab_, reader)
    time.sleep(1.0)
    lab_.cut()


@dataclasses.dataclass(frozen=True)
class Fault:
    """`path` is how the lab is made, `lose` a share of packets, `sets` the server's settings,
    `reads` what the client reads a second (0: all); `strike` happens once data has flowed for a
    second, and `wait` seconds later the verdict is read."""

    name: str
    right: str
    path: dict = dataclasses.field(default_factory=dict)
    lose: float = 0
    small_buffer: bool = False
    sets: dict = dataclasses.field(default_factory=dict)
    reads: int = 0
    strike: Optional[Callable] = None
    wait: float = SETTLED


FAULTS = [
    Fault("stalled reader", "reader-stalled", strike=stop),
    Fault("slow reader", "reader-stalled", reads=100_000),
    Fault("stalled reader, far away", "reader-stalled", path={"delay_ms": 40, "rate_kbit": 20000},
          strike=stop, wait=6),
    Fault("narrow link", "network", path={"rate_kbit": 4000}),
    Fault("loss", "network", path={"rate_kbit": 20000}, lose=8),
    Fault("delay and jitter", "network",
          path={"delay_ms": 50, "jitter_ms": 25, "rate_kbit": 8000}),
    Fault("small kernel buffer", "kernel-buffer", path={"delay_ms": 50}, small_buffer=True),
    Fault("slow worker", "us", path={"rate_kbit": 100_000},
          sets={"app.late_ms": 100, "app.rate": "16m"}),
    Fault("rate cap", "rate", sets={"flood.rate_bytes": "100k"}),
    Fault("peer vanishes", "gone", path={"rate_kbit": 20000}, strike=vanish, wait=7),
    # Mixed: what would have to change for the queue to leave is right.
    Fault("narrow link, stalled reader", "reader-stalled", path={"rate_kbit": 4000}, strike=stop,
          wait=8),
    Fault("slow worker, stalled reader", "reader-stalled", path={"rate_kbit": 100_000},
          sets={"app.late_ms": 100, "app.rate": "16m"}, strike=stop, wait=5),
    Fault("slow worker, far away", "us", path={"delay_ms": 20},
          sets={"app.late_ms": 200, "app.rate": "16m"}),
    Fault("small buffer, slow reader", "reader-stalled", path={"delay_ms": 50}, small_buffer=True,
          reads=50_000, wait=5),
    Fault("cap below the link's rate", "rate", path={"rate_kbit": 4000},
          sets={"flood.rate_bytes": "100k"}),
    Fault("cap above the link's rate", "network", path={"rate_kbit": 2000},
          sets={"flood.rate_bytes": "2m"}),
    Fault("stalled reader vanishes", "gone", strike=stop_then_vanish, wait=22),
]

VERDICTS = ["reader-stalled", "network", "kernel-buffer", "us", "rate", "gone", ""]


class Run:
    """One fault, one connection, one verdict."""

    def __init__(self, fault, congestion, binary, engine):
        self.fault, self.congestion, self.binary = fault, congestion, str(binary)
        self.engine = engine
        self.directory = tempfile.mkdtemp(prefix="crewlab")
        self.figures = None  # what `explain` says where the verdict is not right

    def sets(self):
        values = {"flood.listen": f"tcp://{lab.SERVER}:{PORT}", "crew.engine": self.engine,
                  "app.congestion": self.congestion, **self.fault.sets}
        return [item for key, value in values.items() for item in ("--set", f"{key}={value}")]

    def ask(self, *command):
        done = subprocess.run(
            [self.binary, *command, "--json", "--run-dir", self.directory],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def in_lab(self, place):
        fault = self.fault
        if fault.lose:
            place.lose(fault.lose)
        if fault.small_buffer:
            place.setting(place.server, "tcp_wmem", SMALL_BUFFER)
        with open(f"{self.directory}/output", "wb") as output:
            place.spawn(place.server, [self.binary, "start", "--run-dir", self.directory,
                                       *self.sets()], stdout=output, stderr=output)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reader.py")
        reader = place.spawn(place.client, ["/usr/bin/python3", script, lab.SERVER, str(PORT),
                                            str(fault.reads)], stdout=subprocess.PIPE)
        with reader.stdout:
            assert reader.stdout.readline() == b"reading\n", self.output()
        self.live(place, reader)
        rows = self.ask("connections")
        assert len(rows) == 1, rows
        verdict = rows[0]["verdict"] or ""
        if verdict != fault.right:
            self.figures = self.ask("explain", rows[0]["id"])["evidence"]
        return verdict

    def live(self, place, reader):
        """Until the verdict is to be read."""
        fault = self.fault
        if fault.strike:
            time.sleep(1.0)
            fault.strike(place, reader)
        time.sleep(fault.wait)

    def output(self):
        with open(f"{self.directory}/output", encoding="utf-8", errors="replace") as file:
            return file.read()

    def verdict(self):
        try:
            with lab.Lab(**self.fault.path) as place:
                return self.in_lab(place)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


def run_all(jobs, binary, side_by_side, engine="epoll", told=lambda run, verdict: None):
    """`jobs`: (fault, congestion control). {(fault name, congestion): Counter of verdicts}; each
    run is told of as it ends."""
    lab.sweep()
    found = collections.defaultdict(collections.Counter)
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        futures = {}
        for fault, congestion in jobs:
            run = Run(fault, congestion, binary, engine)
            futures[pool.submit(run.verdict)] = run
        for future in concurrent.futures.as_completed(futures):
            run, verdict = futures[future], future.result()
            found[run.fault.name, run.congestion][verdict] += 1
            told(run, verdict)
    return found


def matrix(found):
    """The confusion matrix as lines, and how many of how many runs were right."""
    short = [verdict or "(none)" for verdict in VERDICTS]
    lines = [f"{'fault':<29}{'under':<7}" + "".join(f"{name:>15}" for name in short)]
    right = total = 0
    for fault in FAULTS:
        for (name, congestion), counts in sorted(found.items()):
            if name != fault.name:
                continue
            cells = ""
            for verdict in VERDICTS:
                mark = "*" if verdict == fault.right else " "
                cells += f"{str(counts[verdict] or '.') + mark:>15}"
            lines.append(f"{name:<29}{congestion:<7}{cells}")
            right += counts[fault.right]
            total += sum(counts.values())
    return lines, right, total
