"""Looking at processes, waiting for conditions, and reaping what masters leave behind."""

import contextlib
import ctypes
import os
import time
from pathlib import Path

# How much longer than usual things may take: sanitizers and valgrind set it.
PATIENCE = float(os.environ.get("CREW_TEST_PATIENCE", "1"))

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans come to us, not to pid 1: nothing that a test leaves behind is overlooked."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Stat:
    """What /proc/PID/stat says; None-like (falsy state) when the process has gone."""

    def __init__(self, pid):
        self.pid, self.state, self.parent, self.ticks, self.began = pid, "", 0, 0, 0
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.ticks = int(fields[11]) + int(fields[12])
        self.began = int(fields[19])


def alive(pid):
    return Stat(pid).state not in ("", "Z", "X")


def cpu_seconds(pid):
    return Stat(pid).ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children(pid):
    return [one.pid for one in map(Stat, all_pids()) if one.parent == pid and one.state]


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(pid):
    """All below `pid`, zombies too."""
    by_parent = {}
    for one in map(Stat, all_pids()):
        by_parent.setdefault(one.parent, []).append(one.pid)
    found, look = [], [pid]
    while look:
        below = by_parent.get(look.pop(), [])
        found += below
        look += below
    return found


def zombies(pid):
    return [one for one in descendants(pid) if Stat(one).state == "Z"]


def descriptor_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def thread_names(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            names.append(Path(f"/proc/{pid}/task/{task}/comm").read_text(encoding="utf-8").strip())
    return names


def thread_count(pid):
    """Without that of the log, which begins when there is something to write."""
    return sum(name != "crew-log" for name in thread_names(pid))


def open_files(pid):
    """What its descriptors lead to; one that is closed meanwhile is left out."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return links


def reap(pid):
    """Take an orphan's status, if it is ours and has ended. None otherwise."""
    try:
        got, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if got else None


def wait_until(condition, what, seconds=10.0, pause=0.02):
    """The first true value of `condition()`. Fails when there is none for very long."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds * PATIENCE:g} s in vain: {what}"
        time.sleep(pause)
