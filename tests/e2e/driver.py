"""The program `client` in the hands of a test: commands, and what its connections tell."""

import re
import time

from clients import Text

PATIENCE = 15


class Driver:
    """`tell` sends a command and returns its answer; `expect` waits for the next event that matches,
    and `seen` has all that came before it."""

    def __init__(self, program):
        self.program = program
        self.line = Text(program.connect("control"))
        self.line.sock.settimeout(PATIENCE)
        self.seen = []
        self.waiting = []
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.sock.close()

    def read(self):
        return self.line.read_until(b"\n").decode().rstrip("\n")

    def tell(self, command):
        self.line.send(command.encode() + b"\n")
        while True:
            line = self.read()
            if re.match(r"(ok|error)\b", line):
                return line
            self.waiting.append(line)

    def connect(self, url, name=None, **options):
        """A new connection's name; headers as {"header": [...]}."""
        self.count += 1
        name = name or f"c{self.count}"
        words = []
        for key, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                words.append(f"{key}={one}")
        answer = self.tell(" ".join(["connect", name, url, *words]))
        assert answer == "ok", answer
        return name

    def expect(self, pattern):
        """The match of the next event that matches from its start."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            while self.waiting:
                line = self.waiting.pop(0)
                self.seen.append(line)
                found = re.match(pattern, line)
                if found:
                    return found
            self.waiting.append(self.read())
        raise AssertionError(f"{pattern} did not come; there came {self.seen}")

    def fails(self, url, words, **options):
        """It never stands, and these words say why."""
        name = self.connect(url, **options)
        why = self.expect(f"{name} (close|open).*").group(0)
        assert re.match(f"{name} close handshake ", why) and words in why, why
