"""TLS of services, looked at by curl, openssl s_client and Python's own: who is shown which
certificate, what is agreed on, whose client is let in, which sessions go on in another worker, and
how certificates are renewed while connections come."""

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from certs import Authority
from processes import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue(["secure.example", "127.0.0.1"])


def tls(pairs, service="web", **more):
    """Settings for that service."""
    pairs = pairs if isinstance(pairs, list) else [pairs]
    sets = {
        f"{service}.tls_cert": " ".join(str(pair.cert) for pair in pairs),
        f"{service}.tls_key": " ".join(str(pair.key) for pair in pairs),
    }
    return sets | {f"{service}.{key}": str(value) for key, value in more.items()}


def curl(*arguments, good=True):
    done = subprocess.run(
        ["curl", "-sS", "-m", "20", *map(str, arguments)],
        capture_output=True, text=True, timeout=40, check=False,
    )
    if good:
        assert done.returncode == 0, done.stderr
    return done.stdout if good else done


def ask(program, authority, *more, name=None, good=True):
    port = program.ports["web"]
    host = name or "127.0.0.1"
    where = ["--resolve", f"{name}:{port}:127.0.0.1"] if name else []
    return curl("--cacert", authority.ca(), *where, *more, f"https://{host}:{port}/", good=good)


def s_client(port, *arguments, said=b""):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, arguments)],
        input=said, capture_output=True, timeout=40, check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def subject(text):
    found = re.search(r"subject=.*CN = (\S+)", text)
    return found and found.group(1)


def context(authority, **pair):
    made = ssl.create_default_context(cafile=str(authority.ca()))
    if pair:
        made.load_cert_chain(pair["cert"], pair["key"])
    return made


def say(program, authority, line, name="127.0.0.1", tls_context=None):
    """One line to `line` over TLS, and the line that answers."""
    made = tls_context or context(authority)
    with socket.create_connection(("127.0.0.1", program.ports["line"]), 20) as plain:
        with made.wrap_socket(plain, server_hostname=name) as secure:
            secure.sendall(line.encode() + b"\n")
            return secure.makefile("rb").readline().decode().rstrip("\n")


# ---- what is agreed on ----------------------------------------------------------------------------


def test_https_and_what_the_program_knows(launch, authority, pair):
    program = launch("secure", sets=tls(pair), listens={"web": "https://127.0.0.1:{port}"})
    told = ask(program, authority, name="secure.example")
    assert "version=TLSv1.3" in told and "cipher=TLS_" in told
    assert "name=secure.example" in told and "alpn=http/1.1" in told and "peer=- " in told
    told = ask(program, authority, "--tls-max", "1.2", "--no-alpn")
    assert "version=TLSv1.2" in told and "cipher=ECDHE-ECDSA-" in told
    assert "name=- " in told and "alpn=- " in told
    program.lawful()


def test_any_stream_scheme_speaks_tls_with_a_certificate(launch, authority, pair):
    program = launch("secure", sets=tls(pair, "line"))
    assert "version=TLSv1.3" in say(program, authority, "hello")
    assert len(say(program, authority, "big")) == 1 << 20
    # Its neighbour has none, and says so of each connection.
    told = curl(f"http://127.0.0.1:{program.ports['web']}/")
    assert told.startswith("version=- cipher=- name=- alpn=- peer=- ")


def test_versions(launch, authority, pair):
    sets = tls(pair) | tls(pair, "line", tls_min="1.3")
    program = launch("secure", sets=sets)
    web, line = program.ports["web"], program.ports["line"]
    for option, port, good in [
        ("-tls1_3", web, True), ("-tls1_2", web, True), ("-tls1_1", web, False),
        ("-tls1_3", line, True), ("-tls1_2", line, False),
    ]:
        _, told = s_client(port, option, "-cipher", "ALL:@SECLEVEL=0", "-CAfile", authority.ca())
        assert ("Verify return code: 0 (ok)" in told and "Cipher is (NONE)" not in told) == good, (
            option, told)
    # Without forward secrecy nothing is spoken.
    _, told = s_client(web, "-tls1_2", "-cipher", "AES128-GCM-SHA256")
    assert "Cipher is (NONE)" in told


