"""`completion`: the shells themselves complete lines, as at a keyboard."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest
from processes import PATIENCE
from program import find_binary

NAME = "echo-server"  # not the builtin of shells, and no name for a function

# What is typed up to the tab, and what is there to be executed then.
LINES = [
    ("rel", "reload"),
    ("conf", "configtest"),
    ("start --sin", "start --single"),
    ("restart --gr", "restart --graceful"),
    ("connections --clo", "connections --closed"),
    ("--set ws.policy=replace conn", "--set ws.policy=replace connections"),
    ("start --set ws.drain_t", "start --set ws.drain_timeout_ms="),
    ("set ws.max_send_b", "set ws.max_send_buffer="),
    ("help syst", "help systemd-unit"),
    ("help sett", "help settings"),
    ("completion z", "completion zsh"),
    ("kick --verdict rea", "kick --verdict reader-stalled"),
    ("-c /etc/pass", "-c /etc/passwd"),
    ("status --run-dir /usr/sha", "status --run-dir /usr/share"),
    ("-q stat", "-q status"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("bin") / NAME
    os.symlink(find_binary("echo"), path)
    return path


def script(program, shell):
    done = subprocess.run([str(program), "completion", shell], capture_output=True, text=True,
                          timeout=30, check=True)
    assert not done.stderr
    return done.stdout


class Keyboard:
    """A shell at a terminal of ours, in which the program only says what it was given."""

    def __init__(self, command, env):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {"PATH": os.environ["PATH"], "TERM": "dumb",
                                            "LC_ALL": "C.UTF-8", **env})

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, words, seconds=20):
        deadline = time.monotonic() + seconds * PATIENCE
        while words.encode() not in self.seen:
            assert time.monotonic() < deadline, (words, self.seen[-2000:])
            if select.select([self.fd], [], [], 0.5)[0]:
                self.seen += os.read(self.fd, 65536)
        before, self.seen = self.seen.split(words.encode(), 1)
        return before.decode(errors="replace")

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def complete_all(keyboard):
    for typed, expected in LINES:
        keyboard.type(f"{NAME} {typed}\t\n")
        keyboard.wait("GOT<")
        assert keyboard.wait(">").rstrip(" /") == expected, typed
    keyboard.type("exit\n")
    keyboard.close()


SAY = "() { printf 'GO%s<%s>\\n' T \"$*\"; }\n"


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not there")
def test_bash(program, tmp_path):
    rc = tmp_path / "rc"
    rc.write_text(f"function {NAME} {SAY}bind 'set bell-style none'\n"
                  "bind 'set enable-bracketed-paste off'\n"
                  + script(program, "bash") + "echo REA''DY\n")
    keyboard = Keyboard([shutil.which("bash"), "--noprofile", "--rcfile", str(rc), "-i"],
                        {"HOME": str(tmp_path)})
    keyboard.wait("READY")
    complete_all(keyboard)


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not there")
@pytest.mark.parametrize("how", ["read", "fpath"])
def test_zsh(program, tmp_path, how):
    """Read behind compinit, or found by it."""
    if how == "fpath":
        (tmp_path / f"_{NAME}").write_text(script(program, "zsh"))
        setup = f"fpath=({tmp_path} $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
    else:
        (tmp_path / "script").write_text(script(program, "zsh"))
        setup = f"autoload -Uz compinit\ncompinit -u -D\nsource {tmp_path}/script\n"
    (tmp_path / ".zshrc").write_text(
        f"unsetopt zle_bracketed_paste beep\nPS1='> '\n{setup}function {NAME} {SAY}"
        "echo REA''DY\n")
    keyboard = Keyboard([shutil.which("zsh"), "-d", "-i"],
                        {"ZDOTDIR": str(tmp_path), "HOME": str(tmp_path)})
    keyboard.wait("READY")
    complete_all(keyboard)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not there")
def test_fish(program, tmp_path):
    """It tells what a tab would offer."""
    asks = "".join(f"echo '<'; complete -C '{NAME} {typed}'; echo '>'\n" for typed, _ in LINES)
    path = tmp_path / "script.fish"
    path.write_text(f"function {NAME}; end\n{script(program, 'fish')}\n{asks}")
    done = subprocess.run([shutil.which("fish"), "--no-config", str(path)], capture_output=True,
                          text=True, timeout=60, check=True,
                          env={"PATH": os.environ["PATH"], "HOME": str(tmp_path),
                               "LC_ALL": "C.UTF-8"})
    assert not done.stderr, done.stderr
    answers = [part.split(">")[0].split("\n") for part in done.stdout.split("<")[1:]]
    assert len(answers) == len(LINES)
    for (typed, expected), lines in zip(LINES, answers):
        words = [line.split("\t")[0].rstrip("/") for line in lines if line]
        assert expected.split(" ")[-1] in words, (typed, lines)
        head = typed.split(" ")[-1]
        assert all(head.lstrip("-") in word for word in words), (typed, lines)


def test_other_shells(program):
    done = subprocess.run([str(program), "completion", "ksh"], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 2 and "bash, zsh and fish" in done.stderr
