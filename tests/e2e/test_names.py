"""Connections that a program opens by name: through a name server that fails in every way, through
dnsmasq, with both address families, and through proxies that resolve the name themselves."""

import contextlib
import socket
import threading
import time

import pytest
from dns import Dnsmasq, NameServer
from driver import Driver
from processes import thread_count
from proxies import Socks5, Tinyproxy

NAMES = {
    "feed.test": ["127.0.0.1", "::1"],
    "four.test": ["127.0.0.1"],
    "alias.test": ["cname=other.test", "127.0.0.1"],
    "late6.test": {"A": ["127.0.0.1"], "AAAA": (["::1"], 0.5)},
    "deaf6.test": {"A": ["127.0.0.1"], "AAAA": "silent"},
    "fail6.test": {"A": ["127.0.0.1"], "AAAA": "servfail"},
    "long.test": "truncated 127.0.0.1",
    "forged.test": "forged 127.0.0.1",
    "failing.test": "servfail",
    "empty.test": [],
    "deaf.test": "silent",
    "garbage.test": "garbage",
}


@pytest.fixture(name="names", scope="module")
def make_names():
    with NameServer(NAMES) as server:
        yield server


@pytest.fixture(name="client")
def make_client(launch, names):
    with Driver(launch("client", sets={"crew.dns_servers": names.address})) as driver:
        yield driver


class Echo:
    """Echoes on one port of 127.0.0.1, and of ::1 where `six`."""

    def __init__(self, six=False):
        self.servers = [socket.create_server(("127.0.0.1", 0))]
        self.port = self.servers[0].getsockname()[1]
        if six:
            self.servers.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        self.threads = [threading.Thread(target=self.serve, args=(server,), daemon=True)
                        for server in self.servers]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for server in self.servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()

    def serve(self, server):
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(peer,), daemon=True).start()

    @staticmethod
    def echo(peer):
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                peer.sendall(data)


def check_echo(client, url, **options):
    name = client.connect(url, **options)
    client.expect(f"{name} open")
    client.tell(f"send {name} there and back")
    client.expect(f"{name} text there and back")
    return name


def check_fails(client, url, why, **options):
    name = client.connect(url, **options)
    client.expect(rf"{name} close \S+ .*{why}")


@pytest.mark.parametrize("host", ["feed.test", "four.test", "alias.test", "late6.test",
                                  "deaf6.test", "fail6.test", "long.test", "forged.test", "localhost"])
def test_names_lead_there(client, host):
    with Echo() as echo:
        began = time.monotonic()
        name = check_echo(client, f"text://{host}:{echo.port}")
        assert time.monotonic() - began < 3
        assert client.tell(f"remote {name}") == f"ok 127.0.0.1:{echo.port}"


def test_ipv6_is_preferred(client):
    with Echo(six=True) as echo:
        name = check_echo(client, f"text://feed.test:{echo.port}")
        assert client.tell(f"remote {name}") == f"ok [::1]:{echo.port}"


@pytest.mark.parametrize("host, why", [
    ("nowhere.test", "cannot resolve nowhere.test: no such name"),
    ("empty.test", "cannot resolve empty.test: it has no address"),
    ("failing.test", "cannot resolve failing.test: the name servers failed"),
    ("deaf.test", "cannot resolve deaf.test: the name servers do not answer"),
    ("garbage.test", "cannot resolve garbage.test: the name servers"),
])
def test_names_that_lead_nowhere(client, host, why):
    began = time.monotonic()
    check_fails(client, f"tcp://{host}:9", why, timeout_ms=1500)
    assert time.monotonic() - began < 4


def test_many_names_at_once_and_no_thread(client, names):
    with Echo() as echo:
        wanted = [client.connect(f"text://{host}:{echo.port}", timeout_ms=3000)
                  for host in ("feed.test", "deaf6.test", "late6.test", "deaf.test") * 5]
        told = {client.expect(r"(\w+) (open|close)")[1] for _ in wanted}
        assert told == set(wanted)
        pid = client.program.pid("control")
        assert thread_count(pid) == 1
    assert ("deaf.test", "AAAA", "udp") in names.asked


@pytest.mark.skipif(Dnsmasq.why_not() is not None, reason=str(Dnsmasq.why_not()))
def test_dnsmasq(launch):
    hosts = {"feed.test": "127.0.0.1,::1", "four.test": "127.0.0.1"}
    with Dnsmasq(hosts, "--cname=alias.test,four.test") as server, Echo() as echo, \
            Driver(launch("client", sets={"crew.dns_servers": server.address})) as client:
        for host in ("feed.test", "four.test", "alias.test"):
            check_echo(client, f"text://{host}:{echo.port}")
        check_fails(client, f"tcp://unknown.test:{echo.port}", "no such name")
        check_fails(client, f"tcp://elsewhere.example:{echo.port}", "cannot resolve")


@pytest.mark.one_engine
def test_bad_servers_are_told(launch):
    program = launch("client", start=False)
    done = program.cli("configtest", "--set", "crew.dns_servers=localhost")
    assert done.returncode == 1
    assert "crew.dns_servers = localhost: this is no list of name servers" in done.stderr


# ---- proxies ------------------------------------------------------------------------------------


def test_socks5_resolves_the_name(client, names):
    with Echo() as echo, Socks5("me", "p@ss:word", hosts={"far.example": "127.0.0.1"}) as proxy:
        url = f"text://far.example:{echo.port}"
        check_echo(client, url, proxy=proxy.url("me:p%40ss%3aword@"))
        assert proxy.asked == [("far.example", echo.port)]
        assert proxy.logins == [("me", "p@ss:word")]
        assert not [one for one in names.asked if one[0] == "far.example"]
        check_fails(client, url, "does not take this user and password",
                    proxy=proxy.url("me:wrong@"))
        check_fails(client, url, "wants to know who we are", proxy=proxy.url())


def test_socks5_refusals(client):
    with Socks5(answer=b"\x05\x02\x00\x01\0\0\0\0\0\0") as proxy:
        check_fails(client, "tcp://far.example:1", "has rules that do not allow this connection",
                    proxy=proxy.url())
    with Socks5(answer=b"") as proxy:
        check_fails(client, "tcp://far.example:1", "closed the connection", proxy=proxy.url())


@pytest.mark.skipif(Tinyproxy.why_not() is not None, reason=str(Tinyproxy.why_not()))
def test_http_connect(client, tmp_path):
    with Echo() as echo, Tinyproxy(tmp_path, "me", "secret") as proxy:
        url = f"text://127.0.0.1:{echo.port}"
        check_echo(client, url, proxy=proxy.url("me:secret@"))
        check_fails(client, url, "answers 40[17]", proxy=proxy.url("me:wrong@"))
        check_fails(client, url, "answers 407 .*write USER:PASSWORD@", proxy=proxy.url())
        with contextlib.closing(socket.socket()) as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            check_fails(client, f"tcp://127.0.0.1:{port}", "answers 50[0-9]",
                        proxy=proxy.url("me:secret@"))


def test_a_proxy_that_is_not_there(client):
    check_fails(client, "tcp://far.example:1",
                "cannot resolve the proxy nowhere.test: no such name",
                proxy="socks5://nowhere.test:1080")
