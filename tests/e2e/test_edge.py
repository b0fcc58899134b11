"""At the edge of a network: proxies, the access log, WebSockets on an HTTP port; with curl, with
Python's WebSocket client, and raw bytes."""

import asyncio
import json
import os
import re
import signal
import socket
import struct
import subprocess

import pytest
from clients import Http, Text
from processes import open_files, wait_until

websockets = pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosed, InvalidStatusCode  # noqa: E402

COMBINED = re.compile(
    r'(?P<client>\S+) - - \[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000)\] '
    r'"(?P<request>(?:[^"\\]|\\x[0-9a-f]{2})*)" (?P<status>\d{3}) (?P<bytes>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\x[0-9a-f]{2})*)" "(?P<agent>(?:[^"\\]|\\x[0-9a-f]{2})*)"'
)
KEYS = {
    "time", "id", "client", "method", "target", "version", "status", "bytes_in", "bytes_out",
    "head_us", "body_us", "handler_us", "answer_us", "ended", "user_agent", "referer",
}
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def header_v2(source, target, ports=(4711, 80), extra=b"", command=0x21):
    family = 0x21 if ":" in source else 0x11
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = socket.inet_pton(kind, source) + socket.inet_pton(kind, target)
    body += struct.pack("!HH", *ports) + extra
    return V2 + struct.pack("!BBH", command, family, len(body)) + body


def curl(*arguments):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True,
        check=False,
    )
    return done.returncode, done.stdout


# ---- fields of proxies ----


def who(program, fields=""):
    with Http(program.connect("web")) as client:
        client.send(f"GET /who HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        name, request = client.read_response().body.decode().split()
        assert re.fullmatch("[0-9a-f]{16}", request)
        return name


def test_only_trusted_proxies_are_believed(launch):
    program = launch("edge")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", who(program, "X-Forwarded-For: 192.0.2.1\r\n"))
    program = launch("edge", sets={"web.trusted_proxies": "127.0.0.0/8, 10.0.0.0/8"})
    assert re.fullmatch(r"127\.0\.0\.1:\d+", who(program))
    assert who(program, "X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.0.0.9\r\n") == "192.0.2.1"
    assert who(program, 'Forwarded: for=1.1.1.1, for="[2001:db8::1]:80"\r\n') == "[2001:db8::1]:80"
    assert who(program, 'Forwarded: for="1.1.1.1\r\n') == "unknown"


@pytest.mark.one_engine
def test_a_bad_network_is_named(launch):
    program = launch("edge", sets={"web.trusted_proxies": "::1 10.0.0.0/33"}, start=False)
    process = program.spawn()
    assert process.wait(20) != 0
    program.may_fail = True
    assert '"10.0.0.0/33" is no network' in program.output()


# ---- the PROXY header ----


def test_curl_as_a_proxy(launch):
    program = launch("edge", sets={"web.proxy_protocol": "on"})
    status, answer = curl("--haproxy-protocol", program.url("web", "/who"))
    assert status == 0 and answer.startswith("127.0.0.1:")
    status, answer = curl(program.url("web", "/who"))
    assert status != 0, answer
    program.wait_totals("closed for it", lambda t: t["closes_by_reason"]["protocol"] == 1)


@pytest.mark.parametrize(
    "header, shown",
    [
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n", "192.0.2.7:4711"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n", "[2001:db8::7]:4711"),
        (header_v2("192.0.2.7", "192.0.2.8"), "192.0.2.7:4711"),
        (header_v2("2001:db8::7", "::1", extra=b"\x04\0\3abc"), "[2001:db8::7]:4711"),
        (b"PROXY UNKNOWN\r\n", None),
        (header_v2("192.0.2.7", "192.0.2.8", command=0x20), None),
    ],
    ids=["v1-tcp4", "v1-tcp6", "v2-tcp4", "v2-tcp6", "v1-unknown", "v2-local"],
)
def test_whose_connection_it_is(launch, header, shown):
    program = launch("edge", sets={"line.proxy_protocol": "on", "local.proxy_protocol": "on"})
    for service in ("line", "local"):
        with Text(program.connect(service)) as client:
            for at in range(len(header)):
                client.send(header[at : at + 1])
            own = "unix:" if service == "local" else "127.0.0.1:%d" % client.sock.getsockname()[1]
            assert client.read_message().decode() == (shown or own)
            assert client.ask("hello") == "hello"
            wait_until(lambda: [c["remote"] for c in program.connections()] == [shown or own],
                       "it alone is shown, and the one before has gone")


def test_a_header_in_front_of_everything(launch):
    program = launch("edge", sets={"web.proxy_protocol": "on"})
    with Http(program.connect("web")) as client:
        client.send(
            header_v2("192.0.2.7", "192.0.2.8") + b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n" * 3
        )
        answers = [client.read_response().body.split() for _ in range(3)]
        assert {name for name, _ in answers} == {b"192.0.2.7:4711"}
        assert len({request for _, request in answers}) == 3


