"""Certificates that are renewed again and again under load: every visitor is served, whoever came
before a change keeps the connection, and nobody sees a certificate that was not in force."""

import os
import shutil
import socket
import ssl
import threading
import time

from processes import wait_until

NAME = "renewal.example"
REQUEST = b"GET / HTTP/1.1\r\nHost: renewal.example\r\n\r\n"
TAKEN = "new certificates are in force"


def put(source, target):
    """As tools that renew certificates do: never half a file under its name."""
    shutil.copy(source, f"{target}.new")
    os.replace(f"{target}.new", target)


def serial_of(cert):
    # pylint: disable=protected-access
    return int(ssl._ssl._test_decode_cert(str(cert))["serialNumber"], 16)


class Visitor(threading.Thread):
    """Asks in new connections of `requests` each; what goes wrong is kept."""

    def __init__(self, port, ca, requests):
        super().__init__()
        self.port, self.requests = port, requests
        self.context = ssl.create_default_context(cafile=str(ca))
        self.over = threading.Event()
        self.connections = self.answers = 0
        self.serials, self.failures = set(), []

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(plain, server_hostname=NAME)

    def visit(self):
        with self.connect() as secure:
            self.serials.add(int(secure.getpeercert()["serialNumber"], 16))
            self.connections += 1
            for _ in range(self.requests):
                secure.sendall(REQUEST)
                answer = b""
                while not answer.endswith(b"Hello, World!"):
                    more = secure.recv(4096)
                    if not more:
                        raise OSError(f"the answer ended after {answer!r}")
                    answer += more
                self.answers += 1
                if self.over.is_set():
                    return

    def run(self):
        while not self.over.is_set():
            try:
                self.visit()
            except OSError as failure:
                self.failures.append(failure)

    def end(self):
        self.over.set()
        self.join(60)


def renew_for(seconds, pairs, names, program):
    """One after the other under these names, each once the one before is in force: how many."""
    renewals, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        renewals += 1
        pair = pairs[renewals % len(pairs)]
        for source, target in zip(pair, names):
            put(source, target)
        wait_until(lambda: program.output().count(TAKEN) >= renewals,
                   f"renewal {renewals} is in force", 30)
    return renewals


def renew(start, authority, place, seconds):
    """What the visitors met while certificates were renewed for so long."""
    pairs = [authority.issue([NAME]) for _ in range(4)]
    cert, key = place / "fullchain.pem", place / "privkey.pem"
    put(pairs[0].cert, cert)
    put(pairs[0].key, key)
    program = start("hello", web__workers=2, web__tls_cert=cert, web__tls_key=key)
    # Some come anew for each request, some stay through several renewals.
    visitors = [Visitor(program.ports["web"], authority.ca(), requests)
                for requests in (1, 1, 20, 1_000_000)]
    for visitor in visitors:
        visitor.start()
    try:
        renewals = renew_for(seconds, pairs, (cert, key), program)
    finally:
        for visitor in visitors:
            visitor.end()
    program.lawful()
    return {
        "renewals": renewals,
        "answers": sum(visitor.answers for visitor in visitors),
        "connections": sum(visitor.connections for visitor in visitors),
        "stayed": visitors[-1].connections == 1 and visitors[-1].answers > 1,
        "failures": [failure for visitor in visitors for failure in visitor.failures],
        "known": set.union(*(visitor.serials for visitor in visitors))
        <= {serial_of(pair.cert) for pair in pairs},
        "seen": len(set.union(*(visitor.serials for visitor in visitors))),
    }
