"""The examples that pass bytes on (proxy, socks5, http_proxy) between real peers: curl, nginx, and
sockets that are slow, close one side, say nonsense, or leave."""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from certs import Authority
from peers import Peer, running
from processes import descriptor_count, memory_bytes, wait_until
from program import free_port

MIB = 1 << 20
BASIC = "Basic bWU6c2VjcmV0"  # me:secret

NGINX = """
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
    access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;
    fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    client_max_body_size 50m; default_type text/plain; sendfile on;
    ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};
    server {{
        listen 127.0.0.1:{plain}; listen [::1]:{plain}; listen 127.0.0.1:{tls} ssl;
        root {place}/www;
        location = /seen {{
            return 200 "$request_method|$http_host|$http_connection|$http_x_mine|$http_proxy_authorization|$http_proxy_connection|$args";
        }}
    }}
}}"""

LARGE = random.Random(1).randbytes(20 * MIB)


class Nginx:
    def __init__(self, place):
        self.authority = Authority(place)
        self.plain, self.tls = free_port(), free_port()
        pair = self.authority.issue(["localhost", "127.0.0.1"])
        (place / "www").mkdir()
        (place / "www" / "large").write_bytes(LARGE)
        (place / "www" / "small").write_text("what nginx has", "ascii")
        os.chmod(place, 0o755)
        self.config = place / "nginx.conf"
        self.config.write_text(
            NGINX.format(place=place, pair=pair, plain=self.plain, tls=self.tls), "ascii")
        self.command = ["nginx", "-c", str(self.config), "-e", f"{place}/error.log"]


@pytest.fixture(name="nginx", scope="module")
def make_nginx(tmp_path_factory):
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    nginx = Nginx(tmp_path_factory.mktemp("nginx"))
    with running(nginx.command, nginx.plain):
        yield nginx


def curl(*arguments):
    """Exit status, and what came."""
    done = subprocess.run(["curl", "-sS", "--noproxy", "", "--max-time", "30", *map(str, arguments)],
                          capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout


def checksum(data):
    return hashlib.sha256(data).hexdigest()


def no_descriptor_is_left(program, service, before):
    """Of connections; what is kept open for the next one are a few pipes."""
    program.wait_empty()
    wait_until(lambda: descriptor_count(program.pid(service)) <= before + 20, "descriptors back")


# ---- servers that are sockets -------------------------------------------------------------------


def read_all(sock, piece=65536):
    data = bytearray()
    while part := sock.recv(piece):
        data += part
    return bytes(data)


def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)


def answer_at_the_end(peer):
    """Read to the end of the stream, and only then answer."""
    data = read_all(peer)
    peer.sendall(b"%d bytes " % len(data) + checksum(data).encode())


def both_ways(sock, sent):
    """Send all of it while what comes is read; what came."""
    def send():
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    got = read_all(sock)
    sender.join(30)
    return got


def start_proxy(launch, *ports, **sets):
    upstreams = " ".join(f"tcp://127.0.0.1:{port}" for port in ports)
    return launch("proxy", sets={"app.upstreams": upstreams, **sets})


def tls_sets(pair):
    return {"proxy.tls_cert": pair.cert, "proxy.tls_key": pair.key}


# ---- proxy --------------------------------------------------------------------------------------


def test_proxy_before_nginx(launch, nginx):
    proxy = start_proxy(launch, nginx.plain)
    before = descriptor_count(proxy.pid("proxy"))
    url = f"http://127.0.0.1:{proxy.ports['proxy']}"
    assert curl(f"{url}/small") == (0, b"what nginx has")
    status, body = curl(f"{url}/large")
    assert status == 0 and checksum(body) == checksum(LARGE)
    no_descriptor_is_left(proxy, "proxy", before)
    totals = proxy.totals()
    assert totals["send_fail"] == 0 and totals["bytes_out"] > len(LARGE)


def test_proxy_ends_tls(launch, nginx):
    pair = nginx.authority.issue(["localhost", "127.0.0.1"])
    proxy = start_proxy(launch, nginx.plain, **tls_sets(pair))
    url = f"https://127.0.0.1:{proxy.ports['proxy']}"
    status, body = curl("--cacert", nginx.authority.ca(), f"{url}/large")
    assert status == 0 and checksum(body) == checksum(LARGE)
    assert curl("--cacert", nginx.authority.ca(), f"{url}/small") == (0, b"what nginx has")
    proxy.wait_empty()
    assert proxy.totals()["send_fail"] == 0


