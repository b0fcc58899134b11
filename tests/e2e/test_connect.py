"""Outgoing connections against real peers: python3-websockets, servers that misbehave, TLS with every
kind of wrong certificate, nginx before crew, proxies, and crew on both sides."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import threading
import time
from http import HTTPStatus
from pathlib import Path

import pytest
import websockets
from certs import Authority
from driver import Driver
from peers import running
from processes import wait_until
from program import free_port

NODE_WS = Path("/usr/share/nodejs/ws")


@pytest.fixture(name="client")
def make_client(launch):
    with Driver(launch("client")) as driver:
        yield driver


@pytest.fixture(name="authority", scope="module")
def make_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


# ---- servers ------------------------------------------------------------------------------------


class WebSockets:
    """python3-websockets in a thread; `handler(socket)` is a coroutine function."""

    def __init__(self, handler, **how):
        self.handler, self.how = handler, how
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.port = free_port()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())

    async def serve(self):
        self.end = asyncio.Event()
        async with websockets.serve(self.handler, "127.0.0.1", self.port, **self.how):
            self.ready.set()
            await self.end.wait()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join(10)

    def url(self, scheme="ws", host="127.0.0.1"):
        return f"{scheme}://{host}:{self.port}"


async def echo(peer):
    async for message in peer:
        await peer.send(message)


@contextlib.contextmanager
def listening(backlog=16):
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        server.settimeout(15)
        yield server, server.getsockname()[1]


# ---- WebSocket against python3-websockets ---------------------------------------------------------


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_both_ways(client, compression):
    with WebSockets(echo, compression=compression) as server:
        name = client.connect(server.url())
        client.tell(f"send {name} before it stands")
        client.expect(f"{name} open - -")
        client.expect(f"{name} text before it stands")
        client.tell(f"binary {name} 00ff10")
        client.expect(f"{name} binary 00ff10")
        client.tell(f"large {name} 300000")
        client.expect(f"{name} text #300000")
        client.tell(f"close {name} 4001 enough")
        client.expect(f"{name} close app -")


NODE = """
const { WebSocketServer } = require(process.argv[1]);
const server = new WebSocketServer({
	port: Number(process.argv[2]), host: '127.0.0.1', perMessageDeflate: JSON.parse(process.argv[3]),
});
server.on('connection', peer => {
	peer.send('extensions ' + peer.extensions);
	peer.on('message', (data, binary) => peer.send(data, { binary }));
	peer.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
});
"""


@pytest.mark.skipif(not (shutil.which("node") and NODE_WS.is_dir()),
                    reason="node-ws is not installed")
@pytest.mark.parametrize("deflate", ["false", "true", '{"serverNoContextTakeover": true}',
                                     '{"threshold": 0, "clientNoContextTakeover": true}'])
def test_node(client, deflate):
    port = free_port()
    with running(["node", "-e", NODE, str(NODE_WS), str(port), deflate], port) as node:
        name = client.connect(f"ws://127.0.0.1:{port}/")
        client.tell(f"send {name} before it stands")
        told = client.expect(f"{name} text extensions (.*)").group(1)
        assert ("permessage-deflate" in told) == (deflate != "false")
        client.expect(f"{name} text before it stands")
        for _ in range(3):
            client.tell(f"large {name} 200000")
            client.expect(f"{name} text #200000")
        client.tell(f"binary {name} 00ff")
        client.expect(f"{name} binary 00ff")
        client.tell(f"close {name} 4007 bye")
        client.expect(f"{name} close app -")
        assert node.stdout.readline() == b"closed 4007 bye\n"


def test_what_the_server_sees(client):
    seen = {}

    async def look(peer):
        seen.update(path=peer.path, headers=dict(peer.request_headers.raw_items()))
        with contextlib.suppress(websockets.ConnectionClosed):
            await peer.recv()
        seen.update(code=peer.close_code, reason=peer.close_reason)

    with WebSockets(look, subprotocols=["a", "b"]) as server:
        name = client.connect(
            server.url() + "/some/path?x=y", protocols="b,c", header=["X-One:1", "Cookie:a=b"]
        )
        client.expect(f"{name} open b -")
        assert client.tell(f"close {name} 4321 with a reason") == "ok 0"
        client.expect(f"{name} close app -")
        wait_until(lambda: "code" in seen, "the server has seen the end")
    assert seen["path"] == "/some/path?x=y"
    assert seen["headers"]["X-One"] == "1" and seen["headers"]["Cookie"] == "a=b"
    assert seen["headers"]["Host"] == f"127.0.0.1:{server.port}"
    assert (seen["code"], seen["reason"]) == (4321, "with a reason")


def test_the_server_closes(client):
    async def close(peer):
        await peer.send("last words")
        await peer.close(1001, "over")

    with WebSockets(close) as server:
        name = client.connect(server.url())
        client.expect(f"{name} text last words")
        client.expect(f"{name} close peer -")


def test_answers_that_are_none(client):
    async def never(_):
        raise AssertionError

    async def refuse(path, _):
        if path == "/a":
            return HTTPStatus.FORBIDDEN, [], b"no"
        return HTTPStatus.FOUND, [("Location", "ws://other/")], b""

    with WebSockets(never, process_request=refuse) as server:
        client.fails(server.url() + "/a", "403")
        client.fails(server.url() + "/b", "ws://other/")
    with listening() as (server, port):
        name = client.connect(f"ws://127.0.0.1:{port}")
        peer, _ = server.accept()
        peer.sendall(b"220 mail.example ESMTP\r\n")
        client.expect(f"{name} close handshake the server does not answer in HTTP")
        peer.close()


# ---- slow readers -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy, end", [("drop-newest", None), ("disconnect", "full")])
def test_a_server_that_does_not_read(client, policy, end):
    with listening() as (server, port):
        name = client.connect(f"tcp://127.0.0.1:{port}", service="slow")
        peer, _ = server.accept()
        client.expect(f"{name} open")
        assert client.tell(f"policy {name} {policy}") == "ok 0"
        for _ in range(1000):
            if client.tell(f"large {name} 60000").startswith("error"):
                break
        if end:
            client.expect(f"{name} lost full")
            client.expect(f"{name} close {end}")
        else:
            assert int(client.tell(f"queued {name}").split()[1]) >= 64 * 1024
            client.expect(f"{name} lost full 1")
            [shown] = [c for c in client.program.connections() if c["service"] == "control"
                       and c["remote"].endswith(f":{port}")]
            assert shown["state"] == "open" and shown["send_queue"] >= 64 * 1024
            client.tell(f"abort {name}")
            client.expect(f"{name} close app")
        peer.close()
        client.program.lawful()


# ---- TLS ----------------------------------------------------------------------------------------


def server_context(pair, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_tls(client, authority):
    pair, codes = authority.issue(["127.0.0.1", "localhost", "feed.example"]), []

    async def note_end(peer):
        with contextlib.suppress(websockets.ConnectionClosed):
            await echo(peer)
        codes.append(peer.close_code)

    with WebSockets(note_end, ssl=server_context(pair)) as server:
        name = client.connect(server.url("wss"), tls_ca=authority.ca())
        client.expect(f"{name} open - TLSv1.3")
        client.tell(f"large {name} 200000")
        client.expect(f"{name} text #200000")
        assert client.tell(f"peer {name}") == "ok CN=127.0.0.1"
        client.tell(f"large {name} 200000")  # the goodbye comes behind it, and before TLS goes
        client.tell(f"close {name} 4002 bye")
        client.expect(f"{name} close app -")
        wait_until(lambda: codes == [4002], "the server has heard the goodbye")
        for host, extra in (
            ("localhost", {}), ("127.0.0.1", {"tls_name": "feed.example"}),
        ):
            name = client.connect(server.url("wss", host), tls_ca=authority.ca(), **extra)
            client.expect(f"{name} open - TLSv1.3")


def test_certificates_that_prove_nothing(client, authority, tmp_path):
    stranger = Authority(tmp_path, "stranger")
    good = authority.issue(["127.0.0.1"])
    cases = [
        (authority.issue(["other.example"]), authority.ca(), "tls: .*127.0.0.1|match"),
        (authority.issue(["127.0.0.1"], days=-1), authority.ca(), "expired"),
        (good, stranger.ca(), "tls: "),
    ]
    for pair, trusted, words in cases:
        with WebSockets(echo, ssl=server_context(pair)) as server:
            name = client.connect(server.url("wss"), tls_ca=trusted)
            if client.tell(f"send {name} a secret").startswith("ok"):  # it may have failed already
                client.expect(f"{name} lost handshake 1")
            client.expect(f"{name} close handshake .*({words})")
            name = client.connect(server.url("wss"), tls_ca=trusted, tls_insecure=1)
            client.expect(f"{name} open")
            assert client.tell(f"peer {name}") == "ok -"
    with WebSockets(echo, ssl=server_context(good)) as server:  # the system's authorities
        client.fails(server.url("wss"), "tls: ")


def test_our_own_certificate(client, authority):
    pair, ours = authority.issue(["127.0.0.1"]), authority.issue(["alice"], client=True)
    with WebSockets(echo, ssl=server_context(pair, authority.ca())) as server:
        name = client.connect(
            server.url("wss"), tls_ca=authority.ca(), tls_cert=ours.cert, tls_key=ours.key
        )
        client.expect(f"{name} open")
        name = client.connect(server.url("wss"), tls_ca=authority.ca())
        client.expect(f"{name} close (handshake|reset) ")


def test_authorities_that_are_replaced_hold_for_the_next_attempt(client, authority, tmp_path):
    pair, stranger = authority.issue(["127.0.0.1"]), Authority(tmp_path, "stranger")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(stranger.ca(), trusted)
    with WebSockets(echo, ssl=server_context(pair)) as server:
        name = client.connect(
            server.url("wss"), tls_ca=trusted, retry_ms=20, retry_most_ms=100)
        client.expect(f"{name} close handshake tls: ")
        trusted.write_text("for a moment it is no file of authorities\n")
        client.expect(f"{name} close handshake tls: ")
        shutil.copy(authority.ca(), trusted)
        client.expect(f"{name} open")


def test_no_tls_where_tls_is_wanted(client):
    with WebSockets(echo) as server:
        client.fails(server.url("wss"), "tls: ")
    with listening() as (server, port):  # it never says a word
        name = client.connect(f"tls://127.0.0.1:{port}", tls_insecure=1)
        peer, _ = server.accept()
        client.expect(f"{name} close handshake its handshake took longer")
        peer.close()


def test_nginx_before_crew(launch, client, authority, tmp_path):
    feed = launch("echo")
    pair, port = authority.issue(["127.0.0.1"]), free_port()
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{ }}
        http {{
            access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;
            fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};
                location / {{
                    proxy_pass http://127.0.0.1:{feed.ports["ws"]}; proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                }}
                location /none {{ return 503; }}
            }}
        }}""")
    with running(["nginx", "-c", f"{tmp_path}/nginx.conf", "-e", f"{tmp_path}/error.log"], port):
        name = client.connect(f"wss://127.0.0.1:{port}/x", tls_ca=authority.ca())
        client.expect(f"{name} open - TLSv1")
        client.tell(f"send {name} through nginx")
        client.expect(f"{name} text through nginx")
        client.tell(f"close {name}")
        client.expect(f"{name} close app -")
        client.fails(f"wss://127.0.0.1:{port}/none", "503", tls_ca=authority.ca())


