"""Server-sent events: what a page gets, who gets what, and what a reader who does not read loses."""

import subprocess

import pytest
from clients import Http, Stream
from processes import PATIENCE, wait_until

LIMIT = 65_536
EVENT = len(b"data: ") + 1000 + 2  # of /many, as it is in the stream
FRAMED = EVENT + len(b"3f0\r\n") + 2


@pytest.fixture(scope="module")
def program(launch_once):
    return launch_once("stream", sets={"web.max_send_buffer": LIMIT})


class Events(Stream):
    """A page that listens (HTML standard, 9.2): the framing off, then fields to events."""

    def listen(self, version="1.1", more=""):
        self.send(f"GET /events HTTP/{version}\r\nHost: a\r\n{more}\r\n".encode())
        head = self.read_until(b"\r\n\r\n").decode().lower()
        assert head.startswith("http/1.1 200 ")
        assert "\r\ncontent-type: text/event-stream\r\n" in head
        assert "\r\ncache-control: no-cache\r\n" in head
        self.chunked = "\r\ntransfer-encoding: chunked\r\n" in head
        assert self.chunked == (version == "1.1")
        self.text, self.last_id, self.retry, self.comments = b"", "", None, 0
        return self

    def more_text(self):
        if not self.chunked:
            self.fill()
            self.text += self.take(len(self.buffer))
            return
        size = int(self.read_until(b"\r\n")[:-2], 16)
        self.text += self.read(size)
        assert self.read(2) == b"\r\n"
        if size == 0:
            raise EOFError("the last chunk")

    def line(self):
        while b"\n" not in self.text:
            self.more_text()
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def event(self):
        """(type, data)"""
        name, data = "message", []
        while True:
            line = self.line()
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line == "":
                if data:
                    return name, "\n".join(data)
                name = "message"
            elif field == "":
                self.comments += 1
            elif field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                self.last_id = value
            elif field == "retry":
                self.retry = int(value)


def open_events(program, receive_buffer=None, **how):
    return Events(program.connect("web", receive_buffer=receive_buffer)).listen(**how)


def open_http(program):
    return Http(program.connect("web"))


def say(control, text, path="/say"):
    return int(control.post(path, text.encode()).body)


def rows(program):
    return [row for row in program.connections() if row["protocol"] == "sse"]


def wait_streams(program, count):
    wait_until(lambda: len(rows(program)) == count, f"{count} streams")


def test_all_who_listen_get_it(program):
    """Chunked or not, each its own way; plain connections get nothing."""
    with open_http(program) as control, open_http(program) as plain:
        streams = [open_events(program), open_events(program, version="1.0"), open_events(program)]
        assert say(control, "hello") == 3
        assert say(control, "two\nlines\r\n") == 3
        assert say(control, "") == 3
        assert say(control, "x" * 5000) == 3
        assert say(control, "the news", path="/event") == 3
        for stream in streams:
            assert stream.event() == ("message", "hello")
            assert stream.event() == ("message", "two\nlines\n")
            assert stream.event() == ("message", "")
            assert stream.event() == ("message", "x" * 5000)
            assert stream.event() == ("news", "the news")
            assert stream.last_id == "1" and stream.retry == 100
        assert plain.get("/text?3").body == b"all"
        wait_streams(program, 3)
        for row in rows(program):
            assert row["state"] == "open" and row["send_fail"] == 0
        assert int(control.post("/end", b"").body) == 3
        for stream in streams:
            with pytest.raises(EOFError):
                stream.event()
            assert stream.at_end()
            stream.close()
    wait_streams(program, 0)


def test_who_comes_back_says_what_it_had(program):
    with open_events(program, more="Last-Event-ID: 41\r\n") as stream:
        assert stream.event() == ("last", "41")


def test_curl_shows_the_events(program):
    with open_http(program) as control:
        client = subprocess.Popen(
            ["curl", "-sSN", "--max-time", str(30 * PATIENCE), program.url("web", "/events")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        wait_streams(program, 1)
        assert say(control, "a\nb") == 1
        assert say(control, "c", path="/event") == 1
        control.post("/end", b"")
        out, errors = client.communicate(timeout=30 * PATIENCE)
    assert (client.returncode, errors) == (0, b""), "the last chunk did not come"
    lines = out.decode().split("\n")
    assert lines[:3] == ["data: a", "data: b", ""]
    assert "event: news" in lines and "data: c" in lines


def test_the_head_alone_for_head(program):
    with open_http(program) as client:
        answer = client.get("/events", method="HEAD")
        assert answer.status == 200 and answer.fields["content-type"] == "text/event-stream"
        assert client.get("/text?3").body == b"all"


def test_a_stalled_reader_loses_events_and_each_is_counted(launch):
    program = launch("stream", sets={"web.max_send_buffer": LIMIT})
    count = 3000
    with open_http(program) as control, open_events(program, receive_buffer=16_384) as stalled, \
            open_events(program) as fast:
        wait_streams(program, 2)
        accepted = 0
        for at in range(0, count, 20):
            accepted += int(control.post("/many?20", b"").body)
            for number in range(20):
                assert fast.event() == ("message", f"{number:06}" + "0" * 994)
        refused = 2 * count - accepted
        totals = program.totals()
        assert 0 < refused == totals["send_fail_by_reason"]["full"] == totals["send_fail"]
        assert totals["messages_offered"] == 2 * count + count // 20
        assert totals["lost"] == refused
        row = max(rows(program), key=lambda row: row["send_fail"])
        assert row["send_fail"] == row["send_fail_by_reason"]["full"] == refused
        assert LIMIT <= row["send_queue"] < LIMIT + FRAMED
        # It wakes up: what it was not refused comes, whole, in order.
        for _ in range(count - refused):
            name, data = stalled.event()
            assert name == "message" and len(data) == 1000
        totals = program.wait_totals("all sent", lambda t: t["messages_queued"] == 0)
        assert totals["messages_sent"] == accepted + count // 20
        assert totals["fulls"] >= 1 and totals["drains"] >= 1
        assert int(control.post("/many?1", b"").body) == 2
        assert stalled.event()[0] == "message"


def test_alive_without_events(launch):
    """The comment comes in time for the idle timeout, and a page never sees it."""
    program = launch("stream", sets={"web.heartbeat_ms": 150, "web.idle_timeout_ms": 1000})
    with open_events(program) as stream, open_events(program, version="1.0") as old:
        for one in (stream, old):
            while one.comments < 12:
                assert one.line() in (":", ": ", "")
                one.comments += 1
        with open_http(program) as control:
            assert say(control, "still here") == 2
        for one in (stream, old):
            assert one.event() == ("message", "still here")
        totals = program.totals()
        assert totals["messages_offered"] == 3 and totals["closes_by_reason"]["idle"] == 0


def test_who_leaves(launch):
    program = launch("stream")
    with open_http(program) as control:
        stream, other = open_events(program), open_events(program)
        wait_streams(program, 2)
        stream.finish()  # it says no more, which is all a page can do
        with pytest.raises(EOFError):
            stream.event()
        wait_streams(program, 1)
        other.reset()
        wait_streams(program, 0)
        assert say(control, "nobody") == 0
        totals = program.totals()
        assert totals["closes_by_reason"]["peer"] == totals["closes_by_reason"]["reset"] == 1
        stream.close()


def test_stop_says_the_last_word(launch):
    program = launch("stream")
    with open_events(program) as stream:
        wait_streams(program, 1)
        program.stop()
        with pytest.raises(EOFError):
            stream.event()
        assert stream.at_end()
