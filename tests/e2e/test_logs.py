"""Where lines go, and that nothing waits for them. The engine plays no part."""

import array
import json
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from clients import Text
from processes import PATIENCE, wait_until

pytestmark = pytest.mark.one_engine

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

TEXT_LINE = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (debug|info |warn |error) ([\w#]+): (.*)"
)


def tell(program, line, service="talk"):
    with Text(program.connect(service)) as client:
        assert client.ask(line) == "done"


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def in_namespace(program, commands):
    """The program begins with these mounts, in a mount namespace of its own."""
    script = program.directory / "inside"
    real = program.binary
    script.write_text(
        "#!/bin/sh\n"
        'if [ "$1" != start ]; then exec ' + f'{real} "$@"; fi\n'
        "if [ -z \"$INSIDE\" ]; then INSIDE=1 exec unshare --mount --propagation private \"$0\" \"$@\"; fi\n"
        f"set -e\nunset INSIDE\n{commands}\nexec {real} \"$@\"\n"
    )
    script.chmod(0o755)
    program.binary = script
    return program


class Receiver:
    """A datagram socket that takes what is said to it, by path."""

    def __init__(self, path):
        self.path = str(path)
        self.open()

    def open(self):
        Path(self.path).unlink(missing_ok=True)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.settimeout(20 * PATIENCE)

    def take(self):
        data, control, _, _ = self.sock.recvmsg(65536, socket.CMSG_SPACE(16))
        for _, _, fds in control:
            numbers = array.array("i")
            numbers.frombytes(fds[: len(fds) // 4 * 4])
            for fd in numbers:
                data += os.pread(fd, 1 << 20, 0)
                os.close(fd)
        return data.decode()

    def until(self, word):
        """The first that holds the word."""
        while True:
            said = self.take()
            if word in said:
                return said

    def close(self):
        self.sock.close()


# ---- forms and places ----


def test_json_is_json_whatever_is_said(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log, "crew.log_format": "json"})
    tell(program, 'say quote " back \\ tab \t esc \x1b[31m \u2028 \u00e9')
    with Text(program.connect("talk")) as client:
        client.send_message(b"say broken \xff\xfe utf \xe2\x82 end")
        client.send_message(b"out {\"printed\": \"\xc3\xa9\"}")
    program.stop()
    said = [json.loads(line) for line in lines_of(log)]
    assert all(list(line) == ["time", "level", "app", "service", "worker", "pid", "message"]
               for line in said)
    by_worker = [line for line in said if line["service"] == "talk"]
    assert by_worker and all(line["worker"] == 0 and line["app"] == "talker" for line in by_worker)
    messages = [line["message"] for line in by_worker]
    assert 'quote " back \\ tab \t esc \x1b[31m \u2028 \u00e9' in messages
    assert "broken \ufffd\ufffd utf \ufffd\ufffd end" in messages
    assert '{"printed": "\u00e9"}' in messages
    master = [line for line in said if line["service"] is None]
    assert master and all(line["worker"] is None for line in master)
    assert len({line["pid"] for line in said}) == 2


def test_nobody_forges_a_line(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log})
    with Text(program.connect("talk")) as client:
        client.send_message(b"say one\r2026-01-01T00:00:00.000Z error master: forged\x1b[2J")
        client.send_message(b"err two\r2026-01-01T00:00:00.000Z error master: forged\x1b[2J")
        assert [client.read_message(), client.read_message()] == [b"done", b"done"]
    program.stop()
    said = [TEXT_LINE.fullmatch(line) for line in lines_of(log)]
    assert all(said) and "\x1b" not in log.read_text()
    assert sum("forged" in match.group(4) for match in said) == 2
    assert all(match.group(3) == "talk#0" for match in said if "forged" in match.group(4))


@needs_root
def test_syslog(launch):
    program = launch("talker", start=False,
                     sets={"crew.log": "syslog", "crew.log_facility": "local3"})
    syslog = Receiver(program.directory / "log.sock")
    in_namespace(program, f"""
mkdir {program.directory}/dev; mount -t tmpfs none {program.directory}/dev
cp -a /dev/null /dev/zero /dev/random /dev/urandom {program.directory}/dev
ln -s {syslog.path} {program.directory}/dev/log
mount --rbind {program.directory}/dev /dev""")
    program.start()
    tell(program, "warn to\tsyslog")
    said = syslog.until("to syslog")
    pid = program.pid("talk")
    assert re.fullmatch(rf"<{19 * 8 + 4}>\w{{3}} [ \d]\d \d\d:\d\d:\d\d talker\[{pid}\]: "
                        r"talk#0: to syslog", said), said
    tell(program, "out printed")
    assert f"<{19 * 8 + 6}>" in (printed := syslog.until("printed")) and f"[{pid}]" in printed
    # One that is started anew is found again, and what was said meanwhile is still told.
    syslog.close()
    tell(program, "say meanwhile")
    syslog.open()
    assert "talk#0: meanwhile" in syslog.until("meanwhile")
    program.stop()
    assert "has stopped" in syslog.until("has stopped")
    syslog.close()


@needs_root
def test_journal(launch):
    program = launch("talker", start=False, sets={"crew.log": "journal"})
    journal = Receiver(program.directory / "journal.sock")
    in_namespace(program, f"""
mount -t tmpfs none /run; mkdir -p /run/systemd/journal
ln -s {journal.path} /run/systemd/journal/socket""")
    program.start("-q")
    tell(program, "warn to the journal")
    fields = dict(line.split("=", 1) for line in journal.until("to the journal").splitlines())
    pid = str(program.pid("talk"))
    assert fields == {
        "PRIORITY": "4", "SYSLOG_FACILITY": "3", "SYSLOG_PID": pid, "SYSLOG_IDENTIFIER": "talker",
        "CREW_APP": "talker", "CREW_SERVICE": "talk", "CREW_WORKER": "0",
        "MESSAGE": "talk#0: to the journal",
    }
    tell(program, "err printed")
    fields = dict(line.split("=", 1) for line in journal.until("printed").splitlines())
    assert (fields["PRIORITY"], fields["SYSLOG_PID"]) == ("4", pid)
    program.stop()
    assert "CREW_ROLE=master" in journal.until("has stopped")
    journal.close()


@pytest.mark.parametrize("place", ["syslog", "journal"])
@needs_root
def test_a_place_that_is_not_there(launch, place):
    program = launch("talker", start=False, sets={"crew.log": place})
    program.may_fail = True
    in_namespace(program, f"""
mkdir {program.directory}/dev; mount -t tmpfs none {program.directory}/dev
cp -a /dev/null /dev/urandom {program.directory}/dev; mount --rbind {program.directory}/dev /dev
mount -t tmpfs none /run""")
    assert program.spawn().wait(20) == 1
    program.wait_output(f"crew.log = {place}: nothing takes lines at /")


# ---- nothing waits ----


def test_a_pipe_that_nobody_reads(launch):
    """The service answers on, lines are counted, and are told of once somebody reads."""
    program = launch("talker", start=False)
    pipe = program.directory / "pipe"
    os.mkfifo(pipe)
    program.sets["crew.log"] = pipe
    program.start()
    tell(program, "log 6000")
    program.wait_totals("lost", lambda t: t["log_lost"] > 0)
    with open(pipe, "rb", buffering=0) as reader:
        os.set_blocking(reader.fileno(), False)
        said = b""

        def read_on():
            nonlocal said
            tell(program, "say more")
            while piece := reader.read(65536):
                said += piece
            return re.search(rb"lines lost before this one: (\d+)", said)

        lost = wait_until(read_on, "the loss is told")
        assert int(lost.group(1)) == program.totals()["log_lost"]
        kept = [int(n) for n in re.findall(rb"number 0 (\d+) end\n", said)]
        assert kept == list(range(len(kept)))
        assert 0 <= int(lost.group(1)) - (6000 - len(kept)) <= 2, "of the lines `more`"
        program.stop()


def test_a_reader_that_stands_still_is_not_made_to_block(launch):
    """Standard error is a pipe of somebody else's: its flags stay theirs."""
    reader, writer = os.pipe()
    program = launch("talker", start=False)
    program.process = subprocess.Popen(
        [str(program.binary), "start", "-q", *program.arguments()], stdin=subprocess.DEVNULL,
        stdout=writer, stderr=writer, cwd=program.directory)
    program.master = program.wait_ready()["pid"]
    tell(program, "log 6000")
    assert os.get_blocking(writer) and os.get_blocking(reader)
    assert program.wait_totals("lost", lambda t: t["log_lost"] > 0)
    program.stop()
    os.close(reader)
    os.close(writer)


@needs_root
def test_a_full_disk(launch):
    program = launch("talker", start=False, sets={"crew.log_size": "off"})
    place = program.directory / "disk"
    place.mkdir()
    program.sets["crew.log"] = place / "own.log"
    in_namespace(program, f"mount -t tmpfs -o size=64k none {place}")
    program.start()
    inside = Path(f"/proc/{program.master}/root{place}")
    tell(program, "log 4000")
    program.wait_totals("lost", lambda t: t["log_lost"] > 0)
    log = inside / "own.log"
    os.truncate(log, 0)
    tell(program, "say there is room again")
    wait_until(lambda: "there is room again" in log.read_text(), "it works again")
    text = log.read_text()
    assert re.search(r"warn  talk#0: lines lost before this one: \d+ "
                     r"\(the log did not take them: No space left on device\)", text), text
    program.stop()


# ---- files ----


def test_rotation_under_load(launch, tmp_path):
    """Every line of every worker is there once, whole, over all files."""
    log = tmp_path / "own.log"
    count, workers = 12000, 4
    program = launch("talker", sets={
        "crew.log": log, "crew.log_size": "100k", "crew.log_keep": 100, "talk.workers": workers,
        "talk.reuse_port": "on",
    })
    log.chmod(0o644)
    clients = {}

    def reach_all():
        client = Text(program.connect("talk"))
        if clients.setdefault(client.ask("id"), client) is not client:
            client.close()
        return len(clients) == workers

    wait_until(reach_all, "a connection to each worker")
    for client in clients.values():
        client.send_message(f"log {count}".encode())

    def files():
        return [log, *sorted(tmp_path.glob("own.log.*"))]

    def numbers():
        found = {}
        for path in files():
            for worker, number in re.findall(r": number (\d+) (\d+) end$", path.read_text(), re.M):
                found.setdefault(int(worker), []).append(int(number))
        return found

    wait_until(lambda: len(numbers()) == workers and all(
        count - 1 in found for found in numbers().values()), "all lines", 60)
    program.stop()
    for client in clients.values():
        client.close()
    assert len(files()) >= 3, files()
    text = "".join(path.read_text() for path in files())
    assert all(TEXT_LINE.fullmatch(line) for line in text.splitlines())
    assert "lines lost" not in text
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in files())
    for found in numbers().values():
        assert len(found) == len(set(found)) and set(found) == set(range(count))


