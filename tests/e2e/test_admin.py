"""The admin service: health, the API, acting with a token, the page, on and off."""

import json
import os
import signal
import subprocess
import time

import pytest

from admin_client import TOKEN, Admin, single, with_admin
from processes import wait_until
from program import free_port
from talk import hit
from wsclient import PushWs

pytestmark = pytest.mark.one_engine


# ---- health ----


def ready(program):
    return program.admin.get("/health/ready", Accept="application/json")


def test_health_of_a_program_that_is_well(launch):
    program = with_admin(launch, "control")
    assert program.admin.get("/health/live").text == "ok\n"
    answer = program.admin.get("/health/ready")
    assert (answer.status, answer.text) == (200, "ready\n")
    assert ready(program).json() == {"ready": True, "missing_count": 0, "missing": []}


def test_health_tells_who_is_missing(launch):
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    pid = program.pid("ctl", 1)
    hit(pid, signal.SIGSTOP)
    try:
        answer = wait_until(lambda: (a := ready(program)).status == 503 and a, "not ready")
        missing = answer.json()["missing"]
        assert [(m["service"], m["worker"]) for m in missing] == [("ctl", 1)]
        assert "stopped" in missing[0]["why"]
        answer = program.admin.get("/health/ready")
        assert answer.status == 503 and "ctl #1: stopped" in answer.text
        assert program.admin.get("/health/live").status == 200
    finally:
        hit(pid, signal.SIGCONT)
    wait_until(lambda: ready(program).status == 200, "ready again")


def test_everything_answers_while_all_workers_are_stopped(launch):
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    pids = [w["pid"] for w in program.workers() if w["service"] != "admin"]
    for pid in pids:
        hit(pid, signal.SIGSTOP)
    try:
        for path in ("/health/live", "/metrics", "/api/status", "/api/connections",
                     "/api/connections?closed=1", "/api/events", "/"):
            began = time.monotonic()
            assert program.admin.get(path).status == 200, path
            assert time.monotonic() - began < 5, path
    finally:
        for pid in pids:
            hit(pid, signal.SIGCONT)


# ---- the API ----


def test_the_api_says_what_the_commands_say(launch):
    program = with_admin(launch, "push")
    admin = program.admin
    with PushWs(program.connect("push")) as client:
        client.identity()
        time.sleep(0.3)
        status = admin.get("/api/status").json()
        assert status["app"] == "push" and status["pid"] == program.master
        assert set(status) == set(program.status())
        rows = admin.get("/api/connections").json()
        mine = [row for row in rows if row["service"] == "push"]
        assert len(mine) == 1
        commands = [row for row in program.connections() if row["service"] == "push"]
        assert set(mine[0]) == set(commands[0]) and mine[0]["id"] == commands[0]["id"]
        told = admin.get(f"/api/explain?id={mine[0]['id']}")
        assert told.status == 200 and told.json()["id"] == mine[0]["id"]
        assert told.json()["connection"]["remote"] == mine[0]["remote"]
        gone = mine[0]["id"]
    wait_until(lambda: gone in [row["id"] for row in
                                admin.get("/api/connections?closed=1").json()], "it has ended")
    events = admin.get("/api/events").json()
    assert {"start"} <= {event["kind"] for event in events}
    later = admin.get(f"/api/events?after={events[-1]['stamp']}").json()
    assert all(event["stamp"] > events[-1]["stamp"] for event in later)


def test_lists_are_bounded_and_say_so(launch):
    program = with_admin(launch, "push")
    clients = [PushWs(program.connect("push")) for _ in range(12)]
    time.sleep(0.3)
    answer = program.admin.get("/api/connections?limit=5")
    assert len(answer.json()) == 5
    assert int(answer.headers["x-total-count"]) >= 12
    assert answer.headers["x-truncated"] == "true"
    answer = program.admin.get("/api/connections")
    assert len(answer.json()) == int(answer.headers["x-total-count"])
    assert "x-truncated" not in answer.headers
    assert len(program.admin.get("/api/connections?slowest=3").json()) == 3
    rows = program.admin.get("/api/connections?sort=bytes_in").json()
    assert [r["bytes_in"] for r in rows] == sorted((r["bytes_in"] for r in rows), reverse=True)
    for client in clients:
        client.close()


