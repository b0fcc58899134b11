"""Where services listen: each form of address with real clients, options as operators write them,
several addresses of one service through deaths and reloads."""

import os
import re
import socket
import stat
import subprocess
import threading

import pytest
from certs import Authority
from clients import Http, Text
from program import ROOT, free_port
from talk import ask, hit, wait_new_pid

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def curl(*arguments):
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def addresses_of(program, service):
    """What `status` shows, of all workers the same."""
    shown = {worker["listen"] for worker in program.workers(service)}
    assert len(shown) == 1, shown
    return shown.pop().split()


def connect(address):
    """To one of the addresses that `status` shows."""
    scheme, _, rest = address.partition("://")
    if scheme == "unix" or scheme.endswith("+unix"):
        sock = socket.socket(socket.AF_UNIX)
        name = rest.encode()
        sock.settimeout(20)
        sock.connect(b"\0" + name[1:] if name.startswith(b"@") else name)
        return sock
    host, _, port = rest.rpartition(":")
    host = {"": "127.0.0.1", "*": "127.0.0.1"}.get(host, host.strip("[]"))
    return socket.create_connection((host, int(port)), 20)


def refused(launch, listen, words):
    """`start` says why, and nothing runs."""
    program = launch("hello", listens={"web": listen}, start=False)
    assert program.spawn().wait(20) == 1
    program.may_fail = True
    assert words in program.output(), program.output()
    return program


# ---- forms ----


def test_an_abstract_name(launch):
    name = f"crew-test-{os.getpid()}"
    program = launch("hello", listens={"web": f"http+unix://@{name}"})
    assert addresses_of(program, "web") == [f"http+unix://@{name}"]
    status, answer = curl("--abstract-unix-socket", name, "http://any/")
    assert status == 0 and "Hello" in answer, answer
    assert f"@{name}" in open("/proc/net/unix", encoding="utf-8").read()
    with Http(connect(f"http+unix://@{name}")):
        program.wait_totals("connected", lambda t: t["connections"] == 1)
        row = program.connections()[0]
        assert row["local"].startswith(f"unix:@{name[:20]}") and row["remote"] == "unix:"
        assert row["transport"] == "unix"
    program.stop()
    assert curl("--abstract-unix-socket", name, "http://any/")[0] == 7


def test_peers_with_names(launch):
    """A client may bind to a name before it connects, and choose any bytes for it."""
    program = launch("edge")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.bind(b"\0pe\x1b[er" + str(os.getpid()).encode())
        sock.connect(str(program.run_dir / "local.sock"))
        shown = f"unix:@pe%1B[er{os.getpid()}"
        assert Text(sock).read_message().decode() == shown
        assert [row["remote"] for row in program.connections()] == [shown]
        assert program.cli("kick", "unix:@other").returncode == 1
        assert program.cli("kick", shown).returncode == 0
        program.wait_totals("kicked", lambda t: t["closes_by_reason"]["kicked"] == 1)


def test_a_path_with_odd_bytes(launch, tmp_path):
    place = tmp_path / "a b?c%"
    listen = f"http+unix://{tmp_path}/a%20b%3Fc%25"
    program = launch("hello", listens={"web": listen})
    assert addresses_of(program, "web") == [listen]
    assert curl("--unix-socket", str(place), "http://any/")[0] == 0
    program.stop()
    assert not place.exists()


@needs_root
def test_who_may_connect_to_a_socket_file(launch):
    """Asked as other users: mode, owner and group are the file's from the first moment on."""
    rows = [
        ("?mode=0666", 0o666, 0, 0, True),
        ("?mode=0600", 0o600, 0, 0, False),
        ("?mode=0600&owner=nobody", 0o600, NOBODY, 0, True),
        ("?mode=0060&group=nogroup", 0o060, 0, NOBODY, True),
    ]
    for options, mode, uid, gid, may in rows:
        program = launch("hello", listens={"web": f"http+unix://RUNDIR/web.sock{options}"})
        path = program.run_dir / "web.sock"
        for part in [*path.parents][:4]:
            if str(part) not in ("/", "/tmp"):
                part.chmod(part.stat().st_mode | 0o111)
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert (found.st_uid, found.st_gid) == (uid, gid)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS",
             "--unix-socket", str(path), "http://any/"],
            capture_output=True, text=True, timeout=20, check=False,
        )
        assert (done.returncode == 0) == may, (options, done.stderr)
        program.stop()
        assert not path.exists()


def test_a_socket_file_is_never_open_to_all(launch):
    """Another thread looks at the file while it comes into being: it never has other permissions
    than those asked for."""
    program = launch("hello", listens={"web": "http+unix://RUNDIR/web.sock?mode=0640"}, start=False)
    seen, done = set(), threading.Event()
    path = program.run_dir / "web.sock"

    def look():
        while not done.is_set():
            try:
                seen.add(stat.S_IMODE(os.lstat(path).st_mode))
            except FileNotFoundError:
                pass

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        program.start()
    finally:
        done.set()
        watcher.join()
    assert seen <= {0o640}, [oct(mode) for mode in seen]


