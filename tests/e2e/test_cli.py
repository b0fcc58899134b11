"""The command line: what it says to what, and with which exit status."""

import os
import shutil
import socket

import pytest
from clients import Text
from program import find_binary, free_port
from talk import ask

pytestmark = pytest.mark.one_engine

DONE, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3


@pytest.fixture
def idle(launch):
    """A program that is not started."""
    return launch("control", start=False)


def refused(done, status, *words):
    """One line that names the thing, the exit status, and nothing on the standard output."""
    statuses = status if isinstance(status, tuple) else (status,)
    assert done.returncode in statuses, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert str(word).lower() in lines[0].lower(), lines[0]
    return lines[0]


# ---- what is typed wrong ----


def test_unknown_command(idle):
    refused(idle.cli("strat"), USAGE, "strat", "start")
    refused(idle.cli("frobnicate"), USAGE, "frobnicate")
    refused(idle.cli("start", "stop"), USAGE, "stop")
    assert idle.cli().returncode == USAGE


def test_unknown_option(idle):
    refused(idle.cli("status", "--jsno"), USAGE, "--jsno", "--json")
    refused(idle.cli("stop", "-x"), USAGE, "-x")
    refused(idle.cli("status", "--set"), USAGE, "--set")
    refused(idle.cli("stop", "--json"), USAGE, "--json")


BAD_SETTINGS = [
    ("ctl.max_mesage=1", "max_mesage", "max_message"),
    ("ctll.workers=1", "ctll", "ctl"),
    ("crew.engin=poll", "engin", "engine"),
    ("crew.engine=kqueue", "kqueue"),
    ("ctl.workers=none", "none"),
    ("ctl.workers=0", "workers"),
    ("ctl.workers=-1", "workers"),
    ("ctl.max_message=99999999999999999999", "max_message"),
    ("ctl.max_message=1x", "1x"),
    ("ctl.reuse_port=perhaps", "perhaps"),
    ("ctl.listen=gopher://127.0.0.1:1", "gopher"),
    ("ctl.listen=tls://127.0.0.1:1", "tls"),
    ("ctl.listen=sctp://127.0.0.1:1", "sctp"),
    ("ctl.tls_cert=/etc/hosts", "tls_cert"),
    ("ctl.listen=tcp://127.0.0.1", "127.0.0.1"),
    ("ctl.listen=tcp://127.0.0.1:99999", "99999"),
    ("ctl.listen=tcp://no.such.host:80", "no.such.host"),
    ("ctl.listen=nonsense", "nonsense"),
    ("ctl.listen=unix://" + "x" * 200, "long"),
    ("ctl.user=nosuchuser", "nosuchuser"),
    ("ctl.group=nosuchgroup", "nosuchgroup"),
    ("crew.log_level=loud", "loud"),
    ("nonsense", "nonsense"),
    ("ctl.workers", "ctl.workers"),
    ("app.refuse=1", "app.refuse is set"),
]


@pytest.mark.parametrize("setting,words", [(row[0], row[1:]) for row in BAD_SETTINGS],
                         ids=[row[0][:24] for row in BAD_SETTINGS])
def test_bad_setting(idle, setting, words):
    """configtest and start say the same, and nothing starts."""
    for command in ("configtest", "start"):
        refused(idle.cli(command, "--set", setting), (FAILED, USAGE), *words)
    assert idle.cli("status").returncode == NOT_RUNNING


def test_bad_file(idle, tmp_path):
    config = tmp_path / "control.ini"
    for text, words in (
        ("[ctl]\nworkers = 2\n\nmax_mesage = 1\n", (":4", "max_mesage", "max_message")),
        ("[clt]\nworkers = 2\n", ("clt", "ctl")),
        ("[ctl]\nworkers = two\n", (":2", "two")),
        ("workers = 2\n", (":1",)),
        ("[ctl]\nwhat is this\n", (":2",)),
        ("[ctl\nworkers = 2\n", (":1",)),
    ):
        config.write_text(text)
        refused(idle.cli("configtest", "-c", str(config)), (FAILED, USAGE), config.name, *words)
    config.write_text("[app]\nword = " + "x" * 70_000 + "\n[ctl]\nworkers = 1\n")
    done = idle.cli("configtest", "-c", str(config))
    assert done.returncode in (DONE, FAILED), "a long line is taken whole or refused, never cut"
    if done.returncode == FAILED:
        refused(done, FAILED, ":2")


def test_unreadable_file(idle, tmp_path):
    missing = tmp_path / "missing.ini"
    for command in ("start", "configtest"):
        refused(idle.cli(command, "-c", str(missing)), (FAILED, USAGE), missing)
    refused(idle.cli("configtest", "-c", str(tmp_path)), (FAILED, USAGE), tmp_path)


# ---- what cannot be done ----


def test_nothing_runs(idle):
    for command in (["stop"], ["stop", "-g"], ["reload"], ["status"], ["status", "--json"],
                    ["connections"], ["connections", "--json"]):
        done = idle.cli(*command)
        refused(done, NOT_RUNNING, "not running")
        assert not done.stdout


