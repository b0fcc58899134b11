"""Requests of the program's own against real peers: nginx with and without TLS, crew itself, proxies,
name servers that answer in every way; and that no thread, descriptor or memory is left."""

import contextlib
import os
import re
import socket
import struct
import threading
import time

import pytest
from certs import Authority
from driver import Driver
from peers import running
from processes import thread_count, wait_until
from program import free_port

NGINX = """
daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
    access_log {place}/access.log; client_body_temp_path {place}/b; proxy_temp_path {place}/p;
    fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
    gzip on; gzip_types text/plain; gzip_min_length 100; default_type text/plain;
    client_max_body_size 10m; large_client_header_buffers 4 16k;
    ssl_certificate {pair.cert}; ssl_certificate_key {pair.key}; ssl_client_certificate {ca};
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2;
        ssl_verify_client optional;
        root {place}/www;
        location = /connection {{ return 200 "$connection"; }}
        location = /who {{ return 200 "$ssl_client_s_dn $server_protocol $http_user_agent"; }}
        location = /secret {{ return 200 "$http_cookie|$http_authorization"; }}
        location = /there {{ return 302 /text; }}
        location = /away {{ return 307 http://other.example:{plain}/secret; }}
        location = /up {{ return 301 https://127.0.0.1:{tls}/text; }}
        location = /down {{ return 301 http://127.0.0.1:{plain}/text; }}
        location = /round {{ return 302 /round; }}
        location = /limit {{ limit_rate 20k; alias {place}/www/text; }}
        location /put {{ proxy_pass http://127.0.0.1:{plain}/swallow; }}
        location /swallow {{ return 200 "$content_length"; }}
    }}
}}"""

TEXT = b"".join(b"line %d of what is fetched\n" % i for i in range(8000))


def fnv(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return f"{value:08x}"


TEXT_SUM = fnv(TEXT)


@pytest.fixture(name="authority", scope="module")
def make_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


class Nginx:
    def __init__(self, place, pair, ca):
        self.place, self.plain, self.tls = place, free_port(), free_port()
        (place / "www").mkdir()
        (place / "www" / "text").write_bytes(TEXT)
        config = place / "nginx.conf"
        config.write_text(NGINX.format(place=place, pair=pair, ca=ca, plain=self.plain, tls=self.tls))
        self.command = ["nginx", "-c", str(config), "-e", f"{place}/error.log"]

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.plain}{path}"

    def tls_url(self, path, host="127.0.0.1"):
        return f"https://{host}:{self.tls}{path}"


@pytest.fixture(name="nginx", scope="module")
def make_nginx(tmp_path_factory, authority):
    pair = authority.issue(["127.0.0.1", "good.example"])
    nginx = Nginx(tmp_path_factory.mktemp("nginx"), pair, authority.ca())
    with running(nginx.command, nginx.plain):
        yield nginx


def look(program):
    """How many tasks and descriptors the worker has."""
    pid = program.pid("control")
    return thread_count(pid), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture(name="fetch")
def make_fetch(launch):
    program = launch("fetch")
    with Driver(program) as driver:
        yield driver
    assert look(program)[0] == 1, "a thread was made"


def ask(fetch, url, **options):
    """What was told of a request: a match of done or failed."""
    name = fetch.connect(url, **options)
    return fetch.expect(rf"{name} (done (\d+) (\d+) (\d+) (\w+) ?(.*)|failed (\w+) (.*))")


def body(fetch, url, **options):
    told = ask(fetch, url, **options)
    assert told.group(2) == "200", told.group(0)
    return told.group(6)


def fails(fetch, url, error, words="", **options):
    told = ask(fetch, url, **options)
    assert told.group(7) == error and words in told.group(8), told.group(0)


# ---- nginx --------------------------------------------------------------------------------------