def test_nothing_in_common_is_the_end(launch, authority, pair):
    program = launch("secure", sets=tls(pair) | tls(pair, "line", tls_alpn="acme/2 acme/1"))
    _, told = s_client(program.ports["web"], "-alpn", "h2,spdy/3")
    assert "no application protocol" in told
    _, told = s_client(program.ports["web"], "-alpn", "h2,http/1.1", "-CAfile", authority.ca())
    assert "ALPN protocol: http/1.1" in told
    _, told = s_client(program.ports["line"], "-alpn", "acme/1,acme/2", "-CAfile", authority.ca())
    assert "ALPN protocol: acme/2" in told


def test_plain_http_to_a_tls_port_is_answered_as_such(launch, authority, pair):
    program = launch("secure", sets=tls(pair))
    done = curl("-i", f"http://127.0.0.1:{program.ports['web']}/")
    assert done.startswith("HTTP/1.1 400") and "https" in done
    assert "version=" in ask(program, authority)
    closes = wait_until(
        lambda: program.totals()["closes_by_reason"]["handshake"], "it counts as a handshake")
    assert closes == 1


def test_a_handshake_has_its_time(launch, authority, pair):
    program = launch("secure", sets=tls(pair, handshake_timeout_ms=500))
    with socket.create_connection(("127.0.0.1", program.ports["web"]), 20) as silent:
        began = time.monotonic()
        assert silent.recv(100) == b""
        assert time.monotonic() - began < 10
    assert program.totals()["closes_by_reason"]["handshake"] == 1
    assert "version=" in ask(program, authority)


# ---- which certificate ----------------------------------------------------------------------------


def test_each_name_has_its_certificate(launch, authority, pair):
    other = authority.issue(["other.example", "*.star.example"])
    program = launch("secure", sets=tls([pair, other]))
    for name, shown in [
        ("secure.example", "secure.example"), ("other.example", "other.example"),
        ("a.star.example", "other.example"), ("OTHER.example", "other.example"),
        ("star.example", "secure.example"), ("b.a.star.example", "secure.example"),
        (None, "secure.example"),
    ]:
        asked = ["-servername", name] if name else ["-noservername"]
        _, told = s_client(program.ports["web"], *asked)
        assert subject(told) == shown, (name, told)
    assert "name=a.star.example" in ask(program, authority, name="a.star.example")


def test_an_ocsp_answer_is_stapled(launch, authority, pair):
    answer = authority.ocsp(pair)
    program = launch("secure", sets=tls(pair, tls_ocsp=answer) | tls(pair, "line"))
    _, told = s_client(program.ports["web"], "-status")
    assert "OCSP Response Status: successful" in told and "Cert Status: good" in told
    _, told = s_client(program.ports["line"], "-status")
    assert "OCSP response: no response sent" in told


# ---- whose clients --------------------------------------------------------------------------------


def test_clients_are_let_in_by_their_certificates(launch, authority, pair, tmp_path):
    clients = Authority(tmp_path, "clients")
    alice = clients.issue(["alice"], client=True)
    expired = clients.issue(["bob"], client=True, days=-1)
    foreign = authority.issue(["mallory"], client=True)
    sets = tls(pair, tls_client_ca=clients.ca()) | tls(
        pair, "line", tls_client_ca=clients.ca(), tls_client="optional"
    )
    program = launch("secure", sets=sets)
    told = ask(program, authority, "--cert", alice.cert, "--key", alice.key)
    assert "peer=CN=alice " in told
    for bad in (expired, foreign):
        done = ask(program, authority, "--cert", bad.cert, "--key", bad.key, good=False)
        assert done.returncode != 0 and not done.stdout
    assert ask(program, authority, good=False).returncode != 0
    assert "peer=- " in say(program, authority, "hello")
    known = context(authority, cert=alice.cert, key=alice.key)
    assert "peer=CN=alice " in say(program, authority, "hello", tls_context=known)
    program.wait_output("is ready")
    program.lawful()