def test_headers_of_others_are_not_read(launch):
    program = launch(
        "edge", sets={"line.proxy_protocol": "on", "line.trusted_proxies": "192.0.2.0/24"}
    )
    with Text(program.connect("line")) as client:
        try:
            client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\nhello\n")
        except OSError:
            pass
        assert client.at_end()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["protocol"] == 1 and totals["total_request"] == 0
    program.wait_output("none of trusted_proxies")


def test_a_header_is_awaited_for_a_time(launch):
    program = launch(
        "edge", sets={"line.proxy_protocol": "on", "line.handshake_timeout_ms": "200"}
    )
    with Text(program.connect("line")) as client:
        client.send(b"PROXY TCP4 192")
        assert client.at_end()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["handshake"] == 1


def test_clients_and_not_their_proxy_are_counted(launch):
    program = launch(
        "edge", sets={"line.proxy_protocol": "on", "line.max_connections_per_ip": "1"}
    )
    header = b"PROXY TCP4 192.0.2.%d 192.0.2.8 4711 80\r\n"
    first, second, third = (Text(program.connect("line")) for _ in range(3))
    with first, second, third:
        first.send(header % 1)
        assert first.read_message() == b"192.0.2.1:4711"
        second.send(header % 2)
        assert second.read_message() == b"192.0.2.2:4711"
        third.send(header % 1)
        assert third.at_end()
        assert program.wait_totals("refused", lambda t: t["refused_ip"] == 1)


# ---- the access log ----


def lines_of(path, count):
    """So many lines, once they are there."""
    def look():
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        assert not text or text.endswith("\n"), text
        return text.splitlines() if text.count("\n") >= count else None

    lines = wait_until(look, f"{count} lines in {path.name}")
    assert len(lines) == count, lines
    return lines


def test_combined_lines(launch):
    program = launch("edge", sets={"web.access_log": "RUNDIR/access.log"})
    address = program.url("web", "/who?x=1")
    agent = 'forged" 200 0 "-" "x\\'
    assert curl("-A", agent, "-e", "http://there/", address)[0] == 0
    assert curl("-d", "abc", program.url("web", "/take")) == (0, "3")
    assert curl(program.url("web", "/nowhere"))[0] == 0
    found = [COMBINED.fullmatch(line) for line in lines_of(program.run_dir / "access.log", 3)]
    assert all(found)
    assert [match["client"] for match in found] == ["127.0.0.1"] * 3
    assert found[0]["request"] == "GET /who?x=1 HTTP/1.1"
    assert found[0]["referer"] == "http://there/"
    assert found[0]["agent"] == "forged\\x22 200 0 \\x22-\\x22 \\x22x\\x5c"
    assert (found[1]["request"], found[1]["bytes"]) == ("POST /take HTTP/1.1", "1")
    assert found[2]["status"] == "404"


def test_json_lines(launch):
    program = launch(
        "edge", sets={
            "web.access_log": "RUNDIR/access.log", "web.access_log_json": "on",
            "web.trusted_proxies": "127.0.0.1",
        },
    )
    status, answer = curl("-H", "X-Forwarded-For: 192.0.2.9", program.url("web", "/who"))
    assert status == 0
    assert curl("-d", "12345", program.url("web", "/take"))[0] == 0
    assert curl(program.url("web", "/late")) == (0, "late")
    with Http(program.connect("web")) as client:
        client.send(b"GET /who HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xc3\xa9\"\\\tx\r\n\r\n")
        client.read_response()
        client.send(b"nonsense\r\n\r\n")
        client.read_response()
    with Http(program.connect("web")) as client:
        client.send(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: program.totals()["total_request"] == 5, "it has come")
        client.reset()
    lines = [json.loads(line) for line in lines_of(program.run_dir / "access.log", 6)]
    assert all(set(line) == KEYS for line in lines)
    assert len({line["id"] for line in lines}) == 6
    first, taken, late, odd, bad, left = lines
    assert (first["client"], first["method"], first["target"]) == ("192.0.2.9", "GET", "/who")
    assert (first["status"], first["ended"]) == (200, "ok")
    assert answer == f"192.0.2.9 {first['id']}"
    assert first["bytes_out"] == len(answer) and first["user_agent"].startswith("curl/")
    assert (taken["bytes_in"], taken["bytes_out"], taken["referer"]) == (5, 1, None)
    assert late["handler_us"] >= 95_000 and late["answer_us"] < 95_000
    assert odd["user_agent"] == '\ufffd\u00e9"\\\tx'
    assert (bad["status"], bad["method"], bad["ended"]) == (400, None, "protocol")
    assert (left["status"], left["ended"]) == (0, "reset")


@pytest.mark.parametrize("how", ["master", "single"])
def test_opened_anew_after_a_rename(launch, how):
    options = ["--single"] if how == "single" else []
    sets = {"web.access_log": "RUNDIR/access.log", "web.access_log_json": "on"}
    if how == "master":
        sets["web.workers"] = "2"
    program = launch("edge", *options, sets=sets)
    log, old = program.run_dir / "access.log", program.run_dir / "access.1"
    for _ in range(8):
        assert curl(program.url("web", "/who?before"))[0] == 0
    lines_of(log, 8)
    log.rename(old)
    os.kill(program.master, signal.SIGUSR1)
    wait_until(log.exists, "a new file")
    for worker in range(int(sets.get("web.workers", "1"))):
        wait_until(
            lambda: str(log) in open_files(program.pid("web", worker)), "the worker has it",
        )
    for _ in range(8):
        assert curl(program.url("web", "/who?after"))[0] == 0
    assert all("/who?after" in line for line in lines_of(log, 8))
    lines_of(old, 8)
    assert program.totals()["access_log_lost"] == 0