def test_a_file_plain_and_compressed_and_in_parts(fetch, nginx):
    for options in ({}, {"as_is": 1}, {"parts": 1}):
        told = ask(fetch, nginx.url("/text"), **options)
        assert (told.group(2), told.group(4), told.group(5)) == ("200", str(len(TEXT)), TEXT_SUM)
    name = fetch.connect(nginx.url("/text"))
    fetch.expect(f"{name} done 200")
    assert fetch.tell(f"header {name} content-encoding") == "ok gzip"


def test_a_connection_is_kept(fetch, nginx):
    first = body(fetch, nginx.url("/connection"))
    assert all(body(fetch, nginx.url("/connection")) == first for _ in range(10))


def test_heads_and_bodies_that_go(fetch, nginx, tmp_path):
    (tmp_path / "up").write_bytes(b"u" * 300000)
    assert body(fetch, nginx.url("/put"), method="POST", body="abc") == "3"
    assert body(fetch, nginx.url("/put"), body_file=tmp_path / "up") == "300000"
    assert body(fetch, nginx.url("/put"), upload=200000) == "200000"
    assert body(fetch, nginx.url("/put"), upload=200000, upload_size=200000) == "200000"
    told = ask(fetch, nginx.url("/text"), method="HEAD")
    assert (told.group(2), told.group(4)) == ("200", "0")
    assert ask(fetch, nginx.url("/none")).group(2) == "404"


def test_redirects(fetch, nginx, authority):
    told = ask(fetch, nginx.url("/there"))
    assert told.group(2, 3, 5) == ("200", "1", TEXT_SUM)
    told = ask(fetch, nginx.url("/up"), tls_ca=authority.ca())
    assert told.group(2, 3, 5) == ("200", "1", TEXT_SUM)
    fails(fetch, nginx.tls_url("/down"), "EPROTO", "https to http", tls_ca=authority.ca())
    fails(fetch, nginx.url("/round"), "EPROTO", "too often")
    assert ask(fetch, nginx.url("/round"), redirects=-1).group(2) == "302"


def test_tls(fetch, nginx, authority, tmp_path_factory):
    ca = authority.ca()
    assert body(fetch, nginx.tls_url("/who"), tls_ca=ca).startswith(" HTTP/1.1 crew/")
    own = authority.issue(["me"], client=True)
    assert body(fetch, nginx.tls_url("/who"), tls_ca=ca, tls_cert=own.cert,
                tls_key=own.key).startswith("CN=me ")
    # A connection that was made with a certificate is not used without one.
    assert body(fetch, nginx.tls_url("/who"), tls_ca=ca).startswith(" HTTP/1.1")
    fails(fetch, nginx.tls_url("/who"), "EACCES")
    fails(fetch, nginx.tls_url("/who", "localhost"), "EACCES", tls_ca=ca)
    assert body(fetch, nginx.tls_url("/who"), tls_insecure=1).startswith(" HTTP/1.1")
    # Nor is one that was not verified used where that is asked for.
    fails(fetch, nginx.tls_url("/who"), "EACCES")
    other = Authority(tmp_path_factory.mktemp("other"), "other authority")
    fails(fetch, nginx.tls_url("/who"), "EACCES", tls_ca=other.ca())
    fails(fetch, nginx.tls_url("/who"), "EACCES", tls_ca="/nonexistent")
    assert ask(fetch, f"https://127.0.0.1:{nginx.plain}/who").group(7) == "EIO"


def test_limits_and_time(fetch, nginx):
    fails(fetch, nginx.url("/text"), "EMSGSIZE", "max_body", max_body=len(TEXT) - 1)
    assert ask(fetch, nginx.url("/text"), max_body=len(TEXT)).group(5) == TEXT_SUM
    began = time.monotonic()
    fails(fetch, nginx.url("/limit"), "ETIMEDOUT", "500 ms", timeout_ms=500, as_is=1)
    assert time.monotonic() - began < 5
    name = fetch.connect(nginx.url("/limit"), as_is=1)
    assert fetch.tell(f"stop {name}") == "ok"
    fetch.expect(f"{name} failed ECANCELED")


