"""Sessions: in the run directory and in Redis, on several workers, whatever becomes of those."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from clients import Http
from processes import wait_until
from program import free_port
from talk import hit, wait_new_pid

TWO = {"local.workers": 2, "far.workers": 2}
ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Browser:
    """Keeps cookies, by name and path. It asks over a connection that is given, over its own (`far`:
    what one worker does to Redis is done in order), or each time over a new one (`local`: any worker
    has the same at once)."""

    def __init__(self, program, service="local"):
        self.program, self.service = program, service
        self.client = Http(program.connect(service)) if service == "far" else None
        self.cookies = {}
        self.set_cookie = None  # of the last answer

    def field(self, target):
        sent = [f"{name}={value}" for (name, path), value in self.cookies.items()
                if target.startswith(path)]
        return f"Cookie: {'; '.join(sent)}\r\n" if sent else ""

    def take(self, text):
        self.set_cookie = text
        if text is None:
            return
        pair, *attributes = text.split("; ")
        name, _, value = pair.partition("=")
        told = dict(part.lower().partition("=")[::2] for part in attributes)
        key = (name, told["path"])
        if told.get("max-age") == "0":
            self.cookies.pop(key, None)
        else:
            self.cookies[key] = value

    def other(self):
        """Another browser, which asks the same worker."""
        browser = Browser(self.program)
        browser.service, browser.client = self.service, self.client
        return browser

    def answer(self, target, client=None):
        own = client or self.client or Http(self.program.connect(self.service))
        response = own.get(target, more=self.field(target))
        self.take(response.fields.get("set-cookie"))
        if own not in (client, self.client):
            own.close()
        return response

    def ask(self, target, client=None):
        response = self.answer(target, client)
        assert response.status == 200, (target, response.status, response.body)
        return response.body.decode()

    def id(self, name="sid", path="/"):
        return self.cookies.get((name, path))


class Redis:
    def __init__(self, directory):
        self.directory, self.port = directory, free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self.directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self.cli("ping") == "PONG", "redis-server answers", 20)
        return self

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def cli(self, *arguments):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *arguments], check=False,
                              capture_output=True, text=True, timeout=10)
        return done.stdout.strip()


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory):
    server = Redis(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def both(launch_once, shared_redis):
    """The program with one service on each store, shared by the tests that break nothing."""
    return launch_once("sessions", sets=TWO, env={"SESSIONS_REDIS": shared_redis.url})


@pytest.fixture(params=["local", "far"])
def browser(both, request):
    return Browser(both, request.param)


def connections_to_both(browser):
    """A connection to each of the two workers."""
    by_pid = {}

    def found():
        client = Http(browser.program.connect(browser.service))
        pid = int(browser.ask("/pid", client))
        if pid in by_pid:
            client.close()
        else:
            by_pid[pid] = client
        return len(by_pid) == 2

    wait_until(found, "a connection to each worker", 20, pause=0)
    return list(by_pid.values())


# ---- the life of a session ----


def test_a_session_begins_with_the_first_value(browser):
    assert browser.ask("/get?a") == "-"
    assert browser.ask("/id") == ""
    assert browser.ask("/all") == "0"
    assert browser.set_cookie is None and not browser.cookies
    assert browser.ask("/set?a=1") == "0"
    assert ID.fullmatch(browser.id())
    assert browser.ask("/get?a") == "1"
    assert browser.set_cookie is None  # told once
    assert browser.ask("/id") == browser.id()
    assert browser.ask("/set?b=2") == "0"
    assert browser.ask("/all") == "2"
    assert browser.other().ask("/all") == "0"  # another's


def test_deleting_and_the_end(browser):
    browser.ask("/set?a=1")
    browser.ask("/set?b=2")
    assert browser.ask("/pull?a") == "1"
    assert browser.ask("/pull?a") == "-"
    assert browser.ask("/delete?a") == "-2"  # ENOENT
    old = dict(browser.cookies)
    assert browser.ask("/delete?b") == "0"
    assert "Max-Age=0" in browser.set_cookie and not browser.cookies  # nothing is left
    browser.cookies = dict(old)
    assert browser.ask("/all") == "0"
    assert browser.ask("/set?c=3") == "0"
    assert browser.id() != old["sid", "/"]
    assert browser.ask("/end") == "0"
    assert not browser.cookies
    assert browser.ask("/end") == "0"
    assert browser.set_cookie is None


def test_login_gives_a_new_id(browser):
    browser.ask("/set?cart=full")
    before = dict(browser.cookies)
    assert browser.ask("/login?user=anna") == "0"
    assert browser.id() != before["sid", "/"]
    assert browser.ask("/get?cart") == "full"
    assert browser.ask("/get?user") == "anna"
    thief = browser.other()
    thief.cookies = before
    assert thief.ask("/all") == "0"  # the old id opens nothing any more


def test_a_planted_id_is_never_taken(browser):
    for planted in ("A" * 43, "A" * 42, "../../etc/passwd", '"x"', "a" * 5000, ""):
        browser.cookies = {("sid", "/"): planted}
        assert browser.ask("/all") == "0"
        assert browser.ask("/id") == ""
        browser.cookies = {("sid", "/"): planted}
        assert browser.ask("/set?a=1") == "0"
        assert ID.fullmatch(browser.id()) and browser.id() != planted
        assert browser.ask("/get?a") == "1"


def test_the_cookie_is_found_among_others(browser):
    browser.ask("/set?a=1")
    own, client = browser.id(), browser.client or Http(browser.program.connect("local"))
    for field in (f"sid={own}", f"x=1; sid={own}", f"x=1;sid={own} ;y", f"\tsid={own}\t; x=1",
                  f"sid=planted; sid={own}", f"sid=; sid; =; ;;sid={own}", f"xsid=1; sid={own};",
                  f"x=1\r\nCookie: sid={own}"):
        answer = client.get("/get?a", more=f"Cookie: {field}\r\n")
        assert answer.body == b"1", field
    for field in (f"xsid={own}", f"SID={own}", f"sid ={own}", f"x=sid={own}", f"sid={own}x",
                  f"sid=\"{own}\""):
        answer = client.get("/get?a", more=f"Cookie: {field}\r\n")
        assert answer.body == b"-", field


def test_a_flash_is_there_once(browser):
    assert browser.ask("/flash?note=saved") == "0"
    assert browser.ask("/pid")  # does not look
    assert browser.ask("/get?note") == "saved"
    assert browser.ask("/get?note") == "-"
    browser.ask("/set?a=1")
    browser.ask("/flash?note=2")
    assert browser.ask("/all") == "2"
    assert browser.ask("/all") == "1"


def test_answers_that_come_later(browser):
    assert browser.ask("/late?a=1") == "later"
    assert browser.ask("/get?a") == "1"
    assert browser.ask("/keep?b=2") == "later"  # kept, changed, answered, freed
    assert browser.ask("/get?b") == "2"
    fresh = browser.other()
    assert fresh.ask("/keep?c=3") == "later"
    assert fresh.ask("/get?c") == "3"
    for asks in (fresh, browser.other()):
        assert asks.ask("/freed?d=4") == "later"
        assert asks.ask("/get?d") == "4"


def test_after_the_answer_nothing_can_be_set(browser):
    browser.ask("/set?a=1")
    with Http(browser.program.connect(browser.service)) as client:
        assert browser.ask("/after", client) == "answered"
        assert browser.ask("/last", client) == "-107"  # ENOTCONN
    assert browser.ask("/all") == "1"


def test_values_are_bounded(browser):
    assert browser.ask("/large?70000") == "-90"  # EMSGSIZE
    assert browser.set_cookie is None
    assert browser.ask("/large?65531") == "0"  # with its name, 64 KiB
    assert browser.ask("/set?b=1") == "-90"
    assert len(browser.ask("/get?large")) == 65531


def test_all_workers_have_the_same(browser):
    one, other = connections_to_both(browser)
    for i in range(50):
        assert browser.ask(f"/set?n={i}", one) == "0"
        if browser.service == "local":
            assert browser.ask("/get?n", other) == str(i)
        else:  # Redis may look at the one worker's connection after the other's
            wait_until(lambda: browser.ask("/get?n", other) == str(i), "the other has it too")
        one, other = other, one
    one.close()
    other.close()


def test_the_end_in_one_request_is_not_undone_by_another(browser):
    """One that began before changes its values after the session was ended."""
    browser.ask("/set?user=anna")
    cookies = dict(browser.cookies)
    slow = Http(browser.program.connect(browser.service))
    slow.send(f"GET /keep?x=1 HTTP/1.1\r\nHost: a\r\n{browser.field('/')}\r\n".encode())
    if browser.service == "far":  # there it is read before the handler; locally, when looked at
        time.sleep(0.02)
    browser.ask("/end")
    assert slow.read_response().status == 200
    slow.close()
    browser.cookies = cookies
    assert browser.ask("/get?user") == "-"


# ---- cookies ----


def test_cookies_are_careful_by_default(both):
    browser = Browser(both)
    browser.ask("/strict/set?a=1")
    assert set(browser.set_cookie.split("; ")[1:]) == \
        {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    browser = Browser(both)
    browser.ask("/set?a=1")
    assert set(browser.set_cookie.split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax"}


def test_one_name_on_two_paths_is_two_sessions(both):
    """What /admin knows of a browser is not opened by an id that / has given out."""
    browser = Browser(both)
    browser.ask("/set?admin=1")
    browser.cookies = {("sid", "/admin"): browser.id()}
    assert browser.ask("/admin/all") == "0"
    assert browser.ask("/admin/set?a=1") == "0"
    assert len(browser.cookies) == 1


def test_a_lasting_cookie_is_renewed(both):
    browser = Browser(both)
    browser.ask("/lasting/set?a=1")
    assert "Max-Age=4" in browser.set_cookie
    browser.ask("/lasting/get?a")
    assert browser.set_cookie is None
    time.sleep(1.3)  # a quarter of its life has passed: using it moves the end
    assert browser.ask("/lasting/get?a") == "1"
    assert "Max-Age=4" in browser.set_cookie
    for _ in range(4):
        time.sleep(1.2)
        assert browser.ask("/lasting/get?a") == "1"


def used_in_time(browser):
    """Longer than the second that it lasts unused. False: this machine was too busy for that."""
    used = time.monotonic()
    browser.ask("/short/set?a=1")
    for _ in range(4):
        time.sleep(0.5)
        asked = time.monotonic()
        value = browser.ask("/short/get?a")
        if time.monotonic() - used >= 1:
            return False
        assert value == "1"
        used = asked
    return True


def test_a_session_ends_when_it_is_not_used(both):
    browser = Browser(both)
    wait_until(lambda: used_in_time(browser), "it is used before it ends", 20)
    time.sleep(1.2)
    assert browser.ask("/short/get?a") == "-"


# ---- the store in the run directory ----


def test_services_and_restarts_share_it(launch):
    program = launch("sessions", sets=TWO)
    browser = Browser(program)
    browser.ask("/set?a=1")
    browser.service = "far"
    assert browser.ask("/get?a") == "1"
    hit(program.pid("far", 0))
    hit(program.pid("far", 1))
    wait_until(lambda: len(program.workers("far")) == 2, "both are back")
    program.wait_ready()
    assert browser.ask("/get?a") == "1"
    assert program.cli("reload").returncode == 0
    program.wait_ready(generation=2)
    assert browser.ask("/get?a") == "1"
    program.stop()
    program.start()
    assert browser.ask("/get?a") == "1"
    [directory] = program.run_dir.glob("*.sessions-*")
    assert directory.stat().st_mode & 0o777 == 0o700


def test_single(launch):
    program = launch("sessions", "--single")
    browser = Browser(program)
    browser.ask("/set?a=1")
    browser.service = "far"
    assert browser.ask("/get?a") == "1"


@pytest.mark.one_engine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give workers another user")
def test_workers_of_another_user(launch):
    program = launch("sessions", sets=TWO, start=False)
    program.directory.parent.chmod(0o755)
    program.sets.update({"local.user": "nobody"})
    program.start()
    browser = Browser(program)
    browser.ask("/set?a=1")
    assert browser.ask("/get?a") == "1"
    assert len(list(program.run_dir.glob("*.sessions-*"))) == 2  # root's workers have their own
    browser.service = "far"
    assert browser.ask("/get?a") == "-"


HOLDER = """
import fcntl, os, signal, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_stopped_writer_is_reported_and_stops_nobody(launch):
    program = launch("sessions", sets=TWO)
    browser = Browser(program)
    browser.ask("/set?a=1")
    [gate] = program.run_dir.glob("*.sessions-*/sessions.gate")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(gate)], stdout=subprocess.PIPE) as it:
        assert it.stdout.readline() == b"held\n"
        began = time.monotonic()
        assert browser.ask("/set?a=2") == "0"
        assert browser.ask("/get?a") in ("1", "2")  # reading waits for nobody
        assert time.monotonic() - began < 1
        program.wait_output(f"process {it.pid}, which is stopped")
        it.kill()
    assert browser.ask("/set?a=3") == "0"
    assert browser.ask("/get?a") == "3"


