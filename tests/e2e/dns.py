"""Name servers for tests: one of our own that fails on command, and Debian's dnsmasq.

    with NameServer({"feed.test": ["127.0.0.1", "::1"], "gone.test": "nxdomain"}) as server:
        launch("client", sets={"crew.dns_servers": server.address})

A name's answer is a list of addresses and `cname=OTHER`, or one of the words of FAILURES, or a dict of
both by type: {"A": ["127.0.0.1"], "AAAA": "silent"}. (addresses, seconds) is told that much later."""

import contextlib
import ipaddress
import shutil
import socket
import struct
import subprocess
import threading
import time

from processes import wait_until

A, CNAME, AAAA = 1, 5, 28
TYPES = {A: "A", AAAA: "AAAA"}
RCODES = {"nxdomain": 3, "servfail": 2, "refused": 5}
FAILURES = (*RCODES, "silent", "garbage", "truncated", "forged")
FORGED = {A: "10.66.66.66", AAAA: "fd66::66"}


def encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def decode_question(message):
    """(name, type, the question's bytes)."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    kind, = struct.unpack("!H", message[at + 1:at + 3])
    return ".".join(labels).lower(), kind, message[12:at + 5]


def records(name, kind, data, ttl):
    for one in data:
        if one.startswith("cname="):
            yield encode_name(name) + record(CNAME, encode_name(one[6:]), ttl)
            name = one[6:]
            continue
        address = ipaddress.ip_address(one)
        if (address.version == 6) == (kind == AAAA):
            yield encode_name(name) + record(kind, address.packed, ttl)


def record(kind, data, ttl):
    return struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def reply(ident, question, *, rcode=0, truncated=False, answers=()):
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    return struct.pack("!6H", ident, flags, 1, len(answers), 0, 0) + question + b"".join(answers)


def free_for_both():
    """A UDP and a TCP socket on one port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:
            udp.close()


class NameServer:
    def __init__(self, names, ttl=0):
        self.names, self.ttl = {name.lower(): how for name, how in names.items()}, ttl
        self.asked = []  # (name, "A" or "AAAA", "udp" or "tcp")
        self.udp, self.tcp = free_for_both()
        self.address = f"127.0.0.1:{self.udp.getsockname()[1]}"
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.serve_udp, self.serve_tcp)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
            sock.close()
        for thread in self.threads:
            thread.join(5)

    def how(self, name, kind):
        how = self.names.get(name, "nxdomain")
        return how.get(TYPES.get(kind), []) if isinstance(how, dict) else how

    def answers(self, message, by):
        """What to send, one after another; how many seconds later."""
        name, kind, question = decode_question(message)
        ident, = struct.unpack("!H", message[:2])
        how, later = self.how(name, kind), 0
        self.asked.append((name, TYPES.get(kind, str(kind)), by))
        if isinstance(how, tuple):
            how, later = how
        if isinstance(how, list):
            return [reply(ident, question, answers=self.records(name, kind, how))], later
        word, _, rest = how.partition(" ")
        assert word in FAILURES, how
        if word == "silent":
            return [], 0
        if word == "garbage":
            return [bytes(range(7, 60))], later
        if word in RCODES:
            return [reply(ident, question, rcode=RCODES[word])], later
        true = reply(ident, question, answers=self.records(name, kind, rest.split()))
        if word == "truncated":
            return [reply(ident, question, truncated=True) if by == "udp" else true], later
        lie = list(records(name, kind, [FORGED[kind]], 60))
        return [reply(ident ^ 0x5555, question, answers=lie), true], later

    def records(self, name, kind, data):
        return list(records(name, kind, data, self.ttl))

    def serve_udp(self):
        while True:
            try:
                message, peer = self.udp.recvfrom(1024)
            except OSError:
                return
            if not message:
                return
            self.send(lambda bytes_, peer=peer: self.udp.sendto(bytes_, peer),
                      *self.answers(message, "udp"))

    def serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_link, args=(peer,), daemon=True).start()

    def serve_link(self, peer):
        with peer, contextlib.suppress(OSError):
            while head := peer.recv(2, socket.MSG_WAITALL):
                size, = struct.unpack("!H", head)
                message = peer.recv(size, socket.MSG_WAITALL)
                self.send(lambda bytes_: peer.sendall(struct.pack("!H", len(bytes_)) + bytes_),
                          *self.answers(message, "tcp"))

    @staticmethod
    def send(way, messages, later):
        def work():
            time.sleep(later)
            for message in messages:
                with contextlib.suppress(OSError):
                    way(message)

        if later:
            threading.Thread(target=work, daemon=True).start()
        else:
            work()


class Dnsmasq:
    """Debian's dnsmasq with these addresses, asking nobody else: {"feed.test": "127.0.0.1"}."""

    def __init__(self, names, *options):
        udp, tcp = free_for_both()
        self.port = udp.getsockname()[1]
        udp.close()
        tcp.close()
        self.address = f"127.0.0.1:{self.port}"
        self.command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
                        "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1",
                        f"--port={self.port}", "--pid-file=", "--user=", "--local=/test/",
                        *(f"--host-record={name},{addresses}" for name, addresses in names.items()),
                        *options]
        self.process = None

    @staticmethod
    def why_not():
        return None if shutil.which("dnsmasq") else "dnsmasq is not installed"

    def answers(self):
        assert self.process.poll() is None, self.process.stderr.read()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        wait_until(self.answers, "dnsmasq answers")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(15)
        self.process.stderr.close()