# ---- proxies ------------------------------------------------------------------------------------


def test_tinyproxy(client, authority, tmp_path):
    port = free_port()
    (tmp_path / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 30\nLogLevel Error\nBasicAuth user secret\n"
        f"MaxClients 20\nLogFile \"{tmp_path}/log\"\n"
    )
    pair = authority.issue(["127.0.0.1"])
    with running(["tinyproxy", "-d", "-c", f"{tmp_path}/tinyproxy.conf"], port), \
            WebSockets(echo, ssl=server_context(pair)) as server:
        url, how = server.url("wss"), {"tls_ca": authority.ca()}
        name = client.connect(url, proxy=f"http://user:secret@127.0.0.1:{port}", **how)
        client.expect(f"{name} open - TLSv1")
        client.tell(f"send {name} through a proxy")
        client.expect(f"{name} text through a proxy")
        client.fails(url, "407", proxy=f"http://127.0.0.1:{port}", **how)
    assert "secret" not in client.program.output()


def socks5(server, target_port, first):
    """One client of a SOCKS5 server, which is sent `first` together with the proxy's answer."""
    peer, _ = server.accept()
    greeting = peer.recv(16)
    assert greeting[0] == 5 and 0 in greeting[2:]
    peer.sendall(b"\x05\x00")
    request = peer.recv(512)
    assert request[:3] == b"\x05\x01\x00" and request[-2:] == target_port.to_bytes(2, "big")
    peer.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50" + first)
    return peer