# ---- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_go_on_in_every_worker(launch, authority, pair, tmp_path, version):
    """Each worker opens the tickets of the others, and those that were started later too."""
    sets = tls(pair) | {"web.workers": 3, "web.reuse_port": "on"}
    program = launch("secure", sets=sets)
    port, session = program.ports["web"], tmp_path / "session"
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    def visit(*more):
        code, told = s_client(
            port, version, "-CAfile", authority.ca(), "-ign_eof", "-sess_out", session, *more,
            said=request,
        )
        assert code == 0 and "200 OK" in told, told
        return "Reused, TLSv" in told, re.search(r"worker=(\d)", told).group(1)

    assert not visit()[0]
    visits = [visit("-sess_in", session) for _ in range(12)]
    assert all(reused for reused, _ in visits), visits
    assert len({worker for _, worker in visits}) > 1, "all came to the same worker"
    before = program.pid("web", 0)
    os.kill(before, 9)
    wait_until(lambda: program.pid("web", 0) not in (None, before), "it was started again")
    program.wait_ready()
    assert all(visit("-sess_in", session)[0] for _ in range(6))
    # A reload brings new workers, which know the keys as well.
    assert program.cli("reload", seconds=60).returncode == 0
    program.wait_ready(generation=2)
    assert visit("-sess_in", session)[0]
    # And a restart has other keys.
    assert program.cli("stop").returncode == 0


# ---- renewing -------------------------------------------------------------------------------------


def put(source, target):
    """As a tool for certificates does it: a new file under the old name."""
    fresh = target.with_suffix(".fresh")
    fresh.write_bytes(source.read_bytes())
    os.rename(fresh, target)


@pytest.fixture
def installed(authority, pair, tmp_path):
    """A certificate of its own, which the test may replace."""
    cert, key = tmp_path / "live.pem", tmp_path / "live.key"
    put(pair.cert, cert)
    put(pair.key, key)
    return pair._replace(cert=cert, key=key)


def serial_shown(program, authority):
    made = context(authority)
    with socket.create_connection(("127.0.0.1", program.ports["web"]), 20) as plain:
        with made.wrap_socket(plain, server_hostname="secure.example") as secure:
            return int(secure.getpeercert()["serialNumber"], 16)


def serial_of(pair):
    done = subprocess.run(
        ["openssl", "x509", "-in", pair.cert, "-noout", "-serial"],
        capture_output=True, text=True, check=True,
    )
    return int(done.stdout.strip().split("=")[1], 16)


