"""What the scenarios of explain, connections --closed and events share: a program that pushes, a
client that does not read, and looks that wait."""

import json

from clients import PushFrame
from processes import wait_until

FRAME = {"push": "frame://127.0.0.1:{port}"}
MANY, LONG = 4000, 1000  # messages and their length: more than every buffer holds


def start(launch, *options, **sets):
    """`workers=2` is the setting push.workers."""
    return launch("push", *options, listens=FRAME,
                  sets={f"push.{key}": value for key, value in sets.items()})


def client(program, receive_buffer=None):
    return PushFrame(program.connect("push", receive_buffer=receive_buffer))


def stall(program):
    """A client that asks for more than it reads, and its id."""
    stalled = client(program, receive_buffer=4096)
    cid = stalled.identity()
    stalled.send_message(f"to me {MANY} {LONG} copied".encode())
    return stalled, cid


def explain(program, cid):
    done = program.cli("explain", "--json", cid)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def closed(program, *options):
    done = program.cli("connections", "--closed", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_closed(program, cid):
    def look():
        rows = [row for row in closed(program) if row["id"] == cid]
        return rows[0] if rows else None

    return wait_until(look, f"{cid} has ended")


def wait_verdict(program, cid, verdict):
    def look():
        found = explain(program, cid)
        return found if found["verdict"] == verdict else None

    return wait_until(look, f"{cid} is judged {verdict}", 15)


def events(program):
    done = program.cli("events", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_event(program, kind, **wanted):
    def look():
        found = [event for event in events(program) if event["kind"] == kind
                 and all(event[key] == value for key, value in wanted.items())]
        return found[-1] if found else None

    return wait_until(look, f"an event '{kind}' {wanted}")
