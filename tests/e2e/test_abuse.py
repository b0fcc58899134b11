"""Bodies that fit into no memory, and clients that are slow on purpose. tests/soak has the same at
full size."""

import http.client
import shutil
import time

import pytest

import abuse
from clients import Http
from processes import PATIENCE
from program import BUILD

SIZE = 200 * abuse.MIB
# What memory may grow by: buffers of both sides, and what malloc keeps; a sanitizer keeps more.
SPARE = (40 if "asan" in BUILD.name else 8) * abuse.MIB


@pytest.fixture
def bulk(launch):
    return launch("bulk", env=abuse.FORGETFUL)


def test_a_large_upload_takes_no_memory(bulk):
    memory, _ = abuse.upload(bulk, SIZE)
    assert memory.grown < SPARE, str(memory)


def test_a_large_download_takes_no_memory(bulk):
    memory, _ = abuse.download(bulk, SIZE, slow_seconds=1)
    assert memory.grown < SPARE, str(memory)
    assert bulk.wait_empty()["messages_sent"] == 4, "three to warm up, and one however long"


def test_a_chunked_body_both_ways(bulk):
    client = http.client.HTTPConnection("127.0.0.1", bulk.ports["web"], timeout=60)
    parts = [abuse.ALPHABET * n for n in (1, 1000, 3, 50_000)]
    client.request("POST", "/count", iter(parts), encode_chunked=True,
                   headers={"Transfer-Encoding": "chunked"})
    whole = b"".join(parts)
    assert client.getresponse().read().split() == [b"%d" % len(whole), b"%d" % sum(whole)]
    client.request("GET", "/pour?bytes=3000000")
    answer = client.getresponse()
    assert answer.getheader("Transfer-Encoding") == "chunked"
    assert answer.read() == (abuse.ALPHABET * 120_000)[:3_000_000]
    client.close()


def test_a_reader_that_leaves_in_the_middle(bulk):
    """What it did not take is one message, lost once, and nothing of it stays."""
    with Http(bulk.connect("web")) as client:
        client.send(b"GET /pour?bytes=1000000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read(1_000_000)
        client.reset()
    totals = bulk.wait_empty()
    assert totals["send_fail"] == totals["messages_offered"] == 1
    assert totals["send_fail_by_reason"]["reset"] == 1
    assert totals["bytes_queued"] == 0


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is not installed")
@pytest.mark.parametrize("kind", list(abuse.ATTACKS))
def test_slow_clients_are_cut_off_and_disturb_nobody(launch, kind):
    connections = 50
    bulk = launch("bulk", env=abuse.FORGETFUL, sets={
        "web.handshake_timeout_ms": 500, "web.send_timeout_ms": 500})
    _, ends = abuse.attack(bulk, kind, connections, seconds=int(2 * PATIENCE))
    assert ends.get(abuse.ENDS[kind], 0) >= connections, ends


def test_a_body_that_comes_steadily_may_take_its_time(launch):
    """Slower than a handshake may be, but never slower than min_body_rate."""
    bulk = launch("bulk", sets={"web.handshake_timeout_ms": 1000, "web.min_body_rate": 100})
    with Http(bulk.connect("web")) as client:
        client.send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")
        for _ in range(30):
            client.send(b"x" * 300)
            time.sleep(0.1)
        assert client.read_response().body.startswith(b"9000 ")
