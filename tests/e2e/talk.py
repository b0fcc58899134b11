"""Speaking to the program `control`."""

import os
import signal

from clients import Text
from processes import wait_until


def ask(program, line, service="ctl"):
    with Text(program.connect(service)) as client:
        return client.ask(line)


def order(program, line, service="ctl"):
    """A command that gets no answer."""
    client = Text(program.connect(service))
    client.send_message(line.encode())
    return client


def hit(pid, what=signal.SIGKILL):
    os.kill(pid, what)


def wait_new_pid(program, service, number, old):
    """Until another process has that place."""
    def look():
        pid = program.pid(service, number)
        return pid if pid and pid != old else None

    pid = wait_until(look, f"{service}#{number} is respawned", 20)
    program.wait_ready()
    return pid


def wait_busy(program, service="ctl"):
    def look():
        return [w for w in program.workers(service) if w["state"] == "busy"]

    return wait_until(look, "a worker is busy")[0]
