"""HTTP/1.1: what a good client may do, and what a bad one gets."""

import subprocess

import pytest
from clients import Http


@pytest.fixture(scope="module")
def hello(launch_once):
    return launch_once("hello")


@pytest.fixture(scope="module")
def web(launch_once):
    return launch_once("web", sets={"web.max_message": "256k"})


def open_http(program):
    return Http(program.connect("web"))


# ---- hello, from real and plain clients ----


def test_curl(hello):
    def curl(*arguments, data=None):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *arguments], input=data, capture_output=True,
            check=True,
        )
        return done.stdout

    address = hello.url("web")
    assert curl(address) == b"Hello, World!"
    assert curl("-o", "/dev/null", "-w", "%{http_code} %{num_connects}", address) == b"200 1"
    both = curl(address, address, "-w", "%{num_connects}\n")
    assert both == b"Hello, World!1\nHello, World!0\n", "the connection was not kept"
    body = b"any bytes \0\r\n at all" * 1000
    echo = hello.url("web", "/echo")
    assert curl("--data-binary", "@-", echo, data=body) == body
    chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"]
    assert curl(*chunked, echo, data=body) == body
    large = b"0123456789" * 60_000  # curl asks `Expect: 100-continue` for it
    assert curl("--data-binary", "@-", echo, data=large) == large
    assert curl("-I", address).startswith(b"HTTP/1.1 200 OK\r\n")
    assert curl("--http1.0", address) == b"Hello, World!"


def test_fields_of_the_answer(hello):
    with open_http(hello) as client:
        answer = client.get("/")
        assert (answer.status, answer.body) == (200, b"Hello, World!")
        assert answer.fields["content-length"] == "13"
        assert answer.fields["content-type"].startswith("text/plain")
        assert answer.fields["date"].endswith(" GMT") and len(answer.fields["date"]) == 29


def test_head_and_errors_keep_the_connection(hello):
    with open_http(hello) as client:
        head = client.get("/", method="HEAD")
        assert head.status == 200 and head.fields["content-length"] == "13"
        assert client.get("/nowhere").status == 404
        wrong = client.get("/echo")
        assert wrong.status == 405 and "POST" in wrong.fields["allow"]
        assert client.get("/", method="DELETE").status == 405
        assert client.get("/").body == b"Hello, World!"


def test_pipelining_sixteen_deep(hello):
    with open_http(hello) as client:
        body = [b"%d" % i * 50 for i in range(16)]
        client.send(b"".join(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(one), one)
            for one in body
        ))
        assert [client.read_response().body for _ in range(16)] == body


def test_answers_keep_the_order_of_requests(web):
    """The first is answered late; those behind it wait, and none is lost."""
    with open_http(web) as client:
        paths = ["/late?100", "/now", "/big?70000", "/late?1", "/status?204", "/now"]
        client.send("".join(f"GET {p} HTTP/1.1\r\nHost: a\r\n\r\n" for p in paths).encode())
        answers = [client.read_response() for _ in paths]
        assert [a.status for a in answers] == [200, 200, 200, 200, 204, 200]
        bodies = [a.body for a in answers]
        assert bodies[0] == bodies[3] == b"late" and bodies[1] == bodies[5] == b"now"
        assert len(bodies[2]) == 70000


def test_byte_by_byte(hello):
    with open_http(hello) as client:
        client.send_slowly(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Long: "
            + b"v" * 600 + b"\r\n\r\n5;ext=1\r\nhello\r\n06\r\n world\r\n0\r\nTrailer: t\r\n\r\n"
        )
        assert client.read_response().body == b"hello world"
        assert client.get("/").status == 200


def test_many_tiny_chunks(web):
    """Each byte in a chunk of its own, and the coded body far longer than max_message."""
    with open_http(web) as client:
        client.send(b"POST /what HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\nq\r\n" * 150_000 + b"0\r\n\r\n")
        assert client.read_response().body.endswith(b"body=" + b"q" * 150_000 + b"\n")
        assert client.get("/now").body == b"now"


