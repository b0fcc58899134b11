"""How long a program takes to serve: from its exec to the first byte of the first answer, with one
worker. Beside it: when one can connect, and how long `version` takes, which is mostly what loading the
program and its libraries takes; a start does that twice, once for the worker."""
import contextlib
import shutil
import signal
import socket
import statistics
import subprocess
import time

from servers import Failed, Server

TIMES = 41
PATIENCE_S = 10
PAUSE_S = 0.0002
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


def connect(port, process, began):
    """A connection, as soon as there can be one."""
    while time.monotonic() - began < PATIENCE_S and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        time.sleep(PAUSE_S)
    raise Failed("the program does not listen")


def start_once(program, directory, port):
    """Milliseconds until somebody could connect, and until the answer."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    command = [program, "start", "--run-dir", directory, "--set",
               f"web.listen=http://127.0.0.1:{port}", "--set", "web.workers=1"]
    began = time.monotonic()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            with connect(port, process, began) as client:
                connected = time.monotonic()
                client.sendall(REQUEST)
                answer = client.recv(4096)
                answered = time.monotonic()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"the first answer is {answer[:40]!r}")
    return (connected - began) * 1e3, (answered - began) * 1e3


def version_once(program):
    began = time.monotonic()
    subprocess.run([str(program), "version"], stdout=subprocess.DEVNULL, check=True)
    return (time.monotonic() - began) * 1e3


def measure(build):
    program = build / "examples" / "hello"
    directory = build / "bench" / "run" / "start"
    pairs, alone = [], []
    for _ in range(TIMES):
        port, Server.next_port = Server.next_port, Server.next_port + 10
        pairs.append(start_once(program, directory, port))
        alone.append(version_once(program))
    connected, answered = zip(*pairs)
    return {"version_ms": statistics.median(alone), "connected_ms": statistics.median(connected),
            "answered_ms": statistics.median(answered), "slowest_ms": max(answered)}


def rows(result, most, verdict):
    return [
        ["version: the program and its libraries", f"{result['version_ms']:.1f}", "", ""],
        ["start, until one can connect", f"{result['connected_ms']:.1f}", "", ""],
        ["start, until the first answer", f"{result['answered_ms']:.1f}", f"<= {most}",
         verdict(result["answered_ms"] <= most)],
        ["    the slowest", f"{result['slowest_ms']:.1f}", "", ""],
    ]