def test_questions_that_make_no_sense(launch):
    admin = with_admin(launch, "hello").admin
    for path in ("/api/connections?limit=x", "/api/connections?limit=-1",
                 "/api/connections?limit=99999999999999999999", "/api/connections?closed=2",
                 "/api/connections?sort=nothing", "/api/connections?sort=" + "a" * 500,
                 "/api/explain", "/api/explain?id=", "/api/explain?id=xyz",
                 "/api/explain?id=" + "1" * 17, "/api/events?after=soon"):
        answer = admin.get(path)
        assert answer.status == 400, (path, answer.status)
        assert answer.json()["error"], path
    assert "did you mean bytes_in?" in admin.get("/api/connections?sort=byte_in").text
    assert admin.get("/api/explain?id=fffffffffffffff1").status == 404
    assert admin.get("/nothing").status == 404
    assert admin.ask("DELETE", "/metrics").status == 405
    assert admin.get("/api/kick").status == 405
    assert admin.ask("HEAD", "/metrics").text == ""


# ---- acting ----


def test_nobody_acts_without_a_token(launch):
    program = with_admin(launch, "push", token=None)
    with PushWs(program.connect("push")) as client:
        client.identity()
        for path, body in (("/api/kick", {"verdict": "network"}), ("/api/set", {"set": "a.b=c"})):
            for token in (None, TOKEN, ""):
                answer = program.admin.post(path, body, token=token)
                assert answer.status == 403 and "admin_token" in answer.json()["error"]
        with program.admin.viewer() as viewer:
            assert json.loads(viewer.read_message())["may_act"] is False