def test_expect_continue(hello):
    with open_http(hello) as client:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue\r\n")
        client.send(b"body")
        assert client.read_response().body == b"body"


def test_connection_close_and_http_1_0(web):
    with open_http(web) as client:
        answer = client.get("/now", more="Connection: close\r\n")
        assert answer.fields["connection"] == "close" and client.at_end()
    with open_http(web) as client:
        client.send(b"GET /now HTTP/1.0\r\n\r\n")
        assert client.read_response().body == b"now" and client.at_end()
    with open_http(web) as client:
        for _ in range(2):
            client.send(b"GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.read_response()
            assert answer.body == b"now" and answer.fields["connection"] == "keep-alive"
    with open_http(web) as client:
        assert client.get("/close").fields["connection"] == "close"
        assert client.at_end()


def test_what_the_handler_sees(web):
    with open_http(web) as client:
        client.send(
            b"PUT http://other:8/what?a=1&b HTTP/1.1\r\nHost: first\r\nX-ODD:  \t spaced out \t\r\n"
            b"Content-Length: 3\r\n\r\nabc"
        )
        seen = dict(
            line.split("=", 1) for line in client.read_response().body.decode().splitlines()
        )
        assert seen["method"] == "PUT" and seen["path"] == "/what" and seen["query"] == "a=1&b"
        assert seen["host"] == "other:8" and seen["version"] == "11" and seen["body"] == "abc"
        assert seen["x-odd"] == "spaced out" and seen["headers"] == "3"


def test_replies_that_must_be_refused(web):
    """A second answer, and fields that would split the response, are -EINVAL; nothing leaks."""
    before = web.totals()
    with open_http(web) as client:
        assert client.get("/twice").body == b"first"
        answer = client.get("/split")
        assert answer.body == b"whole" and answer.fields["x-a"] == "1"
        assert "x-b" not in answer.fields
        assert client.get("/now").body == b"now"
    after = web.totals()
    assert after["refused"] - before["refused"] == 5
    assert after["send_invalid"] - before["send_invalid"] == 5
    assert after["messages_offered"] - before["messages_offered"] == 3


def test_unanswered_request_and_a_client_that_leaves(launch):
    """One that has only ended its side still gets its answer; the end comes right behind it."""
    program = launch("web")
    for path, how in (("/never", "reset"), ("/late?100", "close"), ("/late?100", "reset")):
        client = open_http(program)
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2)
        getattr(client, how)()
    with open_http(program) as client:
        client.send(b"GET /late?100 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.finish()
        assert client.read_response().body == b"late"
        assert client.at_end()
    program.wait_empty()
    open_http(program).send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
    program.wait_totals("asked", lambda t: t["requests"] > 4)


# ---- bad requests ----


GOOD = b"GET /now HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /what HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BAD = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (GOOD + b"Host: b\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "leading space": (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no version": (b"GET /\r\nHost: a\r\n\r\n", 400),
    "odd version": (b"GET / HTTX/1.1\r\nHost: a\r\n\r\n", 400),
    "version 2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "space in target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "control byte in target": (b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bad method": (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tls hello": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400),
    "no colon": (GOOD + b"nothing\r\n\r\n", 400),
    "space before colon": (GOOD + b"X : 1\r\n\r\n", 400),
    "empty name": (GOOD + b": x\r\n\r\n", 400),
    "folded": (GOOD + b"X: 1\r\n  2\r\n\r\n", 400),
    "nul in value": (GOOD + b"X: a\0b\r\n\r\n", 400),
    "bare cr in value": (GOOD + b"X: a\rb\r\n\r\n", 400),
    "length -1": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "length +5": (POST + b"Content-Length: +5\r\n\r\nhello", 400),
    "length 0x5": (POST + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "length empty": (POST + b"Content-Length: \r\n\r\n", 400),
    "length list": (POST + b"Content-Length: 5, 6\r\n\r\nhello", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    "length huge": (POST + b"Content-Length: " + b"9" * 36 + b"\r\n\r\n", (400, 413)),
    "length over limit": (POST + b"Content-Length: 262145\r\n\r\n", 413),
    "length and chunked": (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "coding unknown": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", (400, 501)),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    "chunked in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunk size": (CHUNKED + b"zz\r\n", 400),
    "chunk size negative": (CHUNKED + b"-1\r\n", 400),
    "chunk size huge": (CHUNKED + b"fffffffffffffffff\r\n", (400, 413)),
    "chunk over limit": (CHUNKED + b"40001\r\n", 413),
    "chunks over limit": (CHUNKED + b"3ffff\r\n" + b"x" * 0x3FFFF + b"\r\n2\r\n", 413),
    "chunk without end": (CHUNKED + b"1\r\nab\r\n", 400),
    "trailer without colon": (CHUNKED + b"0\r\nnothing\r\n\r\n", 400),
    "long target": (b"GET /" + b"a" * 20_000, 414),
    "long field": (GOOD + b"X: " + b"a" * 20_000, 431),
    "many fields": (GOOD + b"X: 1\r\n" * 200 + b"\r\n", 431),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request(web, name):
    """The right status, the end of the connection, and the handler hears nothing of it."""
    data, statuses = BAD[name]
    before = web.wait_empty()
    with open_http(web) as client, open_http(web) as neighbour:
        client.send(GOOD + b"\r\n" + data)
        assert client.read_response().body == b"now"
        answer = client.read_response()
        assert answer.status in (statuses if isinstance(statuses, tuple) else (statuses,))
        assert answer.fields["connection"] == "close"
        assert client.at_end()
        assert neighbour.get("/now").body == b"now"
    after = web.wait_empty()
    assert after["requests"] - before["requests"] == 2
    assert after["total_request"] - before["total_request"] == 2
    closes = {key: n - before["closes_by_reason"][key] for key, n in
              after["closes_by_reason"].items()}
    assert closes["protocol"] == 1 and closes["peer"] == 1, closes
    assert after["messages_offered"] - before["messages_offered"] == 2


def test_good_requests_at_the_edge(web):
    """What is unusual but allowed."""
    with open_http(web) as client:
        for request in (
            b"GET /what HTTP/1.1\r\nHOST:a\r\n\r\n",
            b"\r\nGET /what HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /what HTTP/1.1\r\nHost: a\r\nX: \xc3\xa4\r\n\r\n",
            b"POST /what HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc",
            POST + b"Transfer-Encoding: Chunked\r\n\r\n0003\r\nabc\r\n00\r\n\r\n",
            b"GET /what HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: gzip\r\n\r\n",
            b"GET /what?" + b"q" * 4000 + b" HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 90 + b"\r\n",
        ):
            client.send(request)
            assert client.read_response().status == 200, request


# ---- time ----


def test_slow_request_and_idle_connection(launch):
    program = launch("web", sets={"web.handshake_timeout_ms": 300, "web.idle_timeout_ms": 1000})
    with open_http(program) as slow, open_http(program) as idle, open_http(program) as body:
        slow.send(b"GET /now HT")
        body.send(b"POST /what HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert idle.get("/now").body == b"now"
        for client in (slow, body):
            assert client.read_response().status == 408
            assert client.at_end()
        assert idle.at_end(), "an idle connection gets no answer, only its end"
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["handshake"] == 2
    assert totals["closes_by_reason"]["idle"] == 1


def test_feed_page_and_numbers(launch):
    """The demo's port answers plain requests too."""
    program = launch("feed")
    with Http(program.connect("feed")) as client:
        page = client.get("/")
        assert page.status == 200 and page.fields["content-type"].startswith("text/html")
        numbers = client.get("/stats")
        assert numbers.status == 200 and "json" in numbers.fields["content-type"]
        assert client.get("/nowhere").status == 404