def test_port_in_use(idle):
    """It names who holds it, and nothing of it stays behind."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        idle.sets["ctl.listen"] = f"text://127.0.0.1:{port}"
        for how in ((), ("-d",), ("--single",)):
            done = idle.cli("start", *how, *idle.arguments()[2:])
            refused(done, FAILED, port, os.getpid())
    assert idle.cli("status").returncode == NOT_RUNNING
    assert not (idle.run_dir / "side.sock").exists()


def test_port_in_use_by_another_instance(launch):
    first, second = launch("control"), launch("control", start=False)
    second.sets["ctl.listen"] = first.listens["ctl"]
    refused(second.cli("start", *second.arguments()[2:]), FAILED, first.ports["ctl"])
    assert ask(first, "id") == "0"


def test_run_dir_that_cannot_be(idle, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    idle.run_dir = file / "run"
    refused(idle.cli("start", *idle.arguments()[2:]), FAILED, file)


def test_port_of_others_needs_rights(idle):
    """A socket file that somebody listens on is not taken away from him."""
    idle.run_dir.mkdir(mode=0o700)
    path = idle.run_dir / "side.sock"
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(str(path))
        holder.listen()
        refused(idle.cli("start", *idle.arguments()[2:]), FAILED, "side.sock")
        assert path.exists()


# ---- what is to be said ----


def test_configtest_version_help(idle):
    done = idle.cli("configtest")
    assert done.returncode == DONE and not done.stderr
    done = idle.cli("version")
    assert done.returncode == DONE and "1.2.3" in done.stdout and "control" in done.stdout
    done = idle.cli("help")
    assert done.returncode == DONE
    for word in ("start", "stop", "restart", "reload", "status", "connections", "configtest",
                 "version", "help", "--set", "--run-dir", "-c", "-q"):
        assert word in done.stdout, word
    assert not idle.run_dir.exists(), "a question left traces"


def test_precedence(launch, tmp_path):
    """The file beats the code, --set beats the file, the last --set beats the others."""
    config = tmp_path / "control.ini"
    config.write_text(
        "# a comment\n[ctl]\nworkers = 2   ; two of them\n\n[side]\nworkers = 3\n"
        "[app]\nword = from the file\nother = spaces  inside\n"
    )
    program = launch("control", "-c", str(config), start=False)
    program.sets.update({"ctl.workers": 2, "side.workers": 1, "app.word": "from the line"})
    program.start("-c", str(config), "--set", "app.word=first")
    assert len(program.workers("ctl")) == 2 and len(program.workers("side")) == 1
    assert ask(program, "setting word") == "from the line"
    assert ask(program, "setting other") == "spaces  inside"
    assert ask(program, "setting third") == "(unset)"


def test_workers_auto(launch):
    program = launch("control", start=False)
    program.sets["ctl.workers"] = "auto"
    program.spawn()
    count = len(os.sched_getaffinity(0))
    program.expected_workers = lambda: count + 1
    program.wait_ready()
    program.master = program.process.pid
    assert len(program.workers("ctl")) == count


def test_banner_and_quiet(launch):
    loud, quiet = launch("control"), launch("control", "-q")
    loud.stop()
    quiet.stop()
    assert "ctl" in loud.output() and f":{loud.ports['ctl']}" in loud.output()
    assert len(quiet.output().splitlines()) < len(loud.output().splitlines())


def test_log_file(launch, tmp_path):
    """[crew] log, and its reopening by SIGUSR1 after somebody moved it."""
    log, moved = tmp_path / "own.log", tmp_path / "moved.log"
    program = launch("control", sets={"crew.log": log})
    assert "control started" in log.read_text()
    os.rename(log, moved)
    os.kill(program.master, 10)
    with Text(program.connect("ctl")) as client:
        client.send_message(b"exit 3")
    program.wait_totals("it died", lambda t: True)
    program.wait_ready()
    assert log.exists(), "the log was not reopened"
    assert "status 3" in log.read_text()


def test_user(launch):
    """Workers leave root behind."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    program = launch("control", start=False, sets={"ctl.user": "nobody"})
    for path in [program.directory, *program.directory.parents[:1]]:
        path.chmod(0o755)
    program.start()

    def uids(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            lines = {line.split(":")[0]: line.split()[1:] for line in file}
        return lines["Uid"], lines["Groups"]

    ids, groups = uids(program.pid("ctl"))
    assert set(ids) == {"65534"} and "0" not in groups
    assert set(uids(program.pid("side"))[0]) == {"0"}
    assert ask(program, "id") == "0"


def test_program_started_by_a_relative_path(launch, tmp_path):
    """The commands find it again, and so does a reload."""
    shutil.copy2(find_binary("control"), tmp_path / "prog")
    program = launch("control", start=False)
    program.binary = "./prog"
    os.chdir(tmp_path)
    try:
        program.start(cwd=tmp_path)
        assert program.cli("reload").returncode == DONE
        assert ask(program, "gen") == "2"
        program.stop()
    finally:
        os.chdir("/")


def test_free_ports_are_below_those_of_clients():
    """The harness itself: a port for a server must not be taken by a client meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        assert free_port() < int(file.read().split()[0])