def test_a_stopped_worker_stops_nobody(launch):
    """A worker that writes all the time is stopped at any moment, perhaps while it writes."""
    program = launch("sessions", sets=TWO)
    busy, calm = Browser(program), Browser(program)
    one, other = connections_to_both(busy)
    pid = int(busy.ask("/pid", one))
    calm.ask("/set?a=0", other)
    for i in range(10):
        busy.ask("/set?a=1", one)
        one.send(f"GET /set?n={i} HTTP/1.1\r\nHost: a\r\n{busy.field('/')}\r\n".encode() * 200)
        time.sleep(0.001 * i)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert calm.ask(f"/set?a={i}", other) == "0"
        assert calm.ask("/get?a", other) is not None
        assert time.monotonic() - began < 1
        os.kill(pid, signal.SIGCONT)
        for _ in range(200):
            assert one.read_response().status == 200
    one.close()
    other.close()


def test_killed_workers_harm_no_session(launch):
    program = launch("sessions", sets=TWO)
    browser = Browser(program)
    browser.ask("/set?a=1")
    for i in range(4):
        pid = program.pid("local", 0)
        client = Http(program.connect("local"))
        client.send(f"GET /set?n={i} HTTP/1.1\r\nHost: a\r\n{browser.field('/')}\r\n".encode() * 99)
        hit(pid)
        wait_new_pid(program, "local", 0, pid)
        client.close()
        assert browser.ask("/get?a") == "1"
        assert browser.ask(f"/set?m={i}") == "0"
        assert browser.ask("/get?m") == str(i)