def test_many_at_once_and_what_is_left(fetch, nginx, authority):
    program = fetch.program
    body(fetch, nginx.tls_url("/connection"), tls_ca=authority.ca())
    for _ in range(3):
        names = {fetch.connect(nginx.url("/text")) for _ in range(100)}
        names |= {fetch.connect(nginx.tls_url("/text"), tls_ca=authority.ca()) for _ in range(50)}
        while names:
            names.remove(fetch.expect(rf"(\w+) done 200 0 {len(TEXT)} {TEXT_SUM}").group(1))
    tasks, descriptors = look(program)
    assert tasks == 1
    assert descriptors < 60  # at most eight connections to each of two servers are kept
    assert fetch.tell("under") == "ok 0"
    totals = program.totals()
    assert (totals["fetches"], totals["fetch_failed"], totals["fetching"]) == (451, 0, 0)


def test_the_environment_says_nothing(launch, nginx):
    """Neither proxies nor a .netrc of the user's."""
    env = {"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1",
           "no_proxy": "nowhere"}
    with Driver(launch("fetch", env=env)) as fetch:
        assert ask(fetch, nginx.url("/text")).group(2) == "200"


# ---- proxies ------------------------------------------------------------------------------------


def test_tinyproxy(fetch, nginx, authority, tmp_path):
    port, ca = free_port(), authority.ca()
    (tmp_path / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 30\nLogLevel Connect\nBasicAuth user secret\n"
        f"MaxClients 20\nLogFile \"{tmp_path}/log\"\n"
    )
    with running(["tinyproxy", "-d", "-c", f"{tmp_path}/tinyproxy.conf"], port):
        proxy = f"http://user:secret@127.0.0.1:{port}"
        assert ask(fetch, nginx.url("/text"), proxy=proxy).group(5) == TEXT_SUM
        for _ in range(2):
            told = ask(fetch, nginx.tls_url("/text"), proxy=proxy, tls_ca=ca)
            assert told.group(2, 5) == ("200", TEXT_SUM)
        # What is for the server is not told to the proxy.
        told = body(fetch, nginx.tls_url("/secret"), proxy=proxy, tls_ca=ca,
                    header="Authorization:mine")
        assert told == "|mine"
        without = f"http://127.0.0.1:{port}"
        assert ask(fetch, nginx.url("/text"), proxy=without).group(2) == "407"
        fails(fetch, nginx.tls_url("/text"), "EIO", "407", proxy=without, tls_ca=ca)
        assert "mine" not in (tmp_path / "log").read_text()
    assert "secret" not in fetch.program.output()
    fails(fetch, nginx.url("/text"), "ECONNREFUSED", proxy=proxy)


def socks5(peer, user, to):
    """A SOCKS5 server for one client, which must ask for `to` and get to a port of this machine."""
    greeting = peer.recv(16)
    assert greeting[0] == 5 and 2 in greeting[2:]
    peer.sendall(b"\x05\x02")
    assert peer.recv(512) == b"\x01" + user
    peer.sendall(b"\x01\x00")
    request = peer.recv(512)
    assert request[:4] == b"\x05\x01\x00\x03", request
    name = request[5:5 + request[4]]
    port = int.from_bytes(request[-2:], "big")
    assert name == to
    peer.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
    return port


def pass_on(a, b):
    with contextlib.suppress(OSError):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)


def test_socks5_resolves_there(fetch, nginx):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(15)
        proxy = f"socks5://me:pass@127.0.0.1:{server.getsockname()[1]}"
        name = fetch.connect(nginx.url("/text", "far.example"), proxy=proxy)
        peer, _ = server.accept()
        port = socks5(peer, b"\x02me\x04pass", b"far.example")
        with socket.create_connection(("127.0.0.1", port)) as there:
            back = threading.Thread(target=pass_on, args=(there, peer), daemon=True)
            back.start()
            forth = threading.Thread(target=pass_on, args=(peer, there), daemon=True)
            forth.start()
            fetch.expect(rf"{name} done 200 0 \d+ {TEXT_SUM}")
        peer.close()


