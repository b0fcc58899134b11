"""Outgoing connections by names and through proxies: what name servers and proxies do wrong, and that
none of it is waited for longer than it must be."""

import time

import pytest
from certs import Authority
from dns import NameServer
from driver import Driver
from processes import thread_count
from program import free_port
from proxies import Socks5, Tinyproxy
from test_connect import WebSockets, echo, server_context

NAMES = {
    "both.test": ["127.0.0.1", "::1"],
    "four.test": {"A": ["127.0.0.1"], "AAAA": "silent"},
    "alias.test": ["cname=both.test", "127.0.0.1"],
    "gone.test": "nxdomain",
    "broken.test": "servfail",
    "silent.test": "silent",
    "garbage.test": "garbage",
    "empty.test": [],
}


@pytest.fixture(name="server")
def name_server():
    with NameServer(NAMES) as server:
        yield server


@pytest.fixture(name="client")
def make_client(launch, server):
    with Driver(launch("client", sets={"crew.dns_servers": server.address})) as driver:
        yield driver


@pytest.mark.parametrize("host", ["both.test", "four.test", "alias.test"])
def test_names(client, host):
    with WebSockets(echo) as peer:
        began = time.monotonic()
        name = client.connect(peer.url(host=host))
        client.expect(f"{name} open")
        assert time.monotonic() - began < 3  # the family that is silent is not waited for
        assert client.tell(f"remote {name}") == f"ok 127.0.0.1:{peer.port}"


def test_names_that_lead_nowhere(client):
    for host in ("gone.test", "broken.test", "empty.test"):
        client.fails(f"tcp://{host}:1", host)


@pytest.mark.parametrize("host", ["silent.test", "garbage.test"])
def test_name_servers_that_do_not_answer(client, host):
    began = time.monotonic()
    client.fails(f"tcp://{host}:1", host, timeout_ms=700)
    assert 0.4 < time.monotonic() - began < 6


def test_a_name_that_comes_back(client, server):
    with WebSockets(echo) as peer:
        name = client.connect(peer.url(host="gone.test"), retry_ms=50, retry_most_ms=100)
        client.expect(f"{name} close handshake .*gone.test")
        server.names["gone.test"] = ["127.0.0.1"]
        client.expect(f"{name} open")


def test_many_names_at_once_need_one_thread(client):
    pid = client.program.pid("control")
    for i in range(20):
        client.connect("tcp://silent.test:1", name=f"n{i}", timeout_ms=1000)
    assert thread_count(pid) == 1
    for _ in range(20):
        client.expect("n[0-9]+ close handshake")


def test_socks5(client, server, tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue(["far.test"])
    with WebSockets(echo, ssl=server_context(pair)) as peer, \
            Socks5("me", "a:b@c/%", hosts={"far.test": "127.0.0.1"}) as proxy:
        url = peer.url("wss", "far.test")
        name = client.connect(url, proxy=proxy.url("me:a%3Ab%40c%2F%25@"), tls_ca=authority.ca())
        client.expect(f"{name} open - TLS")
        client.tell(f"large {name} 100000")
        client.expect(f"{name} text #100000")
        assert proxy.asked == [("far.test", peer.port)]  # the proxy resolves it
        assert not [asked for asked in server.asked if asked[0] == "far.test"]
        client.fails(url, "proxy", proxy=proxy.url("me:wrong@"), tls_ca=authority.ca())
        client.fails(url, "proxy", proxy=proxy.url(), tls_ca=authority.ca())
    assert "a:b@c" not in client.program.output() and "wrong" not in client.program.output()


@pytest.mark.parametrize("answer", [
    b"\x05\x01\x00\x01\0\0\0\0\0\0", b"\x05\x04\x00\x01\0\0\0\0\0\0", b"\x04garbage", b"",
])
def test_socks5_that_refuses(client, answer):
    with Socks5(answer=answer) as proxy:
        client.fails("tcp://far.test:1", "proxy", proxy=proxy.url(), timeout_ms=3000)


def test_connect_method(client, tmp_path):
    with WebSockets(echo) as peer, Tinyproxy(tmp_path, "me", "secret") as proxy:
        name = client.connect(peer.url(), proxy=proxy.url("me:secret@"))
        client.expect(f"{name} open")
        client.tell(f"send {name} hello")
        client.expect(f"{name} text hello")
        client.fails(peer.url(), "401", proxy=proxy.url("me:wrong@"))  # as tinyproxy says it
        client.fails(f"ws://127.0.0.1:{free_port()}", "50", proxy=proxy.url("me:secret@"))


def test_a_proxy_that_is_not_there(client):
    client.fails("tcp://far.test:1", "127.0.0.1", proxy=f"socks5://127.0.0.1:{free_port()}")
    client.fails("tcp://far.test:1", "gone.test", proxy="http://gone.test:3128")