class Visitors(threading.Thread):
    """New connections, one after the other, until they are told to end."""

    def __init__(self, program, authority):
        super().__init__(daemon=True)
        self.program, self.authority = program, authority
        self.over = threading.Event()
        self.visits, self.failures, self.serials = 0, [], set()

    def run(self):
        made = context(self.authority)
        address = ("127.0.0.1", self.program.ports["web"])
        while not self.over.is_set():
            try:
                with socket.create_connection(address, 20) as plain:
                    with made.wrap_socket(plain, server_hostname="secure.example") as secure:
                        secure.sendall(
                            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        answer = b"".join(iter(lambda: secure.recv(4096), b""))
                        self.serials.add(int(secure.getpeercert()["serialNumber"], 16))
                        assert b"200 OK" in answer, answer
                self.visits += 1
            except (OSError, AssertionError) as failure:
                self.failures.append(failure)

    def end(self):
        self.over.set()
        self.join(30)
        assert not self.failures, self.failures[:3]


def logged(program, words, count=1):
    return wait_until(
        lambda: program.output().count(words) >= count, f"{count} x {words!r} in the log", 30)


def test_certificates_are_renewed_under_load(launch, authority, installed, pair, tmp_path):
    """Files are replaced back and forth, some of them broken: no request fails, and what is broken is
    told once and never used."""
    program = launch("secure", sets=tls(installed) | {"web.workers": 2})
    new = authority.issue(["secure.example", "127.0.0.1"])
    broken = tmp_path / "broken"
    broken.write_bytes(new.cert.read_bytes()[:300])
    visitors = [Visitors(program, authority) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    refused, taken = "the old stay in force", "new certificates are in force"

    put(new.cert, installed.cert)  # its key has not come yet
    logged(program, refused, 1)
    put(new.key, installed.key)
    logged(program, taken, 1)
    wait_until(lambda: serial_shown(program, authority) == serial_of(new), "the new one is shown")
    put(broken, installed.cert)
    logged(program, refused, 2)
    installed.key.unlink()
    logged(program, refused, 3)
    put(pair.key, installed.key)
    put(pair.cert, installed.cert)
    logged(program, taken, 2)
    wait_until(lambda: serial_shown(program, authority) == serial_of(pair), "the first is back")
    for visitor in visitors:
        visitor.end()
    assert sum(visitor.visits for visitor in visitors) > 20
    serials = set.union(*(visitor.serials for visitor in visitors))
    assert serials == {serial_of(pair), serial_of(new)}
    output = program.output()
    assert output.count(refused) == 3 and output.count(taken) == 2, output
    assert "is not that of the certificate" in output and "damaged" in output
    assert "No such file" in output
    events = json.loads(program.cli("events", "--json").stdout)
    kinds = [event["figures"]["taken"] for event in events if event["kind"] == "tls"]
    assert kinds.count(1) == 2 and kinds.count(0) == 3, events
    program.lawful()


def test_a_worker_that_starts_later_has_the_newest_sound_set(launch, authority, installed):
    program = launch("secure", sets=tls(installed))
    new = authority.issue(["secure.example"])
    put(new.key, installed.key)
    put(new.cert, installed.cert)
    logged(program, "new certificates are in force")
    installed.cert.write_text("broken")
    logged(program, "the old stay in force")
    before = program.pid("web", 0)
    os.kill(before, 9)
    wait_until(lambda: program.pid("web", 0) not in (None, before), "it was started again")
    program.wait_ready()
    assert serial_shown(program, authority) == serial_of(new)


def test_reload_takes_certificates_or_nothing(launch, authority, installed):
    program = launch("secure", sets=tls(installed))
    new = authority.issue(["secure.example"])
    put(new.cert, installed.cert)
    done = program.cli("reload", seconds=60)
    assert done.returncode == 1 and "not that of the certificate" in done.stdout + done.stderr
    put(new.key, installed.key)
    done = program.cli("reload", seconds=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert serial_shown(program, authority) == serial_of(new)


def test_single_renews_as_well(launch, authority, installed):
    program = launch("secure", "--single", sets=tls(installed))
    new = authority.issue(["secure.example"])
    put(new.cert, installed.cert)
    logged(program, "the old stay in force")
    put(new.key, installed.key)
    logged(program, "new certificates are in force")
    assert serial_shown(program, authority) == serial_of(new)
    assert "version=TLSv1.3" in ask(program, authority, name="secure.example")


# ---- what operators see ---------------------------------------------------------------------------


def expiry(pair):
    done = subprocess.run(
        ["openssl", "x509", "-in", pair.cert, "-noout", "-enddate"],
        capture_output=True, text=True, check=True,
    )
    return ssl.cert_time_to_seconds(done.stdout.strip().split("=")[1])


def test_expiry_is_told(launch, authority, pair):
    soon = authority.issue(["soon.example"], days=5)
    program = launch("secure", sets=tls([pair, soon]) | {"crew.admin": "http://127.0.0.1:0"})
    worker = next(w for w in program.workers("web"))
    assert worker["tls"]["expires"] == expiry(soon)
    assert isinstance(worker["tls"]["ktls"], bool)
    assert worker["tls"]["ktls"] == (worker["tls"]["ktls_why_not"] is None)
    assert next(w for w in program.workers("line"))["tls"] is None
    text = program.cli("status").stdout
    assert "first certificate expires" in text and "days)" in text
    program.wait_output("expires in ")
    assert "expires in 4 days" in program.output() or "expires in 5 days" in program.output()
    program.wait_output(str(soon.cert))
    listen = next(w for w in program.workers("admin"))["listen"]
    metrics = curl(listen + "/metrics")
    assert f'crew_tls_certificate_expiry_seconds{{service="web"}} {int(expiry(soon))}\n' in metrics
    assert 'crew_tls_certificate_expiry_seconds{service="line"}' not in metrics


def test_ktls_may_be_off(launch, pair):
    program = launch("secure", sets=tls(pair, ktls="off"))
    worker = next(w for w in program.workers("web"))
    assert worker["tls"]["ktls"] is False and "setting" in worker["tls"]["ktls_why_not"]


@pytest.mark.one_engine
@pytest.mark.parametrize(
    "sets, words",
    [
        ({"web.listen": "https://127.0.0.1:1"}, ["web.listen", "tls_cert"]),
        ({"web.tls_cert": "{cert}"}, ["web.tls_cert", "tls_key"]),
        ({"web.tls_key": "{key}"}, ["web.tls_key", "tls_cert"]),
        ({"web.tls_cert": "{cert} {cert}", "web.tls_key": "{key}"}, ["(2 and 1)", "2"]),
        ({"web.tls_cert": "{cert}", "web.tls_key": "{cert}"}, ["no private key", "{cert}"]),
        ({"web.tls_cert": "{key}", "web.tls_key": "{key}"}, ["no certificate", "{key}"]),
        ({"web.tls_cert": "/nowhere/x", "web.tls_key": "{key}"}, ["/nowhere/x", "No such file"]),
        ({"web.tls_cert": "/", "web.tls_key": "{key}"}, ["no plain file"]),
        ({"web.tls_min": "1.3"}, ["web.tls_min", "tls_cert"]),
        ({"web.tls_cert": "{cert}", "web.tls_key": "{key}", "web.tls_min": "1.1"}, ["1.2 and 1.3"]),
        (
            {"web.tls_cert": "{cert}", "web.tls_key": "{key}", "web.tls_client": "required"},
            ["tls_client_ca"],
        ),
        (
            {"web.tls_cert": "{cert}", "web.tls_key": "{key}", "web.tls_client_ca": "{key}"},
            ["no certificate", "{key}"],
        ),
        (
            {"web.tls_cert": "{cert}", "web.tls_key": "{key}", "web.tls_ocsp": "{cert}"},
            ["no OCSP answer", "{cert}"],
        ),
        (
            {"web.tls_cert": "{cert}", "web.tls_key": "{key}", "web.tls_ocsp": "- -"},
            ["tls_ocsp", "(1 and 2)"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["configtest", "start"])
def test_what_is_not_sound_is_refused(launch, pair, sets, words, command):
    names = {"cert": pair.cert, "key": pair.key}
    program = launch("secure", start=False)
    program.sets |= {key: value.format(**names) for key, value in sets.items()}
    done = subprocess.run(
        [program.binary, command, *program.arguments()],
        capture_output=True, text=True, timeout=40, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    said = done.stdout + done.stderr
    for word in words:
        assert word.format(**names) in said, said


@pytest.mark.one_engine
def test_what_is_sound_passes_the_test(launch, pair):
    program = launch("secure", start=False)
    program.sets |= tls(pair)
    done = subprocess.run(
        [program.binary, "configtest", *program.arguments()],
        capture_output=True, text=True, timeout=40, check=False,
    )
    assert done.returncode == 0 and "good" in done.stdout, done.stderr
