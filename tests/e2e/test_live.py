"""/live: what the dashboard is pushed, and what it costs."""

import json
import socket
import time

import pytest
from admin_client import with_admin
from processes import wait_until
from wsclient import WebSocket

pytestmark = pytest.mark.one_engine


def test_a_view_each_second(launch):
    program = with_admin(launch, "push")
    with program.admin.viewer() as viewer:
        views = [json.loads(viewer.read_message()) for _ in range(3)]
    assert all({"time", "may_act", "status", "slowest", "events", "stages"} <= set(v)
               for v in views)
    assert views[0]["may_act"] is True
    assert 500 < views[2]["time"] - views[1]["time"] < 3000
    assert "start" in {event["kind"] for event in views[0]["events"]}
    assert views[2]["status"]["app"] == "push"


def test_nothing_is_made_while_nobody_looks(launch):
    program = with_admin(launch, "push")
    with program.admin.viewer() as viewer:
        viewer.read_message()
        viewer.leave()

    def offered():
        return [w for w in program.status()["workers"] if w["service"] == "admin"][0]

    before = wait_until(lambda: (w := offered())["connections"] == 0 and w, "the viewer has gone")
    time.sleep(1.5)
    after = offered()
    assert after["messages_offered"] == before["messages_offered"]
    assert after["timers"] == 0


def test_other_sites_see_nothing(launch):
    program = with_admin(launch, "hello")
    port = program.admin.port
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port + 1}"):
        sock = socket.create_connection(("127.0.0.1", port), 20)
        with WebSocket(sock, shake=False) as viewer:
            viewer.send(
                f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {origin}\r\n\r\n".encode())
            assert viewer.read_until(b"\r\n").startswith(b"HTTP/1.1 403"), origin


def test_a_viewer_has_nothing_to_say(launch):
    program = with_admin(launch, "hello")
    with program.admin.viewer() as viewer:
        viewer.send_message(b"kick everybody")
        assert viewer.read_close() == 1008


def test_viewers_are_bounded_and_leave_room_for_probes(launch):
    program = with_admin(launch, "hello")
    viewers = [program.admin.viewer() for _ in range(48)]
    sock = socket.create_connection(("127.0.0.1", program.admin.port), 20)
    with WebSocket(sock, shake=False) as one_more:
        one_more.send(b"GET /live HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
                      b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert one_more.read_until(b"\r\n").startswith(b"HTTP/1.1 503")
    assert program.admin.get("/health/ready").status == 200
    for viewer in viewers:
        viewer.close()

    def let_in():
        with program.admin.viewer(shake=False) as viewer:
            viewer.send(b"GET /live HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
                        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            return viewer.read_until(b"\r\n").startswith(b"HTTP/1.1 101")

    wait_until(let_in, "there is room again")


def test_a_viewer_that_sleeps_costs_one_view(launch):
    """Each view takes the place of the one that waits; none is lost, the newest arrives."""
    program = with_admin(launch, "push", sets={"admin.kernel_unsent_limit": "4k"})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", program.admin.port))
    viewer = WebSocket(sock, path="/live")

    def sleeps():
        worker = [w for w in program.status()["workers"] if w["service"] == "admin"][0]
        return worker if worker["messages_replaced"] >= 3 else None

    worker = wait_until(sleeps, "views are replaced", 40)
    size = len(program.admin.get("/api/status").text)
    assert worker["messages_queued"] <= 3
    assert worker["bytes_queued"] < 3 * size + 65536
    assert worker["send_fail"] == 0
    woke = time.time() * 1000
    for _ in range(60):
        if json.loads(viewer.read_message())["time"] > woke:
            break
    else:
        raise AssertionError("the newest view does not arrive")
    viewer.close()