def test_only_the_right_token_acts(launch):
    program = with_admin(launch, "push")
    with PushWs(program.connect("push")) as client:
        client.identity()
        cid = [r["id"] for r in program.connections() if r["service"] == "push"][0]
        for token in (None, TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
            answer = program.admin.post("/api/kick", {"id": cid}, token=token)
            assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
        answer = program.admin.ask("POST", "/api/kick", json.dumps({"id": cid}),
                                   Authorization=f"Basic {TOKEN}")
        assert answer.status == 401
        client.identity()  # it is still there
        answer = program.admin.post("/api/kick", {"id": cid})
        assert answer.status == 200, answer.text
        assert answer.json() == {"kicked": 1, "ids": [cid], "left": []}
    program.wait_totals("the kick", lambda t: t["closes_by_reason"]["kicked"] == 1)
    assert program.admin.post("/api/kick", {"id": cid}).status == 404


def test_kicks_that_make_no_sense(launch):
    program = with_admin(launch, "push")
    clients = [PushWs(program.connect("push")) for _ in range(2)]
    assert len({c.identity() for c in clients}) == 2
    time.sleep(0.3)
    post = program.admin.post
    for body in ({}, [], "x", {"id": 7}, {"id": "xyz"}, {"id": ""}, {"verdict": "sleepy"},
                 {"verdict": ""}, {"id": "1", "verdict": "network"}):
        assert post("/api/kick", body).status == 400, body
    assert post("/api/kick", {"verdict": "network"}).status == 404
    assert post("/api/kick", {"id": "0"}).status == 409  # all of them
    assert program.admin.ask("POST", "/api/kick", "not json",
                             Authorization=f"Bearer {TOKEN}").status == 400
    assert program.admin.ask("POST", "/api/kick", "x" * 100000,
                             Authorization=f"Bearer {TOKEN}").status == 413
    for client in clients:
        client.identity()
        client.close()


def test_a_kick_tells_who_is_left(launch):
    """A worker that is stopped cannot end its connection yet."""
    program = with_admin(launch, "push")
    with PushWs(program.connect("push")) as client:
        client.identity()
        cid = [r["id"] for r in program.connections() if r["service"] == "push"][0]
        pid = program.pid("push")
        hit(pid, signal.SIGSTOP)
        try:
            answer = program.admin.post("/api/kick", {"id": cid})
        finally:
            hit(pid, signal.SIGCONT)
        assert answer.status == 504, answer.text
        assert answer.json() == {"kicked": 0, "ids": [cid], "left": [cid]}


def test_set_changes_what_runs(launch):
    program = with_admin(launch, "push")
    answer = program.admin.post("/api/set", {"set": "push.max_send_buffer=64k"})
    assert answer.status == 200, answer.text
    assert answer.json()["set"] == "push.max_send_buffer=64k" and answer.json()["told"] == 1
    program.wait_output("push.max_send_buffer=")
    answer = program.admin.post("/api/set", {"set": "push.max_send_bufer=64k"})
    assert answer.status == 400 and "max_send_buffer" in answer.json()["error"]
    for body in ({}, {"set": 1}, {"set": "x"}, {"set": "push.workers=9"}):
        assert program.admin.post("/api/set", body).status == 400, body


# ---- the page ----


def test_the_page_allows_only_itself(launch):
    answer = with_admin(launch, "hello").admin.get("/", Host="admin.example:9100")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert policy.count("'sha256-") == answer.text.count("<script>") + answer.text.count("<style>")
    assert "ws://admin.example:9100" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---- on and off ----


def test_api_is_not_to_be_stored(launch):
    admin = with_admin(launch, "hello").admin
    for path in ("/metrics", "/api/status", "/health/ready", "/api/explain?id=1"):
        headers = admin.get(path).headers
        assert headers["cache-control"] == "no-store", path
        assert headers["x-content-type-options"] == "nosniff", path


def test_in_one_process(launch):
    """`--single`: it looks at itself, and acts on itself."""
    program = single(launch, "push")
    admin = program.admin
    assert admin.get("/health/ready").status == 200
    assert 'mode="single"' in admin.get("/metrics").text
    assert admin.get("/api/status").json()["mode"] == "single"
    with PushWs(program.connect("push")) as client, admin.viewer() as viewer:
        client.identity()
        assert json.loads(viewer.read_message())["status"]["mode"] == "single"
        cid = [r["id"] for r in program.connections() if r["service"] == "push"][0]
        answer = admin.post("/api/kick", {"id": cid})
        assert (answer.status, answer.json()["kicked"]) == (200, 1), answer.text
        assert admin.post("/api/set", {"set": "push.linger_ms=500"}).status == 200
        assert json.loads(viewer.read_message())["status"]


def test_a_reload_switches_it_on_and_off(launch):
    program = launch("hello", start=False)
    port = free_port()
    file = program.directory / "hello.ini"
    file.write_text("")
    program.start("-c", str(file))
    admin = Admin(port)
    with pytest.raises(OSError):
        admin.get("/health/live")
    file.write_text(f"[crew]\nadmin = http://127.0.0.1:{port}\n")
    assert program.cli("reload").returncode == 0
    wait_until(lambda: answers(admin), "it is on")
    assert admin.get("/health/ready").status == 200
    file.write_text("")
    assert program.cli("reload").returncode == 0
    wait_until(lambda: not answers(admin), "it is off again", 40)


def answers(admin):
    try:
        return admin.get("/health/live").status == 200
    except OSError:
        return False


def test_over_a_unix_socket(launch):
    program = launch("hello", sets={"crew.admin": "http+unix://RUNDIR/admin.sock"})
    done = subprocess.run(
        ["curl", "-s", "--max-time", "10", "--unix-socket", str(program.run_dir / "admin.sock"),
         "http://admin/health/ready"], capture_output=True, text=True, check=False)
    assert done.stdout == "ready\n"
    assert os.path.exists(program.run_dir / "admin.sock")
