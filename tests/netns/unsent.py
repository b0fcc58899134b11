"""What kernel_unsent_limit (TCP_NOTSENT_LOWAT) saves and what it costs.

Saves: the kernel memory that the server's socket of a stalled client holds, as `ss -tmn` tells it,
where the client had read at full speed before, so that the kernel had let the send buffer grow.
Costs: throughput over a path of 40 ms there and 40 ms back and 100 Mbit/s."""

import collections
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import lab

DEFAULT = "128k"
LIMITS = ["16k", "64k", DEFAULT, "512k", "off"]
PORT = 7000
FAR = {"delay_ms": 40, "rate_kbit": 100_000, "queue": 300}
NEAR = {"delay_ms": 5, "rate_kbit": 100_000, "queue": 300}
WARM_UP, SECONDS = 4.0, 5.0

Row = collections.namedtuple("Row", "limit congestion stalled_kib kib_per_s")


def memory_kib(place):
    """Of the connected server's socket: what its send queue holds (`w` of skmem), and what is set
    aside for it (`f`)."""
    done = subprocess.run(
        ["nsenter", f"--net={lab.NETNS / place.server}", "ss", "-Htmn", "state", "established",
         f"( sport = :{PORT} )"], capture_output=True, text=True, check=True)
    found = re.findall(r"skmem:\([^)]*\bf(\d+),w(\d+)", done.stdout)
    assert len(found) == 1, done.stdout
    return sum(map(int, found[0])) / 1024


class Scene:
    """The program, and one client that reads at full speed."""

    def __init__(self, place, binary, engine, limit, congestion):
        self.place, self.binary = place, str(binary)
        self.directory = tempfile.mkdtemp(prefix="crewlab")
        sets = {"flood.listen": f"tcp://{lab.SERVER}:{PORT}", "flood.kernel_unsent_limit": limit,
                "app.congestion": congestion, "app.rate": "16m", "crew.engine": engine,
                "flood.max_send_buffer": "4m"}
        options = [item for key, value in sets.items() for item in ("--set", f"{key}={value}")]
        with open(f"{self.directory}/output", "wb") as output:
            place.spawn(place.server, [self.binary, "start", "--run-dir", self.directory,
                                       *options], stdout=output, stderr=output)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reader.py")
        self.reader = place.spawn(place.client, ["/usr/bin/python3", script, lab.SERVER,
                                                 str(PORT), "0"], stdout=subprocess.PIPE)
        with self.reader.stdout:
            assert self.reader.stdout.readline() == b"reading\n"
        time.sleep(WARM_UP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def received(self):
        """Bytes that the client's program has taken, as its socket tells."""
        done = subprocess.run(
            ["nsenter", f"--net={lab.NETNS / self.place.client}", "ss", "-Htin", "state",
             "established", f"( dport = :{PORT} )"], capture_output=True, text=True, check=True)
        return int(re.search(r"bytes_received:(\d+)", done.stdout).group(1))

    def kib_per_s(self):
        before, began = self.received(), time.monotonic()
        time.sleep(SECONDS)
        return (self.received() - before) / 1024 / (time.monotonic() - began)

    def stalled_kib(self):
        os.kill(self.reader.pid, signal.SIGSTOP)
        time.sleep(SECONDS)
        return memory_kib(self.place)


def speed_of(binary, engine, limit, congestion):
    with lab.Lab(**FAR) as place, Scene(place, binary, engine, limit, congestion) as scene:
        return scene.kib_per_s()


def stalled_kib(binary, engine, limit, congestion):
    with lab.Lab(**NEAR) as place, Scene(place, binary, engine, limit, congestion) as scene:
        return scene.stalled_kib()


def one(binary, engine, limit, congestion):
    """The better of two runs: what is lost on the way by chance is not the limit's doing."""
    speed = max(speed_of(binary, engine, limit, congestion) for _ in range(2))
    return Row(limit, congestion, stalled_kib(binary, engine, limit, congestion), speed)


def measure(binary, engine="epoll"):
    lab.sweep()
    return [one(binary, engine, limit, congestion)
            for congestion in lab.congestion_controls() for limit in LIMITS]


def table(rows):
    lines = [f"{'kernel_unsent_limit':<21}{'under':<8}{'stalled: kernel KiB':>20}"
             f"{'80 ms path: KiB/s':>20}{'of off':>8}"]
    full = {row.congestion: row.kib_per_s for row in rows if row.limit == "off"}
    for row in rows:
        share = 100 * row.kib_per_s / full[row.congestion]
        lines.append(f"{row.limit:<21}{row.congestion:<8}{row.stalled_kib:>20.0f}"
                     f"{row.kib_per_s:>20.0f}{share:>6.0f} %")
    return lines
