"""Servers that a program under test talks to: programs of others, and a socket with a function
behind it."""

import contextlib
import socket
import subprocess
import threading

from processes import wait_until


@contextlib.contextmanager
def running(command, port, **how):
    """A server's process, until its port answers."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)

    def answers():
        assert process.poll() is None, process.stdout.read()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    try:
        wait_until(answers, f"{command[0]} answers")
        yield process
    finally:
        process.terminate()
        process.wait(15)
        process.stdout.close()


class Peer:
    """A server of one connection after another, each given to `serve(socket)` in a thread."""

    def __init__(self, serve, port=0):
        self.serve = serve
        self.server = socket.create_server(("127.0.0.1", port))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.connections = 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(5)

    def accept(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.run, args=(peer,), daemon=True).start()

    def run(self, peer):
        with peer, contextlib.suppress(OSError):
            self.serve(peer)