def test_an_ipv6_zone(launch):
    program = launch("hello", listens={"web": "http://[fe80::1%lo]:0?freebind"})
    (address,) = addresses_of(program, "web")
    assert re.fullmatch(r"http://\[fe80::1%lo\]:[1-9]\d+", address)


def test_both_families_and_one(launch):
    program = launch("hello", listens={"web": "http://:0"})
    port = int(addresses_of(program, "web")[0].rpartition(":")[2])
    for host in ("127.0.0.1", "[::1]"):
        assert curl(f"http://{host}:{port}/")[0] == 0
    program = launch("hello", listens={"web": "http://:0?v6only"})
    port = int(addresses_of(program, "web")[0].rpartition(":")[2])
    assert curl(f"http://[::1]:{port}/")[0] == 0
    assert curl(f"http://127.0.0.1:{port}/")[0] == 7


def test_the_chosen_port_is_told_everywhere(launch):
    program = launch("hello", listens={"web": "http://127.0.0.1:0 http://[::1]:0"})
    first, second = addresses_of(program, "web")
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", first)
    assert re.fullmatch(r"http://\[::1\]:[1-9]\d+", second)
    assert curl(first)[0] == 0 and curl(second)[0] == 0
    assert first in program.output() and second in program.output()  # the banner
    assert f"{first} {second}" in program.cli("status").stdout


def test_freebind(launch):
    """An address of a documentation network is not this machine's, and may become it."""
    refused(launch, f"http://192.0.2.1:{free_port()}", "?freebind")
    program = launch("hello", listens={"web": "http://192.0.2.1:0?freebind http://127.0.0.1:0"})
    assert curl(addresses_of(program, "web")[1])[0] == 0


def test_tls_by_its_scheme_on_all_kinds_of_addresses(launch, tmp_path):
    authority = Authority(tmp_path)
    server = authority.issue(["edge.example"])
    program = launch(
        "hello", sets={"web.tls_cert": server.cert, "web.tls_key": server.key},
        listens={"web": "https://127.0.0.1:0 https://[::1]:0 https+unix://RUNDIR/web.sock"},
    )
    for address in addresses_of(program, "web"):
        rest = address.partition("://")[2]
        where = ["--unix-socket", rest] if rest.startswith("/") else [
            "--connect-to", f"edge.example:443:{rest}"
        ]
        status, answer = curl("--cacert", str(authority.ca()), *where, "https://edge.example/")
        assert status == 0 and "Hello" in answer, (address, answer)


# ---- options ----


