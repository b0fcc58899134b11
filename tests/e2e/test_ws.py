"""WebSocket: handshakes, messages, and what breaks the protocol."""

import asyncio

import laws
import pytest
import websockets
from clients import Http
from wsclient import (
    BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, WebSocket, close_payload, frame, upgrade,
)


@pytest.fixture(scope="module")
def echo(launch_once):
    return launch_once("echo", sets={"ws.max_message": "1m"})


@pytest.fixture(scope="module")
def push(launch_once):
    return launch_once("push", sets={"push.max_message": "64k"})


# ---- handshake ----


REFUSED = {
    "no key": (upgrade(drop=["Sec-WebSocket-Key"]), 400),
    "short key": (upgrade(key="c2hvcnQ="), 400),
    "key is not base64": (upgrade(key="!" * 24), 400),
    "two keys": (upgrade(more=f"Sec-WebSocket-Key: {KEY}\r\n"), 400),
    "version 8": (upgrade(version="8"), 426),
    "version 130": (upgrade(version="130"), 426),
    "no version": (upgrade(drop=["Sec-WebSocket-Version"]), (400, 426)),
    "HTTP/1.0": (upgrade(first="GET / HTTP/1.0"), (400, 426)),
    "POST": (upgrade(first="POST / HTTP/1.1"), (400, 405)),
    "no host": (upgrade(drop=["Host"]), 400),
    "a body": (upgrade(more="Content-Length: 4\r\n") + b"body", 400),
    "not HTTP": (b"\x81\x85abcd....\r\n\r\n", 400),
    "HTTP/2": (upgrade(first="GET / HTTP/2.0"), 505),
    "long": (upgrade(more="X: " + "a" * 20_000 + "\r\n"), 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_handshake_refused(push, name):
    data, statuses = REFUSED[name]
    before = push.wait_empty()
    with Http(push.connect("push")) as client:
        client.send(data)
        answer = client.read_response()
        assert answer.status in (statuses if isinstance(statuses, tuple) else (statuses,))
        if answer.status == 426:
            assert answer.fields["sec-websocket-version"] == "13"
        assert client.at_end()
    after = push.wait_empty()
    assert after["opens"] == before["opens"], "on_open ran for a failed handshake"
    assert after["messages"] == before["messages"]
    ended = {key: n - before["closes_by_reason"][key] for key, n in
             after["closes_by_reason"].items()}
    assert ended["handshake"] + ended["protocol"] == 1, ended


def test_plain_request_is_told_what_to_do(push):
    with Http(push.connect("push")) as client:
        answer = client.get("/")
        assert 400 <= answer.status < 500


def test_handshake_byte_by_byte_and_odd_case(push):
    with WebSocket(push.connect("push"), shake=False) as client:
        client.send_slowly(
            b"GET /chat?x=1 HTTP/1.1\r\nHOST: a\r\nupgrade: WebSocket\r\n"
            b"connection: keep-alive, UPGRADE\r\nsec-websocket-key: " + KEY.encode() + b"\r\n"
            b"sec-websocket-version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        client.check_shake(offered=True)
        client.send_message(b"echo hi")
        assert client.read_message() == b"hi"


def test_frames_behind_the_handshake(push):
    """What came in the same segment as the handshake is not lost."""
    with WebSocket(push.connect("push"), shake=False) as client:
        client.send(upgrade() + frame(TEXT, b"echo early") + frame(PING, b"p"))
        client.check_shake()
        assert client.read_message() == b"early"
        assert client.read_frame() == (PONG, b"p")


def test_handshake_timeout(launch):
    program = launch("push", sets={"push.handshake_timeout_ms": 300})
    with Http(program.connect("push")) as slow, Http(program.connect("push")) as silent:
        slow.send(upgrade()[:-2])
        assert slow.read_all().startswith(b"HTTP/1.1 408 ")
        silent.read_all()
    totals = program.wait_empty()
    assert totals["closes_by_reason"]["handshake"] == 2


# ---- a real client ----


def test_real_client(echo):
    async def talk():
        address = echo.url("ws")
        async with websockets.connect(address, max_size=None) as client:
            for message in ("text", "", "ä€𝄞" * 1000, b"\x00\xff" * 70_000, "x" * 900_000):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "parts"])
            assert await client.recv() == "in three parts"
            await (await client.ping(b"are you there"))
            await client.close(4321, "enough")
        assert client.close_code == 4321

    asyncio.run(talk())


def test_many_real_clients(echo):
    async def talk(number):
        async with websockets.connect(echo.url("ws"), compression=None) as client:
            for i in range(20):
                await client.send(f"{number} {i}")
                assert await client.recv() == f"{number} {i}"

    async def all_talk():
        await asyncio.gather(*(talk(number) for number in range(20)))

    asyncio.run(all_talk())
    laws.no_losses(echo.lawful())


# ---- messages ----


def test_fragments_with_pings_between(push):
    with WebSocket(push.connect("push")) as client:
        client.send_frame(TEXT, b"echo one ", fin=False)
        client.send_frame(PING, b"first")
        client.send_frame(CONT, b"two ", fin=False)
        client.send_frame(CONT, b"", fin=False)
        client.send_frame(PING, b"second")
        client.send_frame(CONT, b"three")
        assert client.read_frame() == (PONG, b"first")
        assert client.read_frame() == (PONG, b"second")
        assert client.read_frame() == (TEXT, b"one two three")


def test_same_last_frame_to_two_clients(push):
    """Fragmented messages that end in the same bytes under the same mask: each gets its own."""
    with WebSocket(push.connect("push")) as one, WebSocket(push.connect("push")) as two:
        one.send_frame(TEXT, b"echo one", fin=False, key=b"mask")
        two.send_frame(TEXT, b"echo two", fin=False, key=b"mask")
        for client in (one, two):
            client.send_frame(CONT, b" end", key=b"mask")
        assert one.read_message() == b"one end"
        assert two.read_message() == b"two end"


def test_kinds_are_kept(echo):
    with WebSocket(echo.connect("ws")) as client:
        client.send_binary(b"\xff\xfe")
        assert client.read_frame() == (BINARY, b"\xff\xfe")
        client.send_message("ü".encode())
        assert client.read_frame() == (TEXT, "ü".encode())


def test_text_cut_inside_a_character(echo):
    text = "aä€𝄞".encode() * 3
    with WebSocket(echo.connect("ws")) as client:
        client.send_frame(TEXT, text[:1], fin=False)
        for at in range(1, len(text)):
            client.send_frame(CONT, text[at : at + 1], fin=False)
        client.send_frame(CONT)
        assert client.read_message() == text
        client.send_slowly(frame(TEXT, text))
        assert client.read_message() == text


def test_message_of_just_the_limit(push):
    with WebSocket(push.connect("push")) as client:
        body = b"echo " + b"x" * (65536 - 5)
        client.send_message(body)
        assert len(client.read_message()) == 65536 - 5
        for at in range(0, 65536, 16384):
            client.send_frame(CONT if at else TEXT, body[at : at + 16384], fin=at == 49152)
        assert len(client.read_message()) == 65536 - 5


# ---- protocol errors ----


def text(payload, **how):
    return frame(TEXT, payload, **how)


START = text(b"echo ", fin=False)
BAD = {
    "not masked": (text(b"echo x", mask=False), 1002),
    "rsv1": (text(b"echo x", rsv=4), 1002),
    "rsv2": (text(b"echo x", rsv=2), 1002),
    "rsv3": (text(b"echo x", rsv=1), 1002),
    "rsv on a ping": (frame(PING, b"x", rsv=4), 1002),
    "rsv inside a message": (START + frame(CONT, b"x", rsv=4), 1002),
    "opcode 3": (frame(3, b"x"), 1002),
    "opcode 7": (frame(7, b"x"), 1002),
    "opcode 11": (frame(11, b"x"), 1002),
    "opcode 15": (frame(15, b"x"), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (frame(CLOSE, close_payload(1000, b"x" * 124)), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "fragmented close": (frame(CLOSE, close_payload(1000), fin=False), 1002),
    "continuation of nothing": (frame(CONT, b"x"), 1002),
    "unfinished continuation of nothing": (frame(CONT, b"x", fin=False), 1002),
    "continuation after the end": (START + frame(CONT, b"x") + frame(CONT, b"y"), 1002),
    "text inside a message": (START + text(b"echo y"), 1002),
    "binary inside a message": (START + frame(BINARY, b"y"), 1002),
    "length 5 in 16 bits": (text(b"echo ", form=16), 1002),
    "length 5 in 64 bits": (text(b"echo ", form=64), 1002),
    "length 65535 in 64 bits": (text(b"x" * 65535, form=64), 1002),
    "length with the top bit": (text(b"", form=64, claim=1 << 63), (1002, 1009)),
    "length of all ones": (text(b"", form=64, claim=(1 << 64) - 1), (1002, 1009)),
    "length 2^63 - 1": (text(b"", form=64, claim=(1 << 63) - 1), 1009),
    "fragments past 2^63": (START + frame(CONT, b"", form=64, claim=(1 << 63) - 1), 1009),
    "one byte too long": (text(b"", form=64, claim=65537), 1009),
    "fragments too long": (START + frame(CONT, b"", form=64, claim=65536), 1009),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close 999": (frame(CLOSE, close_payload(999)), 1002),
    "close 1004": (frame(CLOSE, close_payload(1004)), 1002),
    "close 1005": (frame(CLOSE, close_payload(1005)), 1002),
    "close 1006": (frame(CLOSE, close_payload(1006)), 1002),
    "close 1015": (frame(CLOSE, close_payload(1015)), 1002),
    "close 2999": (frame(CLOSE, close_payload(2999)), 1002),
    "close 5000": (frame(CLOSE, close_payload(5000)), 1002),
    "close with a bad reason": (frame(CLOSE, close_payload(1000, b"\xff")), 1007),
    "text is not UTF-8": (text(b"echo \xff"), 1007),
    "overlong": (text(b"echo \xc0\xaf"), 1007),
    "surrogate": (text(b"echo \xed\xa0\x80"), 1007),
    "past the last character": (text(b"echo \xf4\x90\x80\x80"), 1007),
    "cut character at the end": (text(b"echo \xe2\x82"), 1007),
    "long text is not UTF-8": (text(b"echo " + b"x" * 300 + b"\xff"), 1007),
    "long text with a cut end": (text(b"echo " + b"x" * 300 + b"\xe2\x82"), 1007),
    "cut character in the last fragment": (START + frame(CONT, b"x\xe2\x82"), 1007),
    "long, not masked": (text(b"echo " + b"x" * 300, mask=False), 1002),
    "long, rsv1": (text(b"echo " + b"x" * 300, rsv=4), 1002),
    "bad byte before the message is there": (text(b"ec\xff", claim=60_000), 1007),
    "bad byte in an early fragment": (START + frame(CONT, b"\xff", fin=False), 1007),
    "bad pair in fragments": (START + frame(CONT, b"\xe2", fin=False) + frame(CONT, b"a"), 1007),
}


@pytest.mark.parametrize("name", BAD)
def test_protocol_error(push, name):
    """The right close code; on_message saw what came before and nothing of the bad message."""
    data, codes = BAD[name]
    whole = name == "continuation after the end"
    before = push.wait_empty()
    with WebSocket(push.connect("push")) as client, WebSocket(push.connect("push")) as other:
        client.send(frame(TEXT, b"echo good") + data)
        assert client.read_message() == b"good"
        if whole:
            assert client.read_message() == b"x"
        code = client.read_close()
        assert code in (codes if isinstance(codes, tuple) else (codes,)), client.close_reason
        # What comes behind the error is not looked at.
        client.send(frame(TEXT, b"echo late"))
        other.send_message(b"echo neighbour")
        assert other.read_message() == b"neighbour"
    after = push.wait_empty()
    assert after["messages"] - before["messages"] == 2 + whole
    protocol = after["closes_by_reason"]["protocol"] - before["closes_by_reason"]["protocol"]
    assert protocol == 1
