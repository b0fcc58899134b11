"""What workers have and have not: listeners, environment, titles; posts, timers, watches."""

import os

from clients import Text
from processes import wait_until
from talk import ask, hit, wait_new_pid



def test_reuse_port(launch):
    """A socket for each worker: all of them serve, and a killed one's socket is not lost."""
    program = launch("control", sets={"ctl.workers": 3, "ctl.reuse_port": "on"})
    served = set()
    for _ in range(200):
        served.add(ask(program, "id"))
    assert served == {"0", "1", "2"}
    old = program.pid("ctl", 1)
    hit(old)
    for _ in range(60):
        try:
            ask(program, "id")
        except (OSError, EOFError):
            continue  # it was with the one that died
    wait_new_pid(program, "ctl", 1, old)
    assert {ask(program, "id") for _ in range(200)} == {"0", "1", "2"}


def test_working_directory_and_environment(launch):
    """Taken once, at the start; the workers that come later have the same."""
    program = launch("control", env={"CREW_TEST_WORD": "from the start"})
    assert ask(program, "env CREW_TEST_WORD") == "from the start"
    old = program.pid("ctl")
    hit(old)
    new = wait_new_pid(program, "ctl", 0, old)
    assert ask(program, "env CREW_TEST_WORD") == "from the start"
    assert os.readlink(f"/proc/{new}/cwd") == str(program.directory)


def test_workers_inherit_nothing(launch):
    """A worker has its own service's listener and no other; no worker has the master's socket."""
    program = launch("control")

    def listening(pid):
        own = set()
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                link = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if link.startswith("socket:["):
                own.add(link[8:-1])
        with open("/proc/net/tcp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
        return {int(r[1].split(":")[1], 16) for r in rows if r[3] == "0A" and r[9] in own}

    assert program.ports["ctl"] in listening(program.master)
    assert listening(program.pid("ctl")) == {program.ports["ctl"]}
    assert listening(program.pid("side")) == set()


def test_process_titles(launch):
    program = launch("control")

    def title(pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode()

    assert "master" in title(program.master) and "control" in title(program.master)
    assert "ctl" in title(program.pid("ctl")) and "side" in title(program.pid("side"))


def test_posts_timers_and_watches(launch):
    program = launch("control")
    with Text(program.connect("ctl")) as client:
        assert client.ask("post 500") == "in order"
        assert client.ask("watch") == "watched"
        before = program.status()["totals"]["timers"]
        assert client.ask("tick") == "1"
        wait_until(lambda: program.totals()["ticks"] > 3, "it ticks")
        assert program.totals()["timers"] == before + 1
        assert client.ask("untick") == "0"
        assert client.ask("untick") != "0"
        assert program.totals()["timers"] == before
