"""The admin service: metrics, health, the API and the live view, of programs that suffer."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from clients import Text
from processes import wait_until
from program import ROOT, free_port
from talk import hit, order, wait_new_pid
from wsclient import PushWs, WebSocket

TOKEN = "a-token-of-some-length"
OPENMETRICS = "application/openmetrics-text"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    def json(self):
        return json.loads(self.text)


class Admin:
    """A program's admin service, as an HTTP client sees it."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        try:
            connection.request(method, path, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **fields):
        return self.ask("GET", path, **fields)

    def post(self, path, body, token=TOKEN, **fields):
        if token:
            fields["Authorization"] = f"Bearer {token}"
        return self.ask("POST", path, json.dumps(body), **fields)

    def viewer(self, more="", **how):
        sock = socket.create_connection(("127.0.0.1", self.port), 20)
        return WebSocket(sock, path="/live", more=more, **how)


def with_admin(launch, name, *options, token=TOKEN, sets=None, **how):
    port = free_port()
    more = {"crew.admin": f"http://127.0.0.1:{port}", **(sets or {})}
    if token:
        more["crew.admin_token"] = token
    program = launch(name, *options, sets=more, **how)
    program.admin = Admin(port)
    return program


def single(launch, name, **how):
    program = with_admin(launch, name, start=False, **how)
    program.spawn("--single")
    program.master = program.wait_ready()["pid"]
    return program


# ---- metrics ----


def samples(text):
    """{series: value}; a series twice is an error."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            assert series not in found, f"{series} is there twice"
            found[series] = float(value)
    return found


def total(found, name, **labels):
    """The sum of a family's samples with those labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(value for series, value in found.items()
               if series.partition("{")[0] == name and all(w in series for w in wanted))


def counters(found):
    return {s: v for s, v in found.items()
            if re.match(r"[a-z0-9_]+_(total|bucket|sum|count)[{]", s)}


def check_prometheus(text):
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed (Debian package prometheus)"
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done


def check_openmetrics(text):
    from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    names = [family.name for family in parser.text_string_to_metric_families(text)]
    assert len(names) == len(set(names))
    return names


def test_metrics_in_both_formats(launch):
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    order(program, "count 5").close()
    old = program.admin.get("/metrics")
    assert old.status == 200
    assert old.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    check_prometheus(old.text)
    assert "# EOF" not in old.text
    new = program.admin.get("/metrics", Accept=f"{OPENMETRICS};version=1.0.0")
    assert new.headers["content-type"].startswith(f"{OPENMETRICS}; version=1.0.0")
    assert new.text.endswith("\n# EOF\n")
    families = check_openmetrics(new.text)
    assert "crew_send_fail" in families and "crew_loop_turn_seconds" in families
    assert set(samples(old.text)) == set(samples(new.text.replace("# EOF\n", "")))