def test_a_full_disk_is_counted_and_told(launch):
    program = launch("edge", sets={"web.access_log": "/dev/full"})
    for _ in range(3):
        assert curl(program.url("web", "/who"))[0] == 0
    program.wait_totals("lost", lambda t: t["access_log_lost"] == 3)
    program.wait_output("lines of the access log /dev/full are lost: No space left on device")
    assert curl(program.url("web", "/who"))[0] == 0


@pytest.mark.one_engine
def test_a_log_that_cannot_be_opened(launch):
    program = launch("edge", sets={"web.access_log": "/nowhere/access.log"}, start=False)
    program.may_fail = True
    process = program.spawn("-d")
    assert process.wait(30) != 0
    program.process = None
    assert "web.access_log = /nowhere/access.log: cannot open it" in program.output()


# ---- WebSockets on the HTTP port ----


def run(program, path, talk=None, **how):
    """What came of a handshake: the value of `talk(socket)`, or the status it was refused with."""
    async def connect():
        address = f"ws://127.0.0.1:{program.ports['web']}{path}"
        try:
            async with websockets.connect(address, open_timeout=20, **how) as socket_:
                return await talk(socket_) if talk else 101
        except InvalidStatusCode as refusal:
            return refusal.status_code

    return asyncio.run(connect())


async def echo(socket_):
    await socket_.send("hello")
    return await socket_.recv(), socket_.subprotocol


@pytest.fixture(scope="module")
def edge(launch_once):
    return launch_once("edge", sets={"web.heartbeat_ms": "200"})


def test_on_a_route(edge):
    assert run(edge, "/chat", echo) == ("hello", None)
    assert run(edge, "/who") == 200
    assert run(edge, "/nowhere") == 404
    assert curl("-o", "/dev/null", "-w", "%{http_code}", edge.url("web", "/chat")) == (0, "426")


def test_sub_protocols(edge):
    assert run(edge, "/chat", echo, subprotocols=["chat.v1", "chat.v2"]) == ("hello", "chat.v2")
    assert run(edge, "/chat", echo, subprotocols=["other", "chat.v1"]) == ("hello", "chat.v1")
    assert run(edge, "/chat", echo, subprotocols=["other"]) == ("hello", None)


def test_origins(edge):
    own = f"http://127.0.0.1:{edge.ports['web']}"
    assert run(edge, "/chat", origin=own) == 101
    assert run(edge, "/chat", origin="http://evil.example") == 403
    assert run(edge, "/listed", origin="https://good.example") == 101
    assert run(edge, "/listed", origin="http://good.example") == 403
    assert run(edge, "/listed", origin=own) == 403
    assert run(edge, "/private", origin="http://anywhere.example") == 401


def test_cookies_and_refusal(edge):
    async def first(socket_):
        return await socket_.recv(), socket_.response_headers.get("Set-Cookie")

    assert run(edge, "/private") == 401
    ann = {"Cookie": "a=b; user=ann"}
    assert run(edge, "/private", first, extra_headers=ann) == ("ann", "seen=1")


def test_it_stays_open_while_it_answers_pings(edge):
    async def wait(socket_):
        await asyncio.sleep(1)
        return await echo(socket_)

    assert run(edge, "/chat", wait) == ("hello", None)


def test_a_stop_says_goodbye(launch):
    program = launch("edge")

    async def until_the_end(socket_):
        stopping = asyncio.get_running_loop().run_in_executor(None, program.stop)
        try:
            await socket_.recv()
        except ConnectionClosed as end:
            await stopping
            return end.rcvd.code
        return None

    assert run(program, "/chat", until_the_end) == 1001


def test_a_websocket_is_one_line_of_the_log(launch):
    program = launch(
        "edge", sets={"web.access_log": "RUNDIR/access.log", "web.access_log_json": "on"}
    )
    assert run(program, "/chat", echo) == ("hello", None)
    (line,) = lines_of(program.run_dir / "access.log", 1)
    line = json.loads(line)
    assert (line["status"], line["target"], line["ended"]) == (101, "/chat", "ok")


# ---- how long a head may be ----


@pytest.mark.parametrize("most, field_, target_", [("2k", 2500, 2500), ("64k", 80_000, 10_000)])
def test_heads_have_the_length_that_is_set(launch, most, field_, target_):
    program = launch("edge", sets={"web.max_head": most})

    def status(target=1, field=1):
        with Http(program.connect("web")) as client:
            client.send(
                b"GET /who?%s HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"t" * target, b"f" * field)
            )
            return client.read_response().status

    assert status(field=field_ * 3 // 5) == status(target=target_ * 3 // 5) == 200
    assert status(field=field_) == 431
    assert status(target=target_) == 414
