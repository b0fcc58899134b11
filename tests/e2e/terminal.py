"""A terminal for tests: a command on a pseudo-terminal, and what its screen shows.

The screen understands what crew writes, and no more: the place of the cursor, erasing, renditions,
the modes. Anything else fails the test."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from processes import PATIENCE

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Screen:
    """Rows of characters; `reversed` are the rows that begin in reverse video."""

    def __init__(self, rows, columns):
        self.modes = set()
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.lines = [[" "] * columns for _ in range(rows)]
        self.marks = [[""] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.rendition = ""
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            found = SEQUENCE.match(text, at)
            if not found:
                assert len(text) - at < 32, f"not understood: {text[at:at + 32]!r}"
                self.rest = text[at:]
                return
            self.control(*found.groups())
            at = found.end()

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row = min(self.row + 1, self.rows - 1)
        elif self.row < self.rows:
            # Without wrapping the last cell is written again and again.
            column = min(self.column, self.columns - 1)
            assert character.isprintable(), f"a control character: {character!r}"
            self.lines[self.row][column] = character
            self.marks[self.row][column] = self.rendition
            self.column += 1

    def control(self, parameters, final):
        if final == "H":
            row, column = (parameters or "1;1").split(";")
            self.row, self.column = int(row) - 1, int(column) - 1
        elif final == "J":
            assert parameters == "2"
            self.resize(self.rows, self.columns)
        elif final == "K":
            assert parameters == ""
            if self.row < self.rows:
                rest = self.columns - self.column
                self.lines[self.row][self.column:] = [" "] * rest
                self.marks[self.row][self.column:] = [""] * rest
        elif final == "m":
            self.rendition = "" if parameters == "0" else parameters
        else:
            assert final in "hl" and parameters[0] == "?", f"not understood: {parameters}{final}"
            (self.modes.add if final == "h" else self.modes.discard)(parameters)

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.lines)

    def row_with(self, words):
        """Number and text of the first row that has these words; None."""
        for number, line in enumerate(self.text().split("\n")):
            if words in line:
                return number, line
        return None

    def coloured(self):
        """Does any cell have a colour (ECMA-48: 30 to 37)?"""
        return any(part[:1] == "3" and len(part) == 2
                   for row in self.marks for mark in row for part in mark.split(";"))


class Terminal:
    """`command` on a terminal of its own; use it with `with`."""

    def __init__(self, command, rows=30, columns=100, env=None):
        self.master, self.slave = pty.openpty()
        self.set_size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.screen = Screen(rows, columns)
        self.raw = ""
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, preexec_fn=self.own_session,
            env={**os.environ, "TERM": "xterm", **(env or {})},
        )

    def own_session(self):
        """Signals of keys go to the command, as in a shell's terminal."""
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.slave)
        if self.master is not None:
            os.close(self.master)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self.set_size(rows, columns)

    def keys(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            return False
        self.raw += data
        self.screen.feed(data)
        return True

    def wait_screen(self, condition, what="", seconds=10):
        """Until `condition` (words, or a function of the screen) holds."""
        if isinstance(condition, str):
            words, condition = condition, lambda screen: words in screen.text()
            what = what or repr(words)
        end = time.monotonic() + seconds * PATIENCE
        while not (found := condition(self.screen)):
            left = end - time.monotonic()
            assert left > 0, f"{what} is not on the screen:\n{self.screen.text()}"
            ended = self.process.poll() is not None
            if not self.read(min(left, 0.2)) and ended:
                raise AssertionError(f"it ended without {what}:\n{self.screen.text()}")
        return found

    def wait_gone(self, words, seconds=10):
        self.wait_screen(lambda screen: words not in screen.text(), f"no {words!r}", seconds)

    def wait_end(self, seconds=10):
        """Its exit status, as Popen has it, having read all it wrote."""
        end = time.monotonic() + seconds * PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.screen.text()}"
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def check_given_back(self):
        """Keys and screen are as they were before."""
        assert termios.tcgetattr(self.slave) == self.before, "the keys were not given back"
        assert "?1049" not in self.screen.modes, "the other screen was not left"
        assert "?25" in self.screen.modes, "the cursor is still hidden"
        assert "?7" in self.screen.modes, "lines do not wrap any more"