@pytest.mark.one_engine
def test_the_format_is_the_clients_choice(launch):
    admin = with_admin(launch, "hello").admin

    def gets_open(accept):
        return "openmetrics" in admin.get("/metrics", Accept=accept).headers["content-type"]

    assert gets_open(f"{OPENMETRICS};version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert gets_open(OPENMETRICS)
    assert not gets_open("*/*")
    assert not gets_open("text/plain")
    assert not gets_open(f"{OPENMETRICS};q=0.2,text/plain;q=0.9")
    assert not gets_open(f"{OPENMETRICS};q=0")


def test_every_counter_is_there(launch):
    """What /metrics says of the quiet services is what `status` says."""
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    clients = [Text(program.connect("ctl")) for _ in range(4)]
    for client in clients:
        client.ask("id")
    clients.pop().close()
    wait_until(lambda: program.totals()["closes_by_reason"]["peer"] >= 1, "the close is counted")
    time.sleep(0.3)  # one look serves all who ask within a moment
    found = samples(program.admin.get("/metrics").text)
    status = program.lawful()
    gauges = {"connections": "connections_open", "slow": "slow_connections"}
    for worker in status["workers"]:
        if worker["service"] == "admin":
            continue
        where = {"service": worker["service"], "worker": worker["id"]}
        for name, value in worker.items():
            if name == "send_fail_by_reason":
                for reason, n in value.items():
                    assert total(found, "crew_send_fail_total", reason=reason, **where) == n
            elif name == "closes_by_reason":
                for reason, n in value.items():
                    assert total(found, "crew_closes_total", reason=reason, **where) == n
            elif name == "send_fail":
                assert total(found, "crew_send_fail_total", **where) == value
            elif name in ("service", "id", "pid", "generation", "state", "listen", "memory_bytes",
                          "busy_ms", "busy_in", "qps"):
                continue
            else:
                base = gauges.get(name, name)
                names = [n for n in (f"crew_{base}", f"crew_{base}_total")
                         if any(s.startswith(n + "{") for s in found)]
                assert len(names) == 1, (name, names)
                assert total(found, names[0], **where) == value, name
    assert total(found, "crew_messages_sent_total", service="ctl") == 4
    for client in clients:
        client.close()


class Load(threading.Thread):
    """Clients that come, ask and go, whatever becomes of the server."""

    def __init__(self, program):
        super().__init__()
        self.program, self.ended, self.asked = program, threading.Event(), 0

    def run(self):
        while not self.ended.is_set():
            try:
                with Text(self.program.connect("ctl")) as client:
                    for _ in range(20):
                        client.ask("id")
                        self.asked += 1
            except (OSError, EOFError):
                time.sleep(0.01)

    def stop(self):
        self.ended.set()
        self.join(20)


def test_no_counter_ever_falls(launch):
    """Neither when a worker is killed, nor across a reload, under load."""
    program = with_admin(launch, "control", sets={"ctl.workers": 2, "ctl.drain_timeout_ms": 1000})
    load = Load(program)
    load.start()
    watch, last, looks = threading.Event(), {}, 0
    failures = []

    def look():
        nonlocal looks
        now = counters(samples(program.admin.get("/metrics").text))
        for series, value in now.items():
            if value < last.get(series, 0):
                failures.append((series, last[series], value))
        last.update(now)
        looks += 1

    def watcher():
        while not watch.is_set():
            try:
                look()
            except (OSError, http.client.HTTPException):
                pass  # the admin worker itself is replaced by the reload
            watch.wait(0.05)

    thread = threading.Thread(target=watcher)
    thread.start()
    try:
        time.sleep(0.5)
        for _ in range(2):
            old = program.pid("ctl", 0)
            hit(old)
            wait_new_pid(program, "ctl", 0, old)
            time.sleep(0.3)
        done = program.cli("reload")
        assert done.returncode == 0, done.stderr
        time.sleep(1.5)
    finally:
        watch.set()
        thread.join(20)
        load.stop()
    time.sleep(0.3)
    look()
    assert not failures
    assert looks > 20
    assert last['crew_worker_exits_total{service="ctl",status="0",signal="9"}'] == 2
    done = last['crew_total_request_total{service="ctl",worker="0"}'] + \
        last['crew_total_request_total{service="ctl",worker="1"}']
    assert done >= load.asked  # nothing was forgotten


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


@pytest.mark.one_engine
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


# ---- the live view ----


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
    check_prometheus(admin.get("/metrics").text)
    assert admin.get("/api/status").json()["mode"] == "single"
    with PushWs(program.connect("push")) as client, admin.viewer() as viewer:
        client.identity()
        assert json.loads(viewer.read_message())["status"]["mode"] == "single"
        cid = [r["id"] for r in program.connections() if r["service"] == "push"][0]
        answer = admin.post("/api/kick", {"id": cid})
        assert (answer.status, answer.json()["kicked"]) == (200, 1), answer.text
        assert admin.post("/api/set", {"set": "push.linger_ms=500"}).status == 200
        assert json.loads(viewer.read_message())["status"]


def test_over_a_unix_socket(launch):
    program = launch("hello", sets={"crew.admin": "http+unix://RUNDIR/admin.sock"})
    done = subprocess.run(
        ["curl", "-s", "--max-time", "10", "--unix-socket", str(program.run_dir / "admin.sock"),
         "http://admin/health/ready"], capture_output=True, text=True, check=False)
    assert done.stdout == "ready\n"
    assert os.path.exists(program.run_dir / "admin.sock")


# ---- the manual ----


@pytest.mark.one_engine
def test_the_manual_names_every_metric(launch):
    """The table of docs/admin.md is what a program that has no counters of its own tells."""
    rows = {}
    for line in (ROOT / "docs" / "admin.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `crew_"):
            name, kind, labels, meaning = [cell.strip() for cell in line.strip("| ").split(" | ")]
            rows[name.strip("`")] = (kind, labels, meaning)
    program = with_admin(launch, "hello")
    from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    text = program.admin.get("/metrics", Accept=OPENMETRICS).text
    told = {}
    for family in parser.text_string_to_metric_families(text):
        ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels}
        told[family.name + ending] = (family.type, labels, family.documentation)
    assert list(rows) == list(told)
    for name, (kind, labels, meaning) in told.items():
        assert rows[name][0] == kind and rows[name][2] == meaning, name
        # No worker has died yet, so that family has no sample.
        if labels:
            assert set(rows[name][1].split(", ")) - {""} == labels, name
