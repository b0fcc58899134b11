"""A reload that brings another table of services, and the master that becomes the new program."""

import os
import shutil
import signal
import socket
import threading

import laws
import pytest
from clients import Text
from processes import alive, children, descriptor_count, wait_until
from program import find_binary, free_port

pytestmark = pytest.mark.one_engine


class Table:
    """The program `table`, installed as a file of ours, with a settings file of ours."""

    def __init__(self, launch, tmp_path, variant="table"):
        self.binary = tmp_path / "installed"
        self.config = tmp_path / "table.ini"
        self.ports = {name: free_port() for name in ("keep", "gone", "old", "moved", "fresh")}
        self.install(variant)
        self.program = launch("table", binary=self.binary, start=False)

    def install(self, variant):
        fresh = self.binary.with_name("fresh")
        shutil.copy2(find_binary(variant), fresh)
        os.rename(fresh, self.binary)

    def configure(self, *services):
        """`services` are (name, port, further lines)."""
        text = "".join(
            f"[{name}]\nlisten = text://127.0.0.1:{port}\n{more}\n" for name, port, more in services
        )
        fresh = self.config.with_suffix(".fresh")
        fresh.write_text(text)
        os.rename(fresh, self.config)

    def first(self):
        self.configure(*((name, self.ports[name], "") for name in ("keep", "gone", "old", "moved")))

    def second(self):
        self.configure(
            ("keep", self.ports["keep"], ""), ("fresh", self.ports["fresh"], ""),
            ("renamed", self.ports["old"], ""), ("moved", self.ports["moved"] + 1, ""),
        )

    def start(self, **env):
        self.program.spawn("-c", str(self.config), env=env)
        wait_until(lambda: self.settled(4), "four workers", 20)
        self.program.master = self.program.process.pid
        return self.program

    def settled(self, count):
        status = self.program.try_status()
        workers = status["workers"] if status else []
        return len(workers) == count and all(w["state"] == "ready" for w in workers)

    def reload(self, *options):
        return self.program.cli("reload", *options, seconds=60)


def ask(port):
    sock = socket.create_connection(("127.0.0.1", port), 20)
    with Text(sock) as client:
        return client.ask("?")


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


class Asking(threading.Thread):
    """Connects again and again until it is told to stop; no connect may fail or hang."""

    def __init__(self, port):
        super().__init__()
        self.port, self.count, self.failure, self.over = port, 0, None, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set() and not self.failure:
            try:
                ask(self.port)
                self.count += 1
            except OSError as failure:
                # One that was drained before its answer was accepted all the same.
                if isinstance(failure, (ConnectionRefusedError, TimeoutError)):
                    self.failure = failure
            except AssertionError:
                pass

    def end(self):
        self.over.set()
        self.join()
        assert not self.failure and self.count > 0, self.failure


@pytest.fixture
def table(launch, tmp_path):
    return Table(launch, tmp_path)


def test_services_come_and_go(table):
    """Added, removed, renamed at the same address, moved; those that stay refuse nobody."""
    table.first()
    program = table.start()
    before = program.lawful()
    assert ask(table.ports["keep"]) == "1 keep 1"
    assert ask(table.ports["old"]) == "1 old 1"
    askers = [Asking(table.ports[name]) for name in ("keep", "old")]
    table.install("table2")
    table.second()
    done = table.reload()
    for asker in askers:
        asker.end()
    assert done.returncode == 0, (done.stderr, program.output())
    assert ask(table.ports["keep"]) == "2 keep 2"
    assert ask(table.ports["old"]) == "2 renamed 2"
    assert ask(table.ports["fresh"]) == "2 fresh 2"
    assert ask(table.ports["moved"] + 1) == "2 moved 2"
    assert refuses(table.ports["gone"]) and refuses(table.ports["moved"])
    after = program.lawful()
    laws.never_backward(before, after)
    assert sorted(w["service"] for w in after["workers"]) == ["fresh", "keep", "moved", "renamed"]
    assert after["version"] == "2.0" and after["pid"] == program.master
    assert "4 services" in program.cli("status").stdout
    # And back again.
    table.install("table")
    table.first()
    assert table.reload().returncode == 0
    assert ask(table.ports["gone"]) == "1 gone 3" and ask(table.ports["moved"]) == "1 moved 3"
    assert refuses(table.ports["fresh"])
    laws.never_backward(after, program.lawful())