def test_socks5_and_what_comes_at_once_behind_it(client):
    with listening() as (server, port):
        name = client.connect("tcp://far.example:4321", proxy=f"socks5://127.0.0.1:{port}")
        peer = socks5(server, 4321, b"SSH-2.0-hello")
        client.expect(f"{name} open")
        client.expect(f"{name} binary {b'SSH-2.0-hello'.hex()}")
        client.tell(f"send {name} hello")
        assert peer.recv(100) == b"hello"
        peer.close()
        client.expect(f"{name} close peer")


# ---- names and addresses ------------------------------------------------------------------------


def test_names(client):
    with WebSockets(echo) as server:
        name = client.connect(server.url(host="localhost"))
        client.expect(f"{name} open")
        assert client.tell(f"remote {name}") == f"ok 127.0.0.1:{server.port}"
        assert client.tell(f"local {name}").startswith("ok 127.0.0.1:")
        client.fails(server.url(host="no.such.name.invalid"), "no.such.name.invalid")


def test_from_an_address_of_ours(client):
    with listening() as (server, port):
        name = client.connect(f"tcp://127.0.0.1:{port}", local="127.0.0.77")
        peer, address = server.accept()
        assert address[0] == "127.0.0.77"
        client.expect(f"{name} open")
        peer.close()


