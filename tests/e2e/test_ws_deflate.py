"""permessage-deflate with real peers: python3-websockets, Node's ws, Chromium; every combination of
its parameters, one compressor for all connections or a window for each, and what that costs."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import laws
import pytest
import websockets
from abuse import FORGETFUL
from browser import Browser, Tab
from clients import Http
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from wsclient import CLOSE, CONT, TEXT, WebSocket, close_payload, deflate, upgrade

NODE_WS = Path("/usr/share/nodejs/ws")
MODES = ["shared", "takeover", "off"]
TEXTS = ["short", "", "ä€𝄞" * 1000, "price 12.50 volume 100 " * 3000, "x" * 900_000]


@pytest.fixture(scope="module", params=MODES)
def echo(request, launch_once):
    program = launch_once("echo", sets={"ws.deflate": request.param, "ws.deflate_min": "100"})
    program.mode = request.param
    return program


async def talk(client):
    for message in (*TEXTS, bytes(range(256)) * 300):
        await client.send(message)
        assert await client.recv() == message
    await client.send(["price 1 " * 500, "price 2 " * 500])
    assert await client.recv() == "price 1 " * 500 + "price 2 " * 500


PARAMETERS = {
    "nothing": {},
    "bits": {"client_max_window_bits": True},
    "few bits": {"server_max_window_bits": 9, "client_max_window_bits": 9},
    "fewest bits": {"server_max_window_bits": 8},
    "all bits": {"server_max_window_bits": 15, "client_max_window_bits": 15},
    "server resets": {"server_no_context_takeover": True},
    "client resets": {"client_no_context_takeover": True},
    "everything": {"server_no_context_takeover": True, "client_no_context_takeover": True,
                   "server_max_window_bits": 10, "client_max_window_bits": 11},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_python_clients(echo, name):
    async def scene():
        offer = ClientPerMessageDeflateFactory(**PARAMETERS[name])
        async with websockets.connect(echo.url("ws"), compression=None, extensions=[offer],
                                      max_size=None) as client:
            agreed = bool(client.extensions)
            assert agreed == (echo.mode != "off")
            if agreed and echo.mode == "shared":
                assert client.extensions[0].remote_no_context_takeover
                assert client.extensions[0].local_no_context_takeover
            for _ in range(3):
                await talk(client)

    before = echo.wait_empty()["bytes_out"]
    asyncio.run(scene())
    totals = echo.wait_empty()
    laws.no_losses(echo.lawful())
    plain = 3 * sum(len(text.encode()) for text in TEXTS)
    assert (totals["bytes_out"] - before < plain / 5) == (echo.mode != "off")


NODE = """
const WebSocket = require(process.argv[1]);
const [url, parameters] = [process.argv[2], JSON.parse(process.argv[3])];
const texts = JSON.parse(process.argv[4]).map(n => 'price 12.50 volume 100 '.repeat(n));
const ws = new WebSocket(url, { perMessageDeflate: parameters, maxPayload: 1 << 26 });
let at = 0;
const next = () => at < texts.length ? ws.send(texts[at]) : ws.close(1000);
ws.on('open', next);
ws.on('message', data => {
    if (data.toString() !== texts[at]) { console.log('different', at); process.exit(1); }
    at++;
    next();
});
ws.on('close', code => { console.log(code, at, ws.extensions); process.exit(0); });
"""


@pytest.mark.skipif(not (shutil.which("node") and NODE_WS.is_dir()),
                    reason="node-ws is not installed")
@pytest.mark.parametrize("parameters", [True, {"serverNoContextTakeover": True},
                                        {"clientNoContextTakeover": True},
                                        {"serverMaxWindowBits": 9, "clientMaxWindowBits": 10}])
def test_node_clients(echo, parameters):
    sizes = [1, 10, 100, 1000, 1000, 20000, 5, 1000]
    done = subprocess.run(
        ["node", "-e", NODE, str(NODE_WS), echo.url("ws"), json.dumps(parameters),
         json.dumps(sizes)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    code, count, extensions = (done.stdout.strip() + " ").split(" ", 2)
    assert (code, count) == ("1000", str(len(sizes)))
    assert ("permessage-deflate" in extensions) == (echo.mode != "off")
    laws.no_losses(echo.lawful())


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser(echo, tmp_path):
    browser = Browser(tmp_path)
    try:
        tab = Tab(browser, echo.url("ws").replace("ws:", "http:"))  # its own origin
        tab.value("""
            window.said = [];
            window.text = 'price 12.50 volume 100 '.repeat(1000);
            window.ws = new WebSocket('%s');
            ws.onopen = () => { said.push(ws.extensions); ws.send(text); };
            ws.onmessage = e => { said.push(e.data === text); if (said.length < 5) ws.send(text);
                                  else ws.close(1000); };
            ws.onclose = e => said.push(e.code); 0""" % echo.url("ws"))
        tab.wait_value("said.length == 6")
        said = tab.value("said")
    finally:
        browser.close()
    assert said[1:] == [True] * 4 + [1000]
    assert ("permessage-deflate" in said[0]) == (echo.mode != "off")


# ---- broadcasts ----


def test_a_broadcast_to_both_kinds(launch):
    push = launch("push", sets={"push.deflate_min": "256"})
    kinds = [None, "deflate"]

    async def scene():
        clients = [await websockets.connect(push.url("push"), compression=kinds[i % 2],
                                            max_size=None) for i in range(20)]
        await clients[0].send("all 50 2000 mixed")
        heard = []
        for client in clients:
            messages = []
            while len(messages) < 50:
                message = await client.recv()
                if not message.startswith("= "):
                    messages.append(message)
            heard.append(messages)
        assert all(messages == heard[0] for messages in heard)
        assert [int(m.split()[0]) for m in heard[0]] == list(
            range(int(heard[0][0].split()[0]), int(heard[0][0].split()[0]) + 50))
        for client in clients:
            await client.close()

    asyncio.run(scene())
    push.wait_empty()
    laws.no_losses(push.lawful())


# ---- what a peer can make it cost ----


OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def test_a_bomb_costs_no_more_than_max_message(launch):
    push = launch("push", sets={"push.max_message": "64k"})
    bomb = deflate(bytes(64 << 20))
    assert len(bomb) < 70_000
    before = push.status()["workers"][0]["memory_bytes"]
    for _ in range(10):
        with WebSocket(push.connect("push"), more=OFFER) as client:
            half = len(bomb) // 2
            client.send_frame(TEXT, bomb[:half], fin=False, rsv=4)
            client.send_frame(CONT, bomb[half:])
            assert client.read_close() == 1009
    # One alone would have been 64 MiB; a sanitizer keeps what was freed.
    assert push.status()["workers"][0]["memory_bytes"] - before < 16 << 20


def test_memory_of_compressed_connections(launch, record_property):
    """With a shared window a connection costs what one does that does not compress."""
    grown = {}
    message = "price 12.50 volume 100 " * 100
    for mode in ("off", "shared"):
        push = launch("push", sets={"push.deflate": mode}, env=FORGETFUL)
        before = push.status()["workers"][0]["memory_bytes"]

        async def scene(program):
            clients = [await websockets.connect(program.url("push"), max_size=None)
                       for _ in range(300)]
            for client in clients:
                await client.send(f"echo {message}")
                assert await client.recv() == message
            memory = program.status()["workers"][0]["memory_bytes"]
            await asyncio.gather(*(client.close() for client in clients))
            return memory

        grown[mode] = (asyncio.run(scene(push)) - before) / 300
        record_property(f"{mode}_bytes", int(grown[mode]))
        print(f"\ndeflate={mode}: {grown[mode] / 1024:.1f} KiB for each connection")
        push.finish()
    # A window would be 300 KiB for each; what all share is some 400 KiB, and more with a sanitizer.
    assert grown["shared"] < grown["off"] + 32 * 1024


def test_a_list_that_is_none_is_refused_where_it_is_read(echo):
    with Http(echo.connect("ws")) as client:
        client.send(upgrade(more="Sec-WebSocket-Extensions: permessage-deflate; =\r\n"))
        assert client.read_response().status == (101 if echo.mode == "off" else 400)


def test_close_codes_still_pass(echo):
    with WebSocket(echo.connect("ws"), more=OFFER) as client:
        client.send_frame(CLOSE, close_payload(4321, b"bye"))
        assert client.read_close() == 4321
