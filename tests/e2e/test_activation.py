"""Sockets that a service manager has opened, and those that it keeps for us."""

import os
import signal
import socket

import pytest
from manager import Manager, spawn_with
from processes import descriptor_count, open_files, wait_until
from program import free_port
from talk import ask

pytestmark = pytest.mark.one_engine


@pytest.fixture
def manager(tmp_path):
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


def listening(host="127.0.0.1", port=0, kind=socket.SOCK_STREAM, reuse=False):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    return sock


def listening_at(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen(64)
    return sock


def inode(sock):
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]"


def start_with(launch, sockets, *options, sets=None, env=None, **how):
    program = launch("control", start=False, sets=sets, **how)
    spawn_with(program, sockets, *options, env=env)
    program.wait_ready()
    program.master = program.process.pid
    return program


def answer_at(port, line="id"):
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(line.encode() + b"\n")
        return client.recv(100).decode().strip()


def test_by_name(launch):
    """It is that service's wherever it is bound; who connected before the start is served."""
    given = listening()
    port = given.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), 10) as early:
        early.sendall(b"id\n")
        program = start_with(launch, {"ctl": given})
        assert early.recv(100) == b"0\n"
    assert inode(given) in open_files(program.master)
    given.close()
    assert answer_at(port) == "0"
    assert f"127.0.0.1:{port}" in program.workers("ctl")[0]["listen"], "shown as it is"
    with pytest.raises(ConnectionRefusedError):
        answer_at(program.ports["ctl"])


def test_by_address(launch):
    port = free_port()
    given = listening(port=port)
    program = start_with(launch, {"whatever": given}, listens={"ctl": f"text://127.0.0.1:{port}"})
    assert inode(given) in open_files(program.master)
    given.close()
    assert answer_at(port) == "0"


def test_unix_socket(launch, tmp_path):
    path = tmp_path / "side.sock"
    given = listening_at(path)
    program = start_with(launch, {"web.socket": given}, listens={"side": f"text+unix://{path}"})
    assert inode(given) in open_files(program.master)
    given.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"id\n")
        assert client.recv(100) == b"0\n"
    program.stop()
    assert path.exists(), "the file is the manager's, not ours to remove"


def test_what_nobody_wants(launch):
    """Closed, and said; so is one that does not listen, or is of another kind."""
    stranger, deaf, datagrams = listening(), socket.socket(), listening(kind=socket.SOCK_DGRAM)
    program = start_with(launch, {"other": stranger, "ctl": [deaf, datagrams]})
    for sock in (stranger, deaf, datagrams):
        assert inode(sock) not in open_files(program.master)
    output = program.output()
    assert f"127.0.0.1:{stranger.getsockname()[1]}" in output
    assert output.count("that came from the service manager is closed") == 3
    assert ask(program, "id") == "0", "it listens where the settings say"


def test_one_for_each_worker(launch):
    """With reuse_port the sockets of one name are the workers'; those that are lacking are opened."""
    port = free_port()
    given = [listening(port=port, reuse=True) for _ in range(2)]
    sets = {"ctl.workers": 3, "ctl.reuse_port": "on"}
    program = start_with(
        launch, {"ctl": given}, sets=sets, listens={"ctl": f"text://127.0.0.1:{port}"})
    files = open_files(program.master)
    for sock in given:
        assert inode(sock) in files
        sock.close()
    seen = set()
    wait_until(lambda: seen.add(answer_at(port)) or len(seen) == 3, "every worker has answered")


def test_numbered_names(launch):
    """SERVICE.N is that service's address number N."""
    first, second = listening(), listening()
    ports = [sock.getsockname()[1] for sock in (first, second)]
    program = start_with(launch, {"ctl.1": second, "ctl.0": first},
                         listens={"ctl": "text://127.0.0.1:0 text://127.0.0.1:0"})
    first.close()
    second.close()
    listen = program.workers("ctl")[0]["listen"]
    assert listen == f"text://127.0.0.1:{ports[0]} text://127.0.0.1:{ports[1]}"
    assert [answer_at(port) for port in ports] == ["0", "0"]


def test_sockets_of_another_process(launch):
    """LISTEN_PID names somebody else: they are not for us, and nothing is closed."""
    given = listening()
    program = launch("control", env={"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "ctl"})
    assert ask(program, "id") == "0"
    assert ask(program, "env LISTEN_FDS") == "(unset)"
    given.close()


def test_daemon_and_single(launch):
    for options in (["-d"], ["--single"]):
        given = listening()
        port = given.getsockname()[1]
        program = launch("control", start=False)
        process = spawn_with(program, {"ctl": given}, *options)
        given.close()
        if options == ["-d"]:
            assert process.wait(20) == 0, program.output()
            program.process = None
        program.master = program.wait_ready()["pid"]
        assert answer_at(port) == "0"
        program.stop()


# ---- the store ----

STORE = {"crew.fd_store": "on"}


def restart_with(program, manager):
    """As a manager does it: with what it keeps."""
    kept = dict(manager.store)
    spawn_with(program, kept, env=manager.environment())
    program.wait_ready()
    program.master = program.process.pid


def test_store_outlives_a_crash(launch, manager):
    """kill -9 of the master: whoever connects meanwhile waits, and is served by the next one."""
    program = launch("control", sets=STORE, env=manager.environment())
    wait_until(lambda: len(manager.store) == 2, "both sockets are kept")
    program.may_fail = True
    program.kill_master()
    port = program.ports["ctl"]
    ready = len(manager.all("READY"))
    with socket.create_connection(("127.0.0.1", port), 10) as waiting:
        waiting.sendall(b"id\n")
        restart_with(program, manager)
        manager.wait("READY", "1", ready + 1)
        assert waiting.recv(100) == b"0\n"
    assert ask(program, "id", "side") == "0", "the Unix socket as well"
    assert len(manager.store) == 2, manager.store.keys()
    assert "is closed: no service" not in program.output()
    program.may_fail = False
    before = descriptor_count(program.master)
    assert program.cli("reload").returncode == 0
    assert len(manager.store) == 2
    wait_until(lambda: descriptor_count(program.master) <= before, "descriptors are flat")


def test_store_follows_the_settings(launch, manager):
    """What is not wanted any more goes from the store; a file that is removed as well."""
    program = launch("control", sets=STORE, env=manager.environment())
    wait_until(lambda: len(manager.store) == 2, "both sockets are kept")
    old = set(manager.store)
    program.may_fail = True
    program.kill_master()
    port = program.ports["ctl"] = free_port()
    program.listens["ctl"] = program.sets["ctl.listen"] = f"text://127.0.0.1:{port}"
    restart_with(program, manager)
    wait_until(lambda: set(manager.store) - old, "the new socket is kept")
    wait_until(lambda: len(manager.store) == 2, "the old one is not")
    assert ask(program, "id") == "0"
    program.may_fail = False
    program.stop()
    manager.wait("STOPPING", "1")
    wait_until(lambda: len(manager.store) == 1, "without the Unix socket, whose file is gone")
    assert next(iter(manager.store)).startswith("kept/ctl.0.0.")


def test_no_store_unless_asked(launch, manager):
    program = launch("control", env=manager.environment())
    manager.wait("READY", "1")
    os.kill(program.master, signal.SIGTERM)
    assert program.process.wait(10) == 0
    manager.wait("STOPPING", "1")
    assert not manager.all("FDSTORE")
