"""Who accepts: sockets of workers that are away, the three ways to spread connections, limits on how
fast they come, and what the kernel dropped because nobody took it in time."""

import signal
import socket
import threading

import pytest

from clients import Text
from processes import wait_until
from talk import ask, hit


def knock(program, times, service="ctl"):
    """New connections, each of which must be taken and answered; by which worker ids."""
    served = []
    for _ in range(times):
        with Text(program.connect(service)) as client:
            served.append(client.ask("id"))
    return served


# ---- reuse_port: every socket is read ----


def test_sockets_of_a_crash_loop(launch, tmp_path):
    """Worker 1 of 2 cannot be started any more: nobody who connects hangs or is refused, be it in a
    try that fails or in one that takes long; and its socket is its own again in the end."""
    fails, hangs = tmp_path / "fails", tmp_path / "hangs"
    program = launch(
        "control",
        sets={"ctl.workers": 2, "ctl.reuse_port": "on", "app.fail_file": fails,
              "app.hang_file": hangs},
    )
    assert set(knock(program, 100)) == {"0", "1"}
    fails.write_text("")
    hit(program.pid("ctl", 1))
    program.wait_output("crash loop", 20)
    assert set(knock(program, 100)) == {"0"}
    hangs.write_text("")
    fails.unlink()
    wait_until(
        lambda: [w["state"] for w in program.workers("ctl")] == ["ready", "starting"], "it hangs"
    )
    assert set(knock(program, 100)) == {"0"}
    hangs.unlink()
    hit(program.pid("ctl", 1))
    program.wait_ready()
    wait_until(lambda: set(knock(program, 20)) == {"0", "1"}, "both serve")


def test_sockets_of_a_worker_that_leaves(launch):
    """One that ends by its own wish takes its time over it; meanwhile a sibling accepts for it."""
    program = launch(
        "control",
        sets={"ctl.workers": 2, "ctl.reuse_port": "on", "ctl.stop_timeout_ms": 60000,
              "ctl.linger_ms": 60000},
    )
    clients = [Text(program.connect("ctl")) for _ in range(20)]
    last = next(client for client in clients if client.ask("id") == "1")
    stay = [client for client in clients if client is not last and client.ask("id") == "1"]
    assert stay, "nobody keeps it from leaving"
    last.send_message(b"recycle")
    wait_until(
        lambda: "draining" in [w["state"] for w in program.workers("ctl")], "it leaves"
    )
    assert set(knock(program, 60)) == {"0"}
    for client in clients:
        client.close()