@pytest.mark.one_engine
def test_another_boots_sessions_are_gone(launch):
    program = launch("sessions", sets=TWO)
    browser = Browser(program)
    browser.ask("/set?a=1")
    program.stop()
    [boot] = program.run_dir.glob("*.sessions-*/sessions.boot")
    boot.write_text("0" * 36)
    program.start()
    assert browser.ask("/get?a") == "-"
    assert browser.ask("/set?a=2") == "0"
    assert browser.ask("/get?a") == "2"


@pytest.mark.one_engine
def test_a_store_that_cannot_be_is_told_at_the_start(launch):
    for store, words in (("redis://redis.example:6379", "localhost"),
                         ("memcached://127.0.0.1:1", "redis+unix://"),
                         ("redis://127.0.0.1", "port")):
        program = launch("sessions", sets=TWO, start=False)
        program.may_fail = True
        process = program.spawn(env={"SESSIONS_REDIS": store})
        assert process.wait(30) == 1
        program.wait_output(words)
        program.wait_output('service "far": sessions: store')


# ---- Redis ----


def test_redis_keeps_them(both, shared_redis):
    browser = Browser(both, "far")
    browser.ask("/set?a=1")
    key = f"crew:session:{browser.id()}"
    wait_until(lambda: 1400 < int(shared_redis.cli("ttl", key)) <= 1440, "it is there")
    shared_redis.cli("expire", key, "100")
    assert browser.ask("/get?a") == "1"  # used again: a new end
    wait_until(lambda: int(shared_redis.cli("ttl", key)) > 1400, "its end has moved")
    shared_redis.cli("set", key, "nonsense")
    assert browser.ask("/all") == "0"
    assert browser.ask("/set?b=1") == "0"
    assert browser.id() != key[-43:]
    key = f"crew:session:{browser.id()}"
    wait_until(lambda: shared_redis.cli("exists", key) == "1", "the new one is there")
    browser.ask("/end")
    wait_until(lambda: shared_redis.cli("exists", key) == "0", "it is gone")