def test_other_counts(table):
    """More workers and fewer, with a socket that all share and with one for each."""
    table.first()
    program = table.start()
    for shared, each in ((3, 2), (1, 4), (2, 1)):
        table.configure(
            ("keep", table.ports["keep"], f"workers = {shared}"), ("gone", table.ports["gone"], ""),
            ("old", table.ports["old"], ""),
            ("moved", table.ports["fresh"], f"workers = {each}\nreuse_port = on"),
        )
        asker = Asking(table.ports["keep"])
        done = table.reload()
        asker.end()
        assert done.returncode == 0, done.stderr
        wait_until(lambda shared=shared, each=each: table.settled(shared + each + 2), "as many as asked")
        for _ in range(4):
            assert ask(table.ports["fresh"]).startswith("1 moved ")
    assert [w["id"] for w in program.workers("keep")] == [0, 1]


def test_an_address_that_is_taken_changes_nothing(table):
    table.first()
    program = table.start()
    with socket.create_server(("127.0.0.1", table.ports["fresh"])):
        table.configure(
            ("keep", table.ports["keep"], "workers = 2"), ("gone", table.ports["fresh"], ""),
            ("old", table.ports["old"], ""), ("moved", table.ports["moved"], ""),
        )
        done = table.reload()
        assert done.returncode == 1
        assert "service gone cannot listen on" in done.stderr and str(os.getpid()) in done.stderr
    assert table.settled(4) and ask(table.ports["gone"]) == "1 gone 1"
    assert program.status()["generation"] == 1


def test_the_master_becomes_the_new_program(table):
    table.first()
    program = table.start()
    old = os.stat(f"/proc/{program.master}/exe").st_ino
    table.install("table2")
    table.second()
    assert table.reload().returncode == 0
    assert os.stat(f"/proc/{program.master}/exe").st_ino == os.stat(table.binary).st_ino != old
    # Its callbacks are those of the new version, and it goes on looking after its workers.
    pid = program.pid("fresh")
    os.kill(pid, signal.SIGKILL)
    program.wait_output("table variant 2 buries fresh#0")
    wait_until(lambda: table.settled(4), "another one in its place")
    assert ask(table.ports["fresh"]) == "2 fresh 2"
    os.kill(program.master, signal.SIGHUP)
    wait_until(lambda: ask(table.ports["fresh"]) == "2 fresh 3", "a reload by signal")
    wait_until(lambda: "reload done: generation 3" in program.output(), "its end")


def test_a_master_that_cannot_follow_stays(launch, tmp_path):
    """Workers are of the new version, and it goes on with them; the next version is taken again."""
    table = Table(launch, tmp_path)
    table.first()
    program = table.start()
    exe = os.stat(f"/proc/{program.master}/exe").st_ino
    table.install("table3")
    table.second()
    done = table.reload()
    assert done.returncode == 0 and "the master itself stays" in done.stdout, done
    assert os.stat(f"/proc/{program.master}/exe").st_ino == exe
    assert ask(table.ports["fresh"]) == "3 fresh 2"
    os.kill(program.pid("fresh"), signal.SIGKILL)
    wait_until(lambda: table.settled(4), "another one in its place")
    assert ask(table.ports["fresh"]) == "3 fresh 2"
    table.install("table2")
    done = table.reload()
    assert done.returncode == 0 and "stays" not in done.stdout, done
    assert os.stat(f"/proc/{program.master}/exe").st_ino == os.stat(table.binary).st_ino
    assert ask(table.ports["fresh"]) == "2 fresh 3"


class Succession:
    """A reload to table5, whose rehearsal waits until it is let go."""

    def __init__(self, table):
        table.first()
        self.table, self.program = table, table.start(TABLE_REHEARSAL="waits")
        table.install("table5")
        table.second()
        self.reload = threading.Thread(target=self.run)
        self.done = None
        self.reload.start()
        wait_until(self.rehearsal, "a rehearsal", 30)

    def run(self):
        self.done = self.table.reload()

    def rehearsal(self):
        status = self.program.try_status()
        workers = [w["pid"] for w in status["workers"]] if status else []
        return len(workers) == 4 and len(children(self.program.master)) == 5

    def go(self):
        (self.program.directory / "go").touch()
        self.reload.join()
        assert self.done.returncode == 0, (self.done, self.program.output())
        assert "stays" not in self.done.stdout, self.done
        wait_until(lambda: self.table.settled(4), "four workers")


def test_a_worker_dies_between_the_images(table):
    """The new image buries it, and the reload ends once."""
    succession = Succession(table)
    program = succession.program
    victim = program.pid("fresh")
    (program.directory / "victim").write_text(str(victim))
    succession.go()
    (program.directory / "victim").unlink()
    assert program.pid("fresh") != victim and ask(table.ports["fresh"]) == "5 fresh 2"
    wait_until(lambda: len(children(program.master)) == 4, "no other rehearsal")
    assert table.reload().returncode == 0
    assert ask(table.ports["fresh"]) == "5 fresh 3"
    assert program.output().count("reload done: generation 2") == 1, program.output()