# ---- names --------------------------------------------------------------------------------------


class Names(threading.Thread):
    """A name server. `names`: {name: (ttl, [addresses])}; an error code instead of a tuple, or None:
    no answer. `asked` counts the questions for each name."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.names, self.asked = names, {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.server = f"127.0.0.1:{self.sock.getsockname()[1]}"

    @staticmethod
    def question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += query[at] + 1
        return ".".join(labels).lower(), int.from_bytes(query[at + 1:at + 3], "big"), query[12:at + 5]

    def answer(self, query):
        name, kind, question = self.question(query)
        self.asked[name] = self.asked.get(name, 0) + 1
        known = self.names.get(name, 3)
        if known is None:
            return None
        if isinstance(known, int):
            return query[:2] + struct.pack(">HHHHH", 0x8180 | known, 1, 0, 0, 0) + question
        ttl, addresses = known
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        records = b""
        count = 0
        for address in addresses if family else []:
            with contextlib.suppress(OSError):
                data = socket.inet_pton(family, address)
                records += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
                count += 1
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, count, 0, 0) + question + records

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.sock.recvfrom(4096)
                answer = self.answer(query)
                if answer:
                    self.sock.sendto(answer, peer)


@pytest.fixture(name="names")
def make_names():
    names = Names({
        "good.example": (60, ["127.0.0.1"]),
        "other.example": (60, ["127.0.0.1"]),
        "short.example": (1, ["127.0.0.1"]),
        "never.example": (0, ["127.0.0.1"]),
        "both.example": (60, ["::1", "127.0.0.1"]),
        "empty.example": (60, []),
        "broken.example": 2,
        "refused.example": 5,
        "mute.example": None,
        "moves.example": (60, ["127.0.0.2"]),
        "xn--bcher-kva.example": (60, ["127.0.0.1"]),
    })
    names.start()
    yield names
    names.sock.close()


@pytest.fixture(name="named")
def make_named(launch, names):
    program = launch("fetch", sets={"crew.dns_servers": names.server})
    with Driver(program) as driver:
        yield driver
    assert look(program)[0] == 1, "a thread was made"


def test_names_are_asked_for_as_long_as_they_say(named, names, nginx, authority):
    def get(host):
        assert body(named, nginx.url("/connection", host), header="Connection-Test:1")
        return names.asked.get(host, 0)

    first = get("good.example")
    assert first > 0
    assert get("good.example") == first and get("GOOD.example") == 0
    assert names.asked["good.example"] == first
    assert get("never.example") < get("never.example")
    first = get("short.example")
    time.sleep(1.2)
    assert get("short.example") > first
    assert body(named, nginx.tls_url("/who", "good.example"), tls_ca=authority.ca())
    fails(named, nginx.tls_url("/who", "other.example"), "EACCES", tls_ca=authority.ca())


def test_the_family_that_does_not_answer(named, nginx):
    """nginx listens on IPv4 only."""
    assert ask(named, nginx.url("/text", "both.example")).group(5) == TEXT_SUM


def test_names_in_other_forms(named, nginx):
    for host in ("xn--bcher-kva.example", "XN--BCHER-KVA.example", "good.example."):
        assert ask(named, nginx.url("/text", host)).group(5) == TEXT_SUM


def test_names_that_lead_nowhere(named, nginx):
    fails(named, nginx.url("/", "none.example"), "ENOENT", "none.example")
    fails(named, nginx.url("/", "empty.example"), "ENOENT", "empty.example")
    fails(named, nginx.url("/", "broken.example"), "EIO", "broken.example", timeout_ms=15000)
    began = time.monotonic()
    fails(named, nginx.url("/", "mute.example"), "ETIMEDOUT", "mute.example",
          connect_timeout_ms=400)
    fails(named, nginx.url("/", "mute.example"), "ETIMEDOUT", "", timeout_ms=400)
    assert time.monotonic() - began < 5
    name = named.connect(nginx.url("/", "mute.example"))
    assert named.tell(f"stop {name}") == "ok"
    named.expect(f"{name} failed ECANCELED")


def test_an_address_that_is_no_good_is_forgotten(named, names, nginx):
    fails(named, nginx.url("/", "moves.example"), "ECONNREFUSED")
    names.names["moves.example"] = (60, ["127.0.0.1"])
    assert ask(named, nginx.url("/text", "moves.example")).group(5) == TEXT_SUM


def test_a_redirect_to_another_host(named, names, nginx):
    """Its name is asked for, and it does not learn what was meant for the first."""
    told = ask(named, nginx.url("/away"), header=["Cookie:s=1", "Authorization:x"])
    assert told.group(2, 3, 6) == ("200", "1", "|")
    assert names.asked["other.example"] > 0
    assert body(named, nginx.url("/secret"), header=["Cookie:s=1", "Authorization:x"]) == "s=1|x"


def test_a_proxy_that_has_a_name(named, names, nginx, tmp_path):
    port = free_port()
    (tmp_path / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 30\nLogLevel Error\n"
        f"LogFile \"{tmp_path}/log\"\n"
    )
    with running(["tinyproxy", "-d", "-c", f"{tmp_path}/tinyproxy.conf"], port):
        proxy = f"http://good.example:{port}"
        assert ask(named, nginx.url("/text"), proxy=proxy).group(5) == TEXT_SUM
    assert names.asked["good.example"] > 0
    fails(named, nginx.url("/text"), "ENOENT", "none.example", proxy="http://none.example:3128")


# ---- crew itself, and ends ----------------------------------------------------------------------


def test_crew_on_both_sides(launch, fetch):
    web = launch("web")
    url = f"http://127.0.0.1:{web.ports['web']}"
    assert body(fetch, f"{url}/now") == "now"
    assert body(fetch, f"{url}/late?100") == "late"
    assert ask(fetch, f"{url}/big?300000").group(4) == "300000"
    assert ask(fetch, f"{url}/status?503").group(2) == "503"
    fails(fetch, f"{url}/never", "ETIMEDOUT", timeout_ms=300)
    assert body(fetch, f"{url}/close") is not None
    assert body(fetch, f"{url}/now") == "now"


def test_what_is_refused(fetch):
    def refused(words):
        return fetch.tell(f"connect x {words}")

    assert refused("ftp://127.0.0.1/") == "error EINVAL"
    assert refused("http://127.0.0.1/ header=A:b\rC:d") == "error EINVAL"
    assert refused("http://127.0.0.1/ body_file=/nonexistent") == "error ENOENT"
    assert refused("http://127.0.0.1/ proxy=socks4://127.0.0.1:1") == "error EINVAL"
    wait_until(lambda: re.search(r"crew_fetch: .*/nonexistent", fetch.program.output()),
               "the log says which file")


@pytest.mark.parametrize("how", [[], ["-g"]])
def test_a_stop_waits_and_then_does_not(launch, how):
    """For an answer that comes within the window; one that never comes is given up at its end."""
    web = launch("web")
    program = launch("fetch", sets={"control.stop_timeout_ms": 600, "control.drain_timeout_ms": 600})
    with Driver(program) as fetch:
        fetch.connect(f"http://127.0.0.1:{web.ports['web']}/never")
        wait_until(lambda: program.totals()["fetching"] == 1, "a request is under way")
        began = time.monotonic()
    program.stop(*how)
    assert time.monotonic() - began < 15
    assert not program.running()
