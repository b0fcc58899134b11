"""A service manager of our own: its socket for news, its store of descriptors, and how it starts a
program with sockets that are open already."""

import array
import fcntl
import os
import socket
import subprocess
import threading

from processes import wait_until

MOST_FDS = 64


class Manager:
    """Hears what programs tell the socket named by `name`: a path, or @ and an abstract name."""

    def __init__(self, name):
        self.name = str(name)
        self.messages = []  # dictionaries, in the order in which they came
        self.store = {}     # FDNAME: descriptor
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name.replace("@", "\0", 1) if self.name[0] == "@" else self.name)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def _listen(self):
        room = socket.CMSG_SPACE(MOST_FDS * 4)
        while True:
            data, ancillary, _, _ = self.socket.recvmsg(65536, room)
            if data == b"end":
                return
            fds = array.array("i")
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
            lines = data.decode().split("\n")
            message = dict(line.split("=", 1) for line in lines if line)
            self._keep(message, list(fds))
            self.messages.append(message)

    def _keep(self, message, fds):
        name = message.get("FDNAME", "stored")
        assert all(32 <= ord(c) < 127 and c != ":" for c in name) and len(name) <= 255, name
        if message.get("FDSTORE") == "1" and name not in self.store:
            self.store[name] = fds.pop(0)
        if message.get("FDSTOREREMOVE") == "1" and name in self.store:
            fds.append(self.store.pop(name))
        for fd in fds:
            os.close(fd)

    def all(self, key):
        """Every value of that key, in order."""
        return [message[key] for message in list(self.messages) if key in message]

    def last(self, key):
        values = self.all(key)
        return values[-1] if values else None

    def wait(self, key, value=None, count=1):
        """Until that was said `count` times; the messages so far."""
        def heard():
            values = [v for v in self.all(key) if value in (None, v)]
            return list(self.messages) if len(values) >= count else None

        return wait_until(heard, f"{key}={value or ''} {count} times", 20)

    def wait_status(self, words):
        return wait_until(lambda: words in (self.last("STATUS") or ""), f"STATUS with {words!r}", 20)

    def order(self, *keys):
        """The states in the order in which they were told."""
        return [f"{k}={m[k]}" for m in list(self.messages) for k in keys if k in m]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(self.socket.getsockname())
            sock.send(b"end")
        self.listener.join()
        self.socket.close()
        for fd in self.store.values():
            os.close(fd)


# Becomes the program with descriptors from 3 on, as a manager's child does before it executes.
LAUNCHER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


def spawn_with(program, sockets, *options, env=None):
    """Start `program` with {name: descriptor or socket} open already; several of one name are a
    list."""
    pairs = [(name, one) for name, given in sockets.items()
             for one in (given if isinstance(given, list) else [given])]
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 200) for _, one in pairs]

    def place():
        for number, fd in enumerate(high, 3):
            os.dup2(fd, number, inheritable=True)

    names = ":".join(name for name, _ in pairs)
    environment = {**os.environ, "LISTEN_FDS": str(len(pairs)), "LISTEN_FDNAMES": names,
                   **(env or {})}
    with open(program.output_path, "ab") as output:
        program.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", LAUNCHER, str(program.binary), "start", *options,
             *program.arguments()],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            preexec_fn=place, close_fds=False, env=environment, cwd=program.directory)
    for fd in high:
        os.close(fd)
    return program.process