def test_udp(client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        name = client.connect(f"udp://127.0.0.1:{server.getsockname()[1]}")
        client.expect(f"{name} open")
        client.tell(f"send {name} ping")
        data, peer = server.recvfrom(100)
        assert data == b"ping"
        server.sendto(b"pong", peer)
        client.expect(f"{name} binary {b'pong'.hex()}")
        client.tell(f"close {name}")
        client.expect(f"{name} close app")


# ---- again --------------------------------------------------------------------------------------


def test_a_server_that_comes_and_goes(client):
    port = free_port()
    name = client.connect(f"ws://127.0.0.1:{port}", retry_ms=20, retry_most_ms=100)
    client.expect(f"{name} close handshake ")
    for _ in range(3):
        server = WebSockets(echo)
        server.port = port
        with server:
            client.expect(f"{name} open")
            client.tell(f"send {name} hello")
            client.expect(f"{name} text hello")
        client.expect(f"{name} close (peer|reset|handshake)")
        client.expect(f"{name} again")
    assert client.tell(f"close {name}") == "ok 0"
    client.expect(f"{name} close app")
    time.sleep(0.3)
    assert client.program.totals()["connections"] == 1  # the control line
    assert not [line for line in client.waiting if "again" in line]


def test_kicked_it_comes_back(client):
    with WebSockets(echo) as server:
        name = client.connect(server.url(), retry_ms=10)
        client.expect(f"{name} open")
        [shown] = [c for c in client.program.connections() if c["protocol"] == "ws"]
        done = client.program.cli("kick", shown["id"])
        assert done.returncode == 0, done.stderr
        client.expect(f"{name} close kicked")
        client.expect(f"{name} open")


# ---- crew on both sides, and stops -----------------------------------------------------------------


def test_two_crews(launch, client):
    feed = launch("echo")
    for scheme, kind in (("ws", "text"), ("text", "text"), ("frame", "binary"), ("tcp", "binary")):
        name = client.connect(f"{scheme}://127.0.0.1:{feed.ports[scheme]}")
        client.expect(f"{name} open")
        client.tell(f"send {name} hello")
        body = "hello" if kind == "text" else b"hello".hex()
        client.expect(f"{name} {kind} {body}")
        client.tell(f"large {name} 500000" if scheme != "tcp" else f"send {name} x")
        client.expect(f"{name} {kind} (#500000|78)")
    name = client.connect(f"unix://{feed.run_dir}/echo.sock")
    client.expect(f"{name} open")
    assert client.tell("each") == "ok 5"
    assert client.tell("broadcast all of you") == "ok 5"
    for _ in range(5):
        client.expect("c. (text|binary) (all of you|616c6c206f6620796f75)")
    # The server goes: every client hears of it.
    feed.stop()
    for _ in range(5):
        client.expect("c. close peer")
    client.program.wait_totals("all are gone", lambda t: t["connections"] == 1)


@pytest.mark.parametrize("how", [(), ("-g",)])
def test_stopping_in_every_state(launch, how):
    """Row 15 of field-bugs: connecting, in TLS, in the WebSocket handshake, open, waiting to be
    tried again."""
    program = launch("client")
    with Driver(program) as client, listening() as (server, port), WebSockets(echo) as peer:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        blockers = [socket.socket() for _ in range(3)]
        for blocker in blockers:
            blocker.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                blocker.connect(full.getsockname())
        client.connect(f"tcp://127.0.0.1:{full.getsockname()[1]}")
        client.connect(f"tls://127.0.0.1:{port}", tls_insecure=1)
        client.connect(f"ws://127.0.0.1:{port}")
        name = client.connect(peer.url())
        client.expect(f"{name} open")
        name = client.connect(f"tcp://127.0.0.1:{free_port()}", retry_ms=60000)
        client.expect(f"{name} again")
        states = sorted(c["state"] for c in program.connections())
        assert states == ["handshake"] * 4 + ["open"] * 2
        server.accept()
        client.line.sock.close()
        began = time.monotonic()
        program.stop(*how)
        assert time.monotonic() - began < 8
        for one in (full, *blockers):
            one.close()