def test_proxy_begins_tls(launch, nginx):
    """The other way round: plain before, TLS behind, verified by nobody here."""
    proxy = launch("proxy", sets={"app.upstreams": f"tls://localhost:{nginx.tls}"})
    status, _ = curl(f"http://127.0.0.1:{proxy.ports['proxy']}/small")
    assert status != 0  # the authority is not one of the system's
    proxy.wait_output("certificate")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_proxy_20_mib_both_ways_at_once(launch, nginx, tls):
    pair = nginx.authority.issue(["127.0.0.1"])
    with Peer(echo) as peer:
        proxy = start_proxy(launch, peer.port, **(tls_sets(pair) if tls else {}))
        sock = proxy.connect("proxy")
        if tls:
            # One way after the other: Python's sockets take one thread at a time for TLS.
            context = ssl.create_default_context(cafile=nginx.authority.ca())
            with context.wrap_socket(sock, server_hostname="127.0.0.1") as sock:
                for at in range(0, len(LARGE), MIB // 2):
                    piece = LARGE[at:at + MIB // 2]
                    sock.sendall(piece)
                    got = b""
                    while len(got) < len(piece):
                        got += sock.recv(65536)
                    assert got == piece
        else:
            with sock:
                assert checksum(both_ways(sock, LARGE)) == checksum(LARGE)
        proxy.wait_empty()
        totals = proxy.totals()
        assert totals["bytes_in"] >= 2 * len(LARGE) and totals["send_fail"] == 0


def test_proxy_passes_half_a_close_on(launch):
    with Peer(answer_at_the_end) as peer:
        proxy = start_proxy(launch, peer.port)
        for sent in (b"", b"a little", LARGE):
            with proxy.connect("proxy") as sock:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b"%d bytes " % len(sent) + checksum(sent).encode()
        proxy.wait_empty()
        totals = proxy.totals()
        assert totals["closes_by_reason"]["peer"] == totals["connections_total"] == 6
        assert totals["send_fail"] == 0


def test_proxy_waits_for_a_slow_reader(launch):
    """20 MiB into one that does not read for a while: neither memory nor the far side takes them."""
    with Peer(lambda peer: peer.sendall(LARGE)) as peer:
        proxy = start_proxy(launch, peer.port)
        before = memory_bytes(proxy.pid("proxy"))
        with proxy.connect("proxy", receive_buffer=16384) as sock:
            proxy.wait_totals("something waits", lambda t: t["bytes_queued"] > 0)
            time.sleep(0.5)
            totals = proxy.totals()
            assert totals["bytes_queued"] <= MIB + 65536
            assert totals["bytes_in"] < len(LARGE)
            assert memory_bytes(proxy.pid("proxy")) < before + 4 * MIB
            assert checksum(read_all(sock, 30000)) == checksum(LARGE)
        proxy.wait_empty()
        assert proxy.totals()["send_fail"] == 0


def test_proxy_ends_both_when_one_breaks(launch):
    with Peer(lambda peer: peer.sendall(LARGE)) as peer:
        proxy = start_proxy(launch, peer.port)
        before = descriptor_count(proxy.pid("proxy"))
        for _ in range(10):
            sock = proxy.connect("proxy", receive_buffer=16384)
            sock.recv(1000)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        no_descriptor_is_left(proxy, "proxy", before)
        losses = proxy.totals()["send_fail_by_reason"]
        assert sum(losses.values()) == losses["reset"] + losses["closed"] + losses["aborted"]


def test_proxy_tells_a_reset_from_an_end(launch):
    """The far side breaks in the middle: that connection's end is a reset."""
    def break_off(peer):
        peer.recv(100)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with Peer(break_off) as peer:
        proxy = start_proxy(launch, peer.port)
        with proxy.connect("proxy") as sock:
            sock.sendall(b"hello")
            with contextlib.suppress(ConnectionResetError):
                assert read_all(sock) == b""
        proxy.wait_empty()
        assert proxy.totals()["closes_by_reason"]["reset"] == 1


def test_proxy_tries_the_next(launch):
    with Peer(echo) as one, Peer(echo) as two:
        proxy = start_proxy(launch, free_port(), one.port, free_port(), two.port)
        for _ in range(8):
            with proxy.connect("proxy") as sock:
                sock.sendall(b"anybody there?")
                assert sock.recv(100) == b"anybody there?"
        assert one.connections > 0 and two.connections > 0
        assert one.connections + two.connections == 8
        assert proxy.output().count("Connection refused") == 2  # they rest
        proxy.wait_empty()


def test_proxy_with_nobody_behind_it(launch):
    port = free_port()
    proxy = start_proxy(launch, free_port(), port)
    with contextlib.suppress(ConnectionResetError), proxy.connect("proxy") as sock:
        assert sock.recv(100) == b""
    proxy.wait_totals("it was there", lambda t: t["connections_total"] >= 1)
    proxy.wait_empty()
    with Peer(echo, port), proxy.connect("proxy") as sock:  # both rest: they are asked all the same
        sock.sendall(b"and now?")
        assert sock.recv(100) == b"and now?"
    proxy.wait_empty()


def test_proxy_drains(launch):
    """`stop -g` waits for what flows."""
    go_on = threading.Event()

    def slowly(peer):
        peer.sendall(LARGE[:MIB])
        go_on.wait(20)
        peer.sendall(LARGE[MIB:])

    with Peer(slowly) as peer:
        proxy = start_proxy(launch, peer.port)
        with proxy.connect("proxy") as sock:
            first = sock.recv(1000)
            stopping = subprocess.Popen(
                [str(proxy.binary), "stop", "-g", "--run-dir", str(proxy.run_dir)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            go_on.set()
            assert checksum(first + read_all(sock)) == checksum(LARGE)
        assert stopping.wait(20) == 0
        assert proxy.process.wait(15) == 0


@pytest.mark.one_engine
def test_proxy_without_upstreams_says_so(launch):
    proxy = launch("proxy", sets={"app.upstreams": " "}, start=False)
    proxy.may_fail = True
    proxy.spawn()
    assert proxy.process.wait(15) == 1
    assert "app.upstreams must be" in proxy.output()


# ---- socks5 -------------------------------------------------------------------------------------


@pytest.fixture(name="socks")
def make_socks(launch):
    return launch("socks5", sets={"app.user": "me", "app.password": "secret"})


def by_socks(socks, *arguments, who="me:secret@"):
    return curl("-x", f"socks5h://{who}127.0.0.1:{socks.ports['socks5']}", *arguments)


def test_socks5_with_curl(socks, nginx):
    before = descriptor_count(socks.pid("socks5"))
    assert by_socks(socks, f"http://127.0.0.1:{nginx.plain}/small") == (0, b"what nginx has")
    assert by_socks(socks, f"http://localhost:{nginx.plain}/small") == (0, b"what nginx has")
    assert by_socks(socks, f"http://[::1]:{nginx.plain}/small") == (0, b"what nginx has")
    status, body = by_socks(socks, "--cacert", nginx.authority.ca(),
                            f"https://localhost:{nginx.tls}/large")
    assert status == 0 and checksum(body) == checksum(LARGE)
    no_descriptor_is_left(socks, "socks5", before)
    assert socks.totals()["send_fail"] == 0


def test_socks5_refuses(socks, nginx):
    good = f"http://127.0.0.1:{nginx.plain}/small"
    assert by_socks(socks, good, who="me:wrong@")[0] == 97
    assert by_socks(socks, good, who="")[0] == 97
    assert by_socks(socks, f"http://127.0.0.1:{free_port()}/")[0] == 97
    assert by_socks(socks, "http://no.such.name.invalid/")[0] == 97
    assert by_socks(socks, good)[0] == 0
    socks.wait_empty()
    socks.lawful()
    assert "secret" not in socks.output() and "wrong" not in socks.output()


def request(host, port, command=1):
    return bytes([5, command, 0, 3, len(host)]) + host + struct.pack("!H", port)


LOGIN = b"\5\1\2\1\2me\6secret"


def test_socks5_in_pieces_and_all_at_once(socks):
    with Peer(echo) as peer:
        said = LOGIN + request(b"127.0.0.1", peer.port) + b"early words"
        due = b"\5\2\1\0\5\0\0\1\0\0\0\0\0\0early words"
        for piece in (len(said), 1, 3):
            with socks.connect("socks5") as sock:
                for at in range(0, len(said), piece):
                    sock.sendall(said[at:at + piece])
                    time.sleep(0.005 if piece < len(said) else 0)
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == due
        with socks.connect("socks5") as sock:  # more than is ever kept of a client's words
            early = LARGE[:60000]
            sock.sendall(said[:-11] + early)
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == due[:-11] + early
    socks.wait_empty()
    assert socks.totals()["send_fail"] == 0


@pytest.mark.parametrize("said, answer", [
    (b"\4\1\0\x50\x7f\0\0\1me\0", b""),                        # SOCKS4
    (b"\5\1\0", b"\5\xff"),                                    # no password offered
    (b"\5\0", b"\5\xff"),
    (b"\5\1\2\1\2me\6Secret", b"\5\2\1\1"),
    (b"\5\1\2\1\0\0", b"\5\2\1\1"),
    (LOGIN + request(b"127.0.0.1", 1, 2), b"\5\2\1\0\5\7\0\1\0\0\0\0\0\0"),
    (LOGIN + request(b"127.0.0.1", 1, 3), b"\5\2\1\0\5\7\0\1\0\0\0\0\0\0"),
    (LOGIN + request(b"127.0.0.1", 1), b"\5\2\1\0\5\5\0\1\0\0\0\0\0\0"),
    (LOGIN + request(b"not/a name", 1), b"\5\2\1\0\5\1\0\1\0\0\0\0\0\0"),
    (LOGIN + request(b"", 1), b"\5\2\1\0\5\1\0\1\0\0\0\0\0\0"),
    (LOGIN + request(b"127.0.0.1\n", 1), b"\5\2\1\0\5\1\0\1\0\0\0\0\0\0"),
    (LOGIN + b"\5\1\0\2abcdefgh", b"\5\2\1\0\5\x08\0\1\0\0\0\0\0\0"),
    (LOGIN + b"\7\1\0\1\x7f\0\0\1\0\1", b"\5\2\1\0\5\1\0\1\0\0\0\0\0\0"),
])
def test_socks5_says_what_is_wrong(socks, said, answer):
    with socks.connect("socks5") as sock:
        sock.sendall(said)
        assert read_all(sock) == answer
    socks.wait_empty()
    socks.lawful()


def test_socks5_does_not_wait_for_ever(launch):
    socks = launch("socks5", sets={"socks5.auth_timeout_ms": 300})
    with socks.connect("socks5") as silent, socks.connect("socks5") as halfway:
        halfway.sendall(b"\5\1\0")
        assert halfway.recv(100) == b"\5\0"
        for sock in (silent, halfway):
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
    socks.wait_empty()
    assert socks.totals()["closes_by_reason"]["handshake"] == 2


# ---- http_proxy ---------------------------------------------------------------------------------


@pytest.fixture(name="web")
def make_web(launch):
    return launch("http_proxy", sets={"app.authorization": BASIC})


def by_web(web, *arguments, who="me:secret@"):
    return curl("-x", f"http://{who}127.0.0.1:{web.ports['http_proxy']}", *arguments)


def test_http_proxy_with_curl(web, nginx):
    before = descriptor_count(web.pid("http_proxy"))
    for host in ("127.0.0.1", "localhost", "[::1]"):
        url = f"http://{host}:{nginx.plain}/small"
        assert by_web(web, url) == (0, b"what nginx has")
        assert by_web(web, "-p", url) == (0, b"what nginx has")
    status, body = by_web(web, "--cacert", nginx.authority.ca(),
                          f"https://localhost:{nginx.tls}/large")
    assert status == 0 and checksum(body) == checksum(LARGE)
    status, body = by_web(web, f"http://127.0.0.1:{nginx.plain}/large")
    assert status == 0 and checksum(body) == checksum(LARGE)
    no_descriptor_is_left(web, "http_proxy", before)
    assert web.totals()["send_fail"] == 0
    assert BASIC.split()[1] not in web.output()


def test_http_proxy_keeps_its_own_fields(web, nginx):
    host = f"127.0.0.1:{nginx.plain}"
    _, seen = by_web(web, "-H", "X-Mine: yes", "-H", "Host: another.example", f"http://{host}/seen?a=b")
    assert seen == f"GET|{host}|close|yes|||a=b".encode()
    _, seen = by_web(web, "-d", "x" * 100000, f"http://{host}/seen")
    assert seen.startswith(b"POST|")


def test_http_proxy_refuses(web, nginx):
    good = f"http://127.0.0.1:{nginx.plain}/small"
    code = ("-o", os.devnull, "-w", "%{http_code} %{http_connect}")
    assert by_web(web, *code, good, who="me:wrong@")[1] == b"407 000"
    assert by_web(web, *code, good, who="")[1] == b"407 000"
    assert by_web(web, *code, "-p", good, who="")[1] == b"000 407"
    assert by_web(web, *code, f"http://127.0.0.1:{free_port()}/")[1] == b"502 000"
    assert by_web(web, *code, "http://no.such.name.invalid/")[1] == b"502 000"
    assert by_web(web, *code, "-p", "http://no.such.name.invalid/")[1] == b"000 502"
    assert by_web(web, *code, good)[1] == b"200 000"
    web.wait_empty()
    web.lawful()


@pytest.mark.parametrize("said, status", [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    (b"GET ftp://a/ HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http:// HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http:///x HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http://a@b/ HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http://a:b/ HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http://[::1 HTTP/1.1\r\n\r\n", b"400"),
    (b"GET http://" + b"a" * 600 + b":1/ HTTP/1.1\r\n\r\n", b"400"),
    (b"CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n", b"400"),
    (b"CONNECT :1 HTTP/1.1\r\n\r\n", b"400"),
    (b"CONNECT 127.0.0.1:99999 HTTP/1.1\r\n\r\n", b"400"),
    (b"CONNECT\r\n\r\n", b"400"),
    (b"\r\n\r\n", b"400"),
    (b" http://127.0.0.1:1/ HTTP/1.1\r\nA: b\r\n c\r\n\r\n", b"400"),
    (b"GET http://127.0.0.1:1/ HTTP/1.1\r\nA: " + b"b" * 9000, b"431"),
    (b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n", b"502"),
])
def test_http_proxy_says_what_is_wrong(launch, said, status):
    web = launch("http_proxy")
    for piece in (len(said), 7):
        with web.connect("http_proxy") as sock:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for at in range(0, len(said), piece):
                    sock.sendall(said[at:at + piece])
            answer = read_all(sock)
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            assert answer.endswith(b"\r\n\r\n")
    web.wait_empty()
    web.lawful()


def test_http_proxy_early_words(launch):
    web = launch("http_proxy")
    with Peer(echo) as peer:
        for early in (b"early words", LARGE[:60000]):
            with web.connect("http_proxy") as sock:
                sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % peer.port + early)
                sock.shutdown(socket.SHUT_WR)
                head, _, got = read_all(sock).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200") and got == early
    web.wait_empty()
    assert web.totals()["send_fail"] == 0


def test_http_proxy_does_not_wait_for_ever(launch):
    web = launch("http_proxy", sets={"http_proxy.auth_timeout_ms": 300})
    with web.connect("http_proxy") as silent, web.connect("http_proxy") as halfway:
        halfway.sendall(b"CONNECT 127.0.0.1:1 HTT")
        for sock in (silent, halfway):
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
    web.wait_empty()
    assert web.totals()["closes_by_reason"]["handshake"] == 2


def test_a_client_that_leaves_before_the_far_side_answers(launch):
    """Its connection, and that which was being made for it, are both gone soon."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(4)]
    for one in fillers:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    time.sleep(0.1)
    web = launch("http_proxy", sets={"http_proxy.auth_timeout_ms": 1000})
    with web.connect("http_proxy") as sock:
        sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % full.getsockname()[1])
        web.wait_totals("it is connecting", lambda t: t["connections"] == 2)
    for one in fillers:
        one.close()
    full.close()
    web.wait_totals("both have ended", lambda t: t["connections"] == 0, 20)
    web.lawful()