def test_a_worker_has_lost_its_wire(table):
    """The next image knows it, and kills it in its time."""
    succession = Succession(table)
    program = succession.program
    victim = program.pid("fresh")
    with Text(socket.create_connection(("127.0.0.1", table.ports["fresh"]), 20)) as client:
        client.send_message(b"deaf")
        wait_until(lambda: program.workers("fresh")[0]["state"] == "draining", "the master has seen it")
        succession.go()
    assert not alive(victim) and ask(table.ports["fresh"]) == "5 fresh 2"


def test_a_rehearsal_that_is_none(table):
    """The master stays what it was when the new program ends with status 0, but in its own main()."""
    table.first()
    program = table.start(TABLE_REHEARSAL="quits")
    table.install("table5")
    table.second()
    done = table.reload()
    assert done.returncode == 0 and "the master itself stays" in done.stdout, (done, program.output())
    assert table.settled(4) and ask(table.ports["fresh"]) == "5 fresh 2"


def test_killed_during_a_rehearsal(table):
    """Nobody keeps its lock and its sockets."""
    table.first()
    program = table.start(TABLE_REHEARSAL="hangs")
    table.install("table5")
    table.second()
    assert table.reload("--no-wait").returncode == 0
    seen = wait_until(
        lambda: table.settled(4) and len(children(program.master)) == 5 and children(program.master),
        "a rehearsal", 30)
    program.kill_master()
    wait_until(lambda: not any(map(alive, seen)), "all have gone")
    table.start()
    assert ask(table.ports["fresh"]) == "5 fresh 1"


def test_a_program_without_a_plan_changes_nothing(launch, tmp_path):
    table = Table(launch, tmp_path)
    table.first()
    program = table.start()
    pids = [w["pid"] for w in program.workers()]
    table.install("table4")
    done = table.reload()
    assert done.returncode == 1 and "SIGKILL" in done.stderr and "plan" in done.stderr
    assert [w["pid"] for w in program.workers()] == pids


def test_nothing_gathers_in_the_master(table):
    """Descriptors and processes are as many after ten successions as after the first."""
    table.first()
    program = table.start()
    assert table.reload().returncode == 0
    wait_until(lambda: len(children(program.master)) == 4, "four children")
    before = descriptor_count(program.master)
    for number in range(10):
        table.install("table2" if number % 2 else "table")
        (table.second if number % 2 else table.first)()
        done = table.reload()
        assert done.returncode == 0, (done.stderr, program.output())
    wait_until(lambda: len(children(program.master)) == 4, "four children")
    wait_until(lambda: descriptor_count(program.master) <= before, "as many descriptors")


def test_the_program_is_a_link(table):
    """Its target is what is run, in each image anew; when nothing is there, nothing changes."""
    versions = [table.binary.with_name(name) for name in ("one", "two")]
    for version, variant in zip(versions, ("table", "table2")):
        shutil.copy2(find_binary(variant), version)
    table.binary.unlink()
    table.binary.symlink_to(versions[0])
    table.first()
    program = table.start()
    versions[0].unlink()
    os.kill(program.master, signal.SIGHUP)
    program.wait_output("reload refused, nothing has changed: cannot execute")
    for number, variant in ((2, 2), (3, 1)):
        version = versions[variant - 1]
        if variant == 1:
            shutil.copy2(find_binary("table"), version)
        table.binary.unlink()
        table.binary.symlink_to(version)
        (table.second if variant == 2 else table.first)()
        done = table.reload()
        assert done.returncode == 0 and "stays" not in done.stdout, (done, program.output())
        assert ask(table.ports["keep"]) == f"{variant} keep {number}"


def test_killed_after_it(table):
    """Workers see the end of a master that has executed itself anew, and the next start works."""
    table.first()
    program = table.start()
    assert table.reload().returncode == 0
    pids = [w["pid"] for w in program.workers()]
    program.kill_master()
    wait_until(lambda: not any(map(alive, pids)), "the workers have gone")
    table.start()
    assert ask(table.ports["keep"]) == "1 keep 1"


def test_stop_in_the_middle(table):
    """A stop goes through whatever a reload is doing, and what waits for it is told."""
    table.first()
    program = table.start()
    for _ in range(3):
        assert table.reload("--no-wait").returncode == 0
        program.stop()
        program.process = None
        table.start()
