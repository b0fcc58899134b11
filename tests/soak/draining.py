"""A reload of four workers with 10,000 idle WebSockets: how long it takes, and how their goodbyes are
spread over the window."""

import selectors
import subprocess
import time

from wsclient import WebSocket, close_payload, frame, CLOSE

WORKERS, WINDOW_S = 4, 8
SLACK_S = 2


def connect_all(program, count):
    clients = []
    for _ in range(count):
        client = WebSocket(program.connect("room"))
        client.sock.setblocking(False)
        clients.append(client)
    return clients


def reload(program):
    return subprocess.Popen(
        [program.binary, "reload", "-g", "--run-dir", program.run_dir],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


def hear_farewells(clients, process):
    """When each close came, by seconds since the order; answered at once, as browsers do."""
    began, moments, hints = time.monotonic(), [], 0
    answer = frame(CLOSE, close_payload(1012))
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        while selector.get_map() and time.monotonic() - began < WINDOW_S * 3:
            for key, _ in selector.select(1):
                data = key.fileobj.recv(4096)
                selector.unregister(key.fileobj)
                assert data[0] == 0x88 and data[2:4] == (1012).to_bytes(2, "big"), data
                hints += b"retry-after-ms=" in data
                moments.append(time.monotonic() - began)
                key.fileobj.sendall(answer)
        assert process.wait(WINDOW_S * 3) == 0
    return moments, hints, time.monotonic() - began


def busiest_share(moments, parts):
    """Of so many equal parts of the time, the largest share of all that fell into one."""
    first, last = min(moments), max(moments)
    counts = [0] * parts
    for moment in moments:
        counts[min(int((moment - first) / max(last - first, 1e-9) * parts), parts - 1)] += 1
    return max(counts) / len(moments)
