"""`systemd-unit`: files about which systemd-analyze has nothing to say, whatever the settings."""

import os
import re
import shutil
import subprocess

import pytest
from program import find_binary

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="Debian's package systemd is not there")


SERVICES = ("tcp", "text", "frame", "ws", "unix")


def unit(binary, *options, code=0):
    done = subprocess.run([str(binary), "systemd-unit", *options], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def verify(*paths):
    """All that systemd-analyze says; its exit status is 0 whatever it finds."""
    done = subprocess.run(["systemd-analyze", "verify", *map(str, paths)], capture_output=True,
                          text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def value(text, key):
    """Of a key that is there once."""
    values = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    assert len(values) == 1, (key, values)
    return values[0]


def check(tmp_path, binary, *options, name="echo"):
    """The service unit for the installed version, found good; its text."""
    text = unit(binary, *options)
    path = tmp_path / f"{name}.service"
    path.write_text(text)
    assert verify(path) == "", text
    return text


@pytest.fixture(scope="module")
def echo():
    return find_binary("echo")


def test_verify_tells_of_what_it_does_not_know(tmp_path, echo):
    """Else the other tests here would prove nothing."""
    path = tmp_path / "echo.service"
    path.write_text(unit(echo) + "\n[Service]\nNoSuchKey=1\n")
    assert "NoSuchKey" in verify(path)


def test_as_it_is(tmp_path, echo):
    text = check(tmp_path, echo)
    assert value(text, "Type") in ("notify", "notify-reload")
    assert value(text, "RuntimeDirectory") == "echo"
    assert value(text, "CapabilityBoundingSet") == "CAP_DAC_OVERRIDE"
    assert value(text, "KillMode") == "mixed" and value(text, "Restart") == "on-failure"
    assert str(echo) in value(text, "ExecStart")
    assert value(text, "WatchdogSec") == "30"
    stuck = check(tmp_path, echo, "--set=ws.stuck_ms=60000")
    assert value(stuck, "WatchdogSec") == "180", "the master ends the worker first"


def test_one_user(tmp_path, echo):
    """All services are one user's: so is the master, and it keeps what low ports need."""
    users = [f"--set={name}.user=daemon" for name in SERVICES]
    text = check(tmp_path, echo, *users)
    assert value(text, "User") == "daemon"
    assert value(text, "CapabilityBoundingSet") == value(text, "AmbientCapabilities") == ""
    text = check(tmp_path, echo, *users, "--set=ws.listen=ws://:80", "--set=ws.group=daemon")
    assert "User=" not in text, "another group"
    assert "CAP_SETUID" in value(text, "CapabilityBoundingSet")
    text = check(tmp_path, echo, *users, "--set=ws.listen=ws://:80",
                 "--set=crew.admin=http://127.0.0.1:9100")
    assert value(text, "AmbientCapabilities") == "CAP_NET_BIND_SERVICE"


def test_what_workers_need(tmp_path, echo):
    """Of root's power, what the settings ask for and no more."""
    text = check(tmp_path, echo, *[f"--set={name}.user=daemon" for name in SERVICES],
                 "--set=ws.capabilities=net_raw", f"--set=ws.chroot={tmp_path}",
                 "--set=tcp.nice=-5", "--set=tcp.seccomp=default")
    assert "User=" not in text
    kept = value(text, "CapabilityBoundingSet").split()
    assert {"CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_SYS_NICE", "CAP_SETUID", "CAP_KILL"} <= set(kept)
    assert not {"CAP_SYS_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SYS_RESOURCE"} & set(kept)
    assert "SystemCallFilter=chroot\nSystemCallFilter=seccomp" in text


def test_what_is_written(tmp_path, echo):
    text = check(tmp_path, echo, "--set=crew.log=/var/log/echo/echo.log",
                 "--set=ws.access_log=/var/log/echo/ws/access.log", "--run-dir=/srv/echo",
                 "--set=unix.listen=unix:///srv/sockets/echo.sock", "--set=crew.fd_store=on")
    paths = re.findall(r"^ReadWritePaths=(.*)$", text, re.MULTILINE)
    assert sorted(paths) == ["/srv/echo", "/srv/sockets", "/var/log/echo"]
    assert int(value(text, "FileDescriptorStoreMax")) >= 5
    assert value(text, "ProtectSystem") == "strict"


def test_odd_names(tmp_path, echo):
    """Blanks, quotes, per cent and dollar signs in paths and values stay what they are."""
    odd, place = tmp_path / 'a b"c%d\'e$f\\g', tmp_path / "a b%c $d;"
    odd.mkdir()
    place.mkdir()
    binary = place / "echo"
    shutil.copy2(echo, binary)
    config = odd / "my settings.ini"
    config.write_text("[ws]\nworkers = 2\n")
    text = check(tmp_path, binary, "-c", str(config), "--run-dir", str(odd / "run"),
                 "--set", "crew.admin_token=$HOME %n \"quoted\"", "--set",
                 "crew.admin=http://127.0.0.1:9100")
    words = value(text, "ExecStart")
    assert "%%d" in words and "$$HOME" in words and "%%n" in words
    done = subprocess.run(
        ["/usr/bin/python3", "-c", UNQUOTE, words.replace("%%", "%")], capture_output=True,
        text=True, check=True)
    assert done.stdout.split("\0")[:-1] == [
        str(binary), "start", "-c", str(config), "--set",
        "crew.admin_token=$HOME %n \"quoted\"", "--set", "crew.admin=http://127.0.0.1:9100",
        "--run-dir", str(odd / "run")]


# Words as systemd.syntax(7) takes them apart: double quotes and backslashes. A dollar sign is doubled
# in arguments, and stands for itself in the path.
UNQUOTE = r"""
import sys
words, word, quoted, inside = [], "", False, False
text = iter(sys.argv[1])
for c in text:
    if c == "\\":
        word += next(text)
    elif c == '"':
        quoted = not quoted
        inside = True
    elif c == " " and not quoted:
        words.append(word)
        word, inside = "", False
    else:
        word += c
words.append(word)
words = [words[0]] + [word.replace("$$", "$") for word in words[1:]]
sys.stdout.write("".join(word + "\0" for word in words))
"""


@pytest.mark.parametrize("name, why", [
    ("a\nb", "control characters"), ("a'b", "a quote or a backslash"), ("a\\b", "a backslash"),
])
def test_what_systemd_cannot_execute(tmp_path, echo, name, why):
    binary = tmp_path / name
    os.symlink(echo, binary)
    assert why in unit(binary, code=1)


@pytest.mark.parametrize("version", [232, 234, 239, 240, 243, 245, 252])
def test_older_versions(tmp_path, echo, version):
    """Nothing that only newer ones know; the present one knows all that older ones did."""
    text = check(tmp_path, echo, f"--systemd-version={version}")
    assert value(text, "Type") == "notify" and "reload" in value(text, "ExecReload")
    since = {"ProtectClock": 245, "OOMPolicy": 243, "RestrictSUIDSGID": 242,
             "SystemCallFilter": 239, "RuntimeDirectory": 235, "RestrictNamespaces": 233}
    for key, first in since.items():
        assert (f"{key}=" in text) == (version >= first), key


def test_newer_versions(echo):
    text = unit(echo, "--systemd-version", "253")
    assert value(text, "Type") == "notify-reload" and "ExecReload" not in text
    assert "RestartSteps" not in text
    assert value(unit(echo, "--systemd-version", "256"), "RestartSteps")


@pytest.mark.parametrize("version", ["231", "0", "-1", "252x", "new", "99999"])
def test_versions_that_are_none(echo, version):
    assert "systemd" in unit(echo, f"--systemd-version={version}", code=1)


@pytest.mark.parametrize("options", [
    [],
    ["--set=ws.listen=ws://:80 ws://[::1]:8080"],
    ["--set=tcp.listen=udp://127.0.0.1:7001", "--set=tcp.workers=3"],
    ["--set=unix.listen=unix:///run/e%25cho/x.sock?mode=0660&group=daemon"],
    ["--set=ws.listen=ws://localhost:0"],
])
def test_socket_unit(tmp_path, echo, options):
    service, sockets = tmp_path / "echo.service", tmp_path / "echo.socket"
    service.write_text(unit(echo, *options))
    text = unit(echo, "--socket", *options)
    sockets.write_text(text)
    assert verify(sockets, service) == "", text
    if "workers" in str(options):
        assert text.count("ListenDatagram=127.0.0.1:7001") == 3 and "ReusePort=yes" in text
    if "mode" in str(options):
        assert "ListenStream=/run/e%%cho/x.sock" in text
        assert value(text, "SocketMode") == "0660" and value(text, "SocketGroup") == "daemon"
    if ":80" in str(options):
        assert "ListenStream=80\nListenStream=[::1]:8080" in text
    assert "localhost" not in re.sub("#.*", "", text)


def test_bad_settings_make_no_unit(echo):
    assert "no_such_key" in unit(echo, "--set=ws.no_such_key=1", code=1)
