"""Two network namespaces and a path between them that can be made bad in many ways.

A Lab is a server's namespace, a client's, and what lies between: a veth pair, or, with `delay_ms`,
a relay of our own between two TUN devices. Everything is made by the lab and goes with it; what a
killed run left behind is swept away before the next (names tell whose process made them).

Needs root, `ip`, `tc`, `nft` and /dev/net/tun.
"""

import concurrent.futures
import ctypes
import fcntl
import itertools
import os
import shutil
import struct
import subprocess
from pathlib import Path

PREFIX = "crewlab"
NETNS = Path("/run/netns")
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
# tcp_rmem: a client that stops reading is of no consequence until its kernel's buffer is full; the
# usual 32 MiB would take a narrow path a minute.
CLIENT_BUFFER = "4096 131072 1048576"

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def why_not():
    """Why no lab can be made here; None when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "tc", "nft"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "no network namespace can be made"


def congestion_controls():
    """Those that can be chosen, of the two that matter."""
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text("ascii").split()
    return [name for name in ("cubic", "bbr") if name in known]


def enter(namespace):
    """This thread is in that namespace from now on."""
    with open(NETNS / namespace, "rb") as file:
        if _libc.setns(file.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def in_thread(work):
    """What `work()` gives; a namespace that it enters is left with the thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{text or ''}")


def sweep():
    """Remove the namespaces of runs whose process has gone."""
    if not NETNS.is_dir():
        return
    for name in os.listdir(NETNS):
        words = name.split("-")
        if words[0] == PREFIX and not os.path.exists(f"/proc/{words[1]}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


class Lab:
    """`rate_kbit`: the path's speed. `delay_ms`, `jitter_ms`: each way, by the relay. `queue`:
    packets that a narrow path holds."""

    def __init__(self, rate_kbit=None, delay_ms=0, jitter_ms=0, queue=100):
        self.name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.server, self.client = self.name + "-s", self.name + "-c"
        self.processes = []
        self.relay = None
        try:
            self.make(rate_kbit, delay_ms, jitter_ms, queue)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- the path ----

    def make(self, rate_kbit, delay_ms, jitter_ms, queue):
        run("ip", "netns", "add", self.server)
        run("ip", "netns", "add", self.client)
        if delay_ms:
            self.relay = Relay(self, delay_ms, jitter_ms, rate_kbit, queue)
        else:
            run("ip", "-n", self.server, "link", "add", "path", "type", "veth", "peer", "name",
                "path", "netns", self.client)
        for namespace, own, other in ((self.server, SERVER, CLIENT),
                                      (self.client, CLIENT, SERVER)):
            run("ip", "-n", namespace, "-batch", "-", text=f"""
                link set lo up
                address add {own} peer {other} dev path
                link set path up""")
        self.setting(self.client, "tcp_rmem", CLIENT_BUFFER)
        if self.relay:
            self.relay.start()
        elif rate_kbit:
            run("tc", "-n", self.server, "qdisc", "add", "dev", "path", "root", "tbf", "rate",
                f"{rate_kbit}kbit", "burst", "8kb", "limit", str(queue * 1514))

    def lose(self, percent):
        """Drop this share of what arrives at the client, at random."""
        self.firewall(f"numgen random mod 1000 < {int(percent * 10)} drop")

    def cut(self):
        """From now on nothing arrives anywhere, and nobody is told."""
        self.firewall("drop", self.client)
        self.firewall("drop", self.server)

    def firewall(self, rule, namespace=None):
        run("ip", "netns", "exec", namespace or self.client, "nft", "-f", "-", text=f"""
            add table inet lab
            add chain inet lab arriving {{ type filter hook prerouting priority 0; }}
            add rule inet lab arriving {rule}
            """)

    @staticmethod
    def setting(namespace, key, value):
        """A sysctl below net.ipv4 of one namespace."""
        def write():
            enter(namespace)
            Path(f"/proc/sys/net/ipv4/{key}").write_text(f"{value}\n", "ascii")

        in_thread(write)

    # ---- processes ----

    def spawn(self, namespace, command, **how):
        """A process in that namespace that ends with the lab."""
        process = subprocess.Popen(["nsenter", f"--net={NETNS / namespace}", *command],
                                   stdin=subprocess.DEVNULL, **how)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.relay:
            self.relay.close()
        for namespace in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


class Relay:
    """Carries packets between a TUN device of each namespace, each as late as the path is long, in
    their order. Runs as a process of its own (relay.py)."""

    def __init__(self, lab, delay_ms, jitter_ms, rate_kbit, queue):
        self.lab = lab
        self.fds = [self.open_tun(lab.server), self.open_tun(lab.client)]
        self.arguments = [str(n) for n in (delay_ms, jitter_ms, rate_kbit or 0, queue)]

    @staticmethod
    def open_tun(namespace):
        """A device `path` there; its descriptor stays ours."""
        def make():
            enter(namespace)
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"path", IFF_TUN | IFF_NO_PI))
            return fd

        return in_thread(make)

    def start(self):
        script = Path(__file__).with_name("relay.py")
        self.lab.processes.append(subprocess.Popen(
            ["/usr/bin/python3", str(script), *map(str, self.fds), *self.arguments],
            pass_fds=self.fds, stdin=subprocess.DEVNULL))

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []
