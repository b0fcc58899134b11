"""Proxies for tests: a SOCKS5 server of our own, which fails on command, and Debian's tinyproxy."""

import contextlib
import shutil
import socket
import struct
import threading

from peers import Peer, running
from program import free_port

SOCKS_OK = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise ConnectionError("it has gone")
        data += part
    return data


def pump(source, target):
    """Bytes one way until their end, which is handed on."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def relay(one, other):
    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()


class Socks5(Peer):
    """RFC 1928 and 1929. `user` and `password`: whom it lets in. `hosts`: where names lead, instead of
    what the system says: {"far.example": "127.0.0.1"}. `answer`: what it says instead of connecting.
    `asked` has each (host, port) that was wanted, `logins` each (user, password) that was shown."""

    def __init__(self, user=None, password="", hosts=None, answer=None):
        self.login = (user, password) if user is not None else None
        self.hosts, self.answer = hosts or {}, answer
        self.asked, self.logins = [], []
        super().__init__(self.serve_one)

    def url(self, who=""):
        return f"socks5://{who}127.0.0.1:{self.port}"

    def serve_one(self, peer):
        if self.let_in(peer):
            self.connect(peer)

    def let_in(self, peer):
        version, count = read_exactly(peer, 2)
        methods = read_exactly(peer, count)
        wanted = 2 if self.login else 0
        if version != 5 or wanted not in methods:
            peer.sendall(b"\x05\xff")
            return False
        peer.sendall(bytes([5, wanted]))
        if not self.login:
            return True
        words = []
        read_exactly(peer, 1)
        for _ in range(2):
            size, = read_exactly(peer, 1)
            words.append(read_exactly(peer, size).decode())
        self.logins.append(tuple(words))
        good = tuple(words) == self.login
        peer.sendall(b"\x01\x00" if good else b"\x01\x01")
        return good

    def target(self, peer):
        _, _, _, kind = read_exactly(peer, 4)
        if kind == 3:
            size, = read_exactly(peer, 1)
            host = read_exactly(peer, size).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, read_exactly(peer, size))
        port, = struct.unpack("!H", read_exactly(peer, 2))
        return host, port

    def connect(self, peer):
        host, port = self.target(peer)
        self.asked.append((host, port))
        if self.answer is not None:
            peer.sendall(self.answer)
            return
        try:
            far = socket.create_connection((self.hosts.get(host, host), port), 10)
        except OSError:
            peer.sendall(b"\x05\x05" + SOCKS_OK[2:])
            return
        with far:
            far.settimeout(None)
            peer.sendall(SOCKS_OK)
            relay(peer, far)


class Tinyproxy:
    """Debian's tinyproxy: HTTP and CONNECT to any port, for `user` alone if there is one."""

    def __init__(self, directory, user=None, password=""):
        self.port = free_port()
        self.conf = directory / "tinyproxy.conf"
        lines = [f"Port {self.port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 50",
                 "Allow 127.0.0.1", 'LogLevel Error', f'LogFile "{directory}/tinyproxy.log"']
        if user is not None:
            lines.append(f"BasicAuth {user} {password}")
        self.conf.write_text("\n".join(lines) + "\n", "ascii")
        self.process = contextlib.ExitStack()

    @staticmethod
    def why_not():
        return None if shutil.which("tinyproxy") else "tinyproxy is not installed"

    def url(self, who=""):
        return f"http://{who}127.0.0.1:{self.port}"

    def __enter__(self):
        self.process.enter_context(running(["tinyproxy", "-d", "-c", self.conf], self.port))
        return self

    def __exit__(self, *_):
        self.process.close()
