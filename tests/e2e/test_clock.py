"""The clock on the wall is stepped by an hour, back and forth and far away: nobody is timed out,
nothing is late, and no worker is thought old."""

import struct
import time

import pytest
from clients import Text
from talk import ask, hit, wait_new_pid
from wsclient import WebSocket

pytestmark = pytest.mark.one_engine
HOUR = 3600


def test_steps_time_out_nobody(launch, tmp_path):
    clock = tmp_path / "clock"

    def step(seconds):
        # Written in place: it is mapped.
        with open(clock, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    clock.write_bytes(bytes(8))
    program = launch("stepped", start=False, sets={
        "line.idle_timeout_ms": 60000, "ws.idle_timeout_ms": 60000, "ws.heartbeat_ms": 300,
        "line.recycle_age_ms": 30 * 60 * 1000, "line.send_timeout_ms": 60000,
    })
    program.start(env={"CREW_TEST_CLOCK": str(clock)})
    pids = {service: program.pid(service) for service in ("line", "ws")}
    with Text(program.connect("line")) as client, WebSocket(program.connect("ws")) as socket:
        for seconds in (HOUR, -HOUR, 400 * 24 * HOUR, 0):
            step(seconds)
            wall = int(client.ask("wall"))
            assert abs(wall - time.time() - seconds) < 600, "the step was not seen"
            # Turns of the wheel go by, and heartbeats, which reading answers.
            for _ in range(6):
                socket.send_message(b"still there")
                assert socket.read_message() == b"still there"
                time.sleep(0.1)
            assert client.ask("still here") == "still here"
            status = program.lawful()
            assert 0 <= status["uptime_s"] < 600
            assert status["totals"]["connections"] == 2
            ended = {why: n for why, n in status["totals"]["closes_by_reason"].items() if n}
            assert not ended
    assert {service: program.pid(service) for service in pids} == pids
    # Far in the past, a death is answered as ever.
    step(-HOUR)
    hit(pids["line"])
    wait_new_pid(program, "line", 0, pids["line"])
    assert ask(program, "wall", "line")
    assert program.cli("reload").returncode == 0