def test_a_file_that_was_removed(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log})
    log.unlink()
    wait_until(lambda: any("was removed; this is a new one" in line for line in lines_of(log)),
               "a new file")
    wait_until(lambda: tell(program, "say hello again") or "hello again" in log.read_text(),
               "the worker has it too")


def test_a_directory_that_cannot_be_written(launch, tmp_path):
    """No new file can be begun: it grows on, which is told once."""
    place = tmp_path / "place"
    place.mkdir()
    log = place / "own.log"
    program = launch("talker", sets={"crew.log": log, "crew.log_size": "4k"})
    (place / "own.log.new").mkdir()  # root may write anywhere; nobody opens a directory
    tell(program, "log 500")
    wait_until(lambda: "no new one can be begun" in log.read_text(), "it is told")
    (place / "own.log.new").rmdir()
    wait_until((place / "own.log.1").exists, "it is begun all the same")
    program.stop()
    assert (place / "own.log.1").read_text().count("no new one can be begun") == 1


# ---- what workers print ----


def test_what_is_printed_has_a_name(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log})
    tell(program, "out to the output")
    tell(program, "err to the errors")
    tell(program, "out " + "x" * 4000)
    wait_until(lambda: "xx\n" in log.read_text(), "all of it")
    said = [TEXT_LINE.fullmatch(line).groups()[1:] for line in lines_of(log)]
    assert ("info ", "talk#0", "to the output") in said
    assert ("warn ", "talk#0", "to the errors") in said
    pieces = [text for _, name, text in said if name == "talk#0" and text.startswith("xx")]
    assert len(pieces) == 2 and "".join(pieces) == "x" * 4000
    assert "to the output" not in program.output_path.read_text()