def test_options_reach_accepted_sockets(launch):
    """As the kernel shows them: ss tells of keep-alive timers."""
    program = launch("hello", listens={"web": "http://127.0.0.1:0?keepalive=333&backlog=7"})
    (address,) = addresses_of(program, "web")
    port = address.rpartition(":")[2]
    listening = subprocess.run(
        ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert listening[2] == "7", listening
    with connect(address):
        program.wait_totals("connected", lambda t: t["connections"] == 1)
        timers = subprocess.run(
            ["ss", "-Htno", f"sport = :{port}"], capture_output=True, text=True, check=True
        ).stdout
        assert re.search(r"timer:\(keepalive,5min3[0-3]", timers), timers


@pytest.mark.one_engine
@pytest.mark.parametrize(
    "listen, words",
    [
        ("http://127.0.0.1:0?baklog=5", 'unknown option "baklog"; did you mean "backlog"?'),
        ("http://127.0.0.1:0?backlog=0", "backlog=0: write a number from 1 to 65535"),
        ("http://127.0.0.1:0?mode=0600", '"mode" means nothing to a TCP address'),
        ("http+unix://@x?mode=0600", "means nothing to an abstract Unix socket"),
        ("http://127.0.0.1:0?interface=no-such-card", "no such network interface"),
        ("http+unix://RUNDIR/x?owner=no-such-user", "there is no such name on this machine"),
        ("http+unix://RUNDIR/x%", "hexadecimal"),
        ("http://127.0.0.1:0 tcp://127.0.0.1:0", "two schemes"),
        ("http://127.0.0.1:1 http://127.0.0.1:1", "stands there twice"),
        ("http+udp://127.0.0.1:1", "spoken over streams"),
        ("htp://127.0.0.1:1", 'did you mean "http"?'),
    ],
)
def test_what_is_refused(launch, listen, words):
    refused(launch, listen, words)


@pytest.mark.one_engine
def test_every_option_is_in_the_manual():
    table = (ROOT / "src/net/address_options.def").read_text(encoding="utf-8")
    names = re.findall(r"^X\((\w+),", table, re.MULTILINE)
    manual = (ROOT / "docs/addresses.md").read_text(encoding="utf-8")
    assert len(names) > 15
    assert set(names) == set(re.findall(r"^\| `(\w+)` \|", manual, re.MULTILINE))


def test_in_a_file_of_settings(launch, tmp_path):
    """Blanks between addresses survive file, master, worker and reload."""
    config = tmp_path / "hello.ini"
    config.write_text(
        "[web]\nlisten = http://127.0.0.1:0?backlog=9   http+unix://RUNDIR/w.sock?mode=0600\n"
    )
    program = launch("hello", start=False)
    del program.sets["web.listen"]
    program.start("-c", str(config))
    before = addresses_of(program, "web")
    assert len(before) == 2 and before[1] == f"http+unix://{program.run_dir}/w.sock"
    assert program.cli("reload", "-c", str(config)).returncode == 0
    assert addresses_of(program, "web") == before
    assert curl(before[0])[0] == 0
    assert curl("--unix-socket", str(program.run_dir / "w.sock"), "http://any/")[0] == 0


# ---- several addresses ----


SEVERAL = "text://127.0.0.1:0 text://[::1]:0?dscp=10 text+unix://RUNDIR/c.sock text+unix://@{name}"


def launch_several(launch, **sets):
    listen = SEVERAL.format(name=f"crew-several-{os.getpid()}-{free_port()}")
    program = launch(
        "control", sets={f"ctl.{key}": value for key, value in sets.items()},
        listens={"ctl": listen},
    )
    return program, addresses_of(program, "ctl")


def pid_at(address):
    with Text(connect(address)) as client:
        return int(client.ask("pid"))


@pytest.mark.parametrize("reuse_port", ["off", "on"])
def test_several_addresses_through_everything(launch, reuse_port):
    program, addresses = launch_several(
        launch, workers=2, reuse_port=reuse_port, drain_timeout_ms=2000
    )
    assert len(addresses) == 4
    for address in addresses:
        assert pid_at(address) in {program.pid("ctl", 0), program.pid("ctl", 1)}
    # A worker dies: its sibling has all its sockets meanwhile, and it gets them back.
    old = program.pid("ctl", 1)
    hit(old)
    for address in addresses * 4:
        assert pid_at(address) != old
    wait_new_pid(program, "ctl", 1, old)
    both = {program.pid("ctl", 0), program.pid("ctl", 1)}
    for address in addresses:
        assert {pid_at(address) for _ in range(20)} <= both
    if reuse_port == "on":
        assert {pid_at(addresses[1]) for _ in range(60)} == both
    # A reload: the same sockets, nobody is refused.
    failures, done = [], threading.Event()

    def knock():
        while not done.is_set():
            for address in addresses:
                try:
                    with Text(connect(address)) as client:
                        client.ask("pid")
                except (OSError, EOFError) as failure:
                    failures.append((address, failure))

    knocker = threading.Thread(target=knock)
    knocker.start()
    try:
        for _ in range(2):
            assert program.cli("reload", "-g").returncode == 0
    finally:
        done.set()
        knocker.join()
    assert not failures, failures[:3]
    assert addresses_of(program, "ctl") == addresses
    for address in addresses:
        assert pid_at(address) not in both
    program.stop()
    assert not (program.run_dir / "c.sock").exists()
    for address in addresses:
        with pytest.raises(OSError):
            connect(address)


def test_several_addresses_in_one_process(launch):
    listen = SEVERAL.format(name=f"crew-single-{os.getpid()}-{free_port()}")
    program = launch(
        "control", "--single", sets={"ctl.reuse_port": "on"}, listens={"ctl": listen}
    )
    addresses = addresses_of(program, "ctl")
    assert [pid_at(address) for address in addresses] == [program.master] * 4


def test_transports_of_mixed_addresses(launch):
    program = launch("control", listens={"ctl": "text+unix://RUNDIR/c.sock text://127.0.0.1:0"})
    unix, tcp = addresses_of(program, "ctl")
    with Text(connect(unix)) as one, Text(connect(tcp)) as other:
        one.ask("pid"), other.ask("pid")
        rows = {row["transport"]: row["local"] for row in program.connections()}
        assert rows == {"unix": "unix:", "tcp": tcp.partition("://")[2]}


def test_the_admin_service_at_two_addresses(launch):
    program = launch("hello", sets={"crew.admin": "http://127.0.0.1:0 http+unix://RUNDIR/a.sock"})
    tcp, unix = addresses_of(program, "admin")
    assert curl(f"{tcp}/metrics")[0] == 0
    assert curl("--unix-socket", unix.partition("://")[2], "http://any/healthz")[0] == 0