def test_redis_dies_and_comes_back(launch, redis):
    program = launch("sessions", sets=TWO, env={"SESSIONS_REDIS": redis.url})
    browser = Browser(program, "far")
    workers = connections_to_both(browser)
    browser.ask("/set?a=1")
    redis.stop()
    for worker in workers:
        wait_until(lambda: browser.answer("/get?a", worker).status == 503, "503")
        for _ in range(20):
            began = time.monotonic()
            assert browser.answer("/get?a", worker).status == 503
            assert time.monotonic() - began < 0.5
        anew = Browser(program, "far")
        assert anew.ask("/pid", worker)  # without a cookie nobody needs it
        assert anew.ask("/set?a=1", worker) == "0"
        assert anew.set_cookie is None  # what is not kept gets no cookie
    program.wait_output("is away")
    redis.start()
    for worker in workers:
        wait_until(lambda: browser.answer("/get?a", worker).status == 200, "it is back")
        assert browser.ask("/set?a=2", worker) == "0"
        assert browser.ask("/get?a", worker) == "2"
        worker.close()


def test_redis_hangs(launch, redis):
    program = launch("sessions", sets=TWO, env={"SESSIONS_REDIS": redis.url})
    browser = Browser(program, "far")
    browser.ask("/set?a=1")
    redis.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    clients = [Http(program.connect("far")) for _ in range(20)]
    for client in clients:
        client.send(f"GET /get?a HTTP/1.1\r\nHost: a\r\n{browser.field('/')}\r\n".encode())
    clients[0].reset()  # one that waits goes
    assert Browser(program, "far").ask("/pid")  # others are served meanwhile
    for client in clients[1:]:
        assert client.read_response().status == 503
        client.close()
    assert time.monotonic() - began < 5
    redis.process.send_signal(signal.SIGCONT)
    for worker in connections_to_both(Browser(program, "far")):
        wait_until(lambda: browser.answer("/get?a", worker).status == 200, "it goes on")
        assert browser.ask("/get?a", worker) == "1"
        worker.close()