def test_the_last_line_of_a_worker_stands_before_its_obituary(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log})
    old = program.pid("talk")
    with Text(program.connect("talk")) as client:
        client.send_message(b"die without an end")
        wait_until(lambda: program.pid("talk") not in (None, old), "another one", 20)
    program.wait_ready()
    said = [line.split(" ", 2)[2].strip() for line in lines_of(log)]
    partial = said.index("talk#0: without an end")
    assert said.index("talk#0: about to die") < len(said)
    assert said[partial - 1] == "talk#0: whole line" or "talk#0: whole line" in said[:partial]
    obituary = [i for i, line in enumerate(said) if f"(pid {old}, " in line and "SIGABRT" in line]
    assert obituary and partial < obituary[0]


def test_the_last_word_before_an_exit(launch, tmp_path):
    """An error that is said right before _exit() is there."""
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log})
    old = program.pid("talk")
    with Text(program.connect("talk")) as client:
        client.send_message(b"leave the reason is this")
        wait_until(lambda: program.pid("talk") not in (None, old), "another one", 20)
    program.wait_ready()
    assert "error talk#0: the reason is this" in log.read_text()


def test_a_flood_is_cut_and_counted(launch, tmp_path):
    log = tmp_path / "own.log"
    program = launch("talker", sets={"crew.log": log, "crew.capture_lines": 50})
    tell(program, "flood 5000")

    def all_told():
        text = log.read_text()
        left_out = sum(map(int, re.findall(r"(\d+) lines of its output were left out", text)))
        told = len(re.findall(r"talk#0: flood \d+$", text, re.M))
        return (told, left_out) if told + left_out == 5000 else None

    told, left_out = wait_until(all_told, "all are told or counted", 20)
    assert told >= 50 and left_out > 0
    program.stop()


def test_a_master_that_stands_still_holds_nobody_up(launch):
    program = launch("talker")
    os.kill(program.master, signal.SIGSTOP)
    try:
        with Text(program.connect("talk")) as client:
            client.sock.settimeout(20 * PATIENCE)
            assert client.ask("flood 100000") == "done"
            assert client.ask("say still here") == "done"
    finally:
        os.kill(program.master, signal.SIGCONT)
    program.wait_output("still here")


def test_switched_off(launch):
    program = launch("talker", sets={"crew.capture_output": "off"})
    tell(program, "err printed as it is")
    wait_until(lambda: "printed as it is" in lines_of(program.output_path), "printed")


def test_single_prints_as_it_is(launch):
    program = launch("talker", "--single")
    tell(program, "err printed as it is")
    wait_until(lambda: "printed as it is" in lines_of(program.output_path), "printed")
