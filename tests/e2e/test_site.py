"""The example `site`, as a visitor and as curl see it: forms, sessions, middleware, error pages,
CORS, and a WebSocket beside the pages."""

import json
import re
import shutil
import subprocess

import pytest

from browser import Browser, Tab
from clients import Http

pytestmark = pytest.mark.one_engine


@pytest.fixture(scope="module")
def site(launch_once):
    return launch_once("site")


@pytest.fixture
def browser(tmp_path):
    one = Browser(tmp_path)
    yield one
    one.close()


class Curl:
    """A visitor with a jar of cookies."""

    def __init__(self, program, directory):
        self.program = program
        self.jar = directory / "cookies"

    def get(self, path, *options):
        """Status, fields and body."""
        done = subprocess.run(
            ["curl", "-sSi", "--max-time", "20", "-b", self.jar, "-c", self.jar, *options,
             self.program.url("site", path)], capture_output=True, check=True, text=True)
        head, _, body = done.stdout.partition("\n\n")
        first, *lines = head.splitlines()
        fields = {}
        for line in lines:
            name, _, value = line.partition(": ")
            fields.setdefault(name.lower(), []).append(value)
        return int(first.split()[1]), fields, body

    def session(self):
        lines = self.jar.read_text().splitlines()
        found = [line.split("\t")[-1] for line in lines if "\tsid\t" in line]
        return found[0] if found else None

    def log_in(self, name, password="swordfish"):
        return self.get("/login", "--data-urlencode", f"name={name}", "-d", f"password={password}")


@pytest.fixture
def visitor(site, tmp_path):
    return Curl(site, tmp_path)


def flash(body):
    found = re.search('<p class="flash">(.*?)</p>', body)
    return found[1] if found else None


# ---- by curl ----


def test_login_and_logout(visitor):
    status, fields, body = visitor.get("/")
    assert status == 200 and "Log in" in body and "set-cookie" not in fields
    status, fields, _ = visitor.log_in("ann", "guess")
    assert (status, fields["location"]) == (303, ["/login"])
    cookie = fields["set-cookie"][0]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    before = visitor.session()
    assert flash(visitor.get("/login")[2]) == "That is not the password."
    assert flash(visitor.get("/login")[2]) is None, "it is shown once"

    status, fields, _ = visitor.log_in("ann")
    assert (status, fields["location"]) == (303, ["/"])
    assert visitor.session() not in (None, before), "a login changes the id"
    _, _, body = visitor.get("/")
    assert flash(body) == "Welcome." and "Log out ann" in body
    planted = subprocess.run(["curl", "-sS", "-b", f"sid={before}", visitor.program.url("site")],
                             capture_output=True, check=True, text=True).stdout
    assert "Log out" not in planted

    mine = visitor.session()
    status, fields, _ = visitor.get("/logout", "-X", "POST")
    assert status == 303 and "Max-Age=0" in fields["set-cookie"][0]
    assert visitor.session() is None
    kept = subprocess.run(["curl", "-sS", "-b", f"sid={mine}", visitor.program.url("site")],
                          capture_output=True, check=True, text=True).stdout
    assert "Log out" not in kept, "the session has ended at the server, too"


def test_a_login_outlives_a_restart(launch, tmp_path):
    program = launch("site")
    visitor = Curl(program, tmp_path)
    visitor.log_in("bea")
    program.stop()
    program.start()
    assert "Log out bea" in visitor.get("/")[2]


def test_notes_want_a_login(visitor):
    for options in ([], ["-F", "text=mine"]):
        path = "/notes" if options else "/notes/new"
        status, fields, _ = visitor.get(path, *options)
        assert (status, fields["location"]) == (303, ["/login"]), path
    assert flash(visitor.get("/login")[2]) == "Log in first."
    assert "mine" not in visitor.get("/api/notes")[2]


def test_notes_with_and_without_a_file(visitor, tmp_path):
    visitor.log_in("<cleo>")
    file = tmp_path / "a picture.png"
    file.write_bytes(b"\x89PNG" + bytes(200_000))
    assert visitor.get("/notes", "-F", "text=a <b>bold</b> & \"wise\" note")[0] == 303
    assert visitor.get("/notes", "-F", "text=with a file", "-F", f"file=@{file}")[0] == 303
    _, _, body = visitor.get("/")
    assert flash(body) == "Your note is in the book."
    assert "<li><b>&lt;cleo&gt;</b>: a &lt;b&gt;bold&lt;/b&gt; &amp; &quot;wise&quot; note" in body
    assert "with a file <i>a picture.png, 200004 bytes</i>" in body
    assert body.index("with a file") < body.index("wise"), "the newest comes first"
    # A form without files will do as well.
    assert visitor.get("/notes", "--data-urlencode", "text=urlencoded € & all")[0] == 303
    notes = json.loads(visitor.get("/api/notes")[2])
    assert notes[-1] == {"name": "<cleo>", "text": "urlencoded € & all", "file": ""}
    assert notes[-2]["file"] == "a picture.png"


def test_notes_that_are_refused(visitor):
    visitor.log_in("dora")
    count = len(json.loads(visitor.get("/api/notes")[2]))
    for text in ("text=", "text=" + "x" * 401, "text=%ff", "other=1"):
        status, fields, body = visitor.get("/notes", "-d", text)
        assert status == 422 and "A note has 1 to 400 bytes" in body, text[:20]
        assert fields["content-type"][0].startswith("text/html")
    assert len(json.loads(visitor.get("/api/notes")[2])) == count


def test_a_ring_of_notes(visitor):
    visitor.log_in("emma")
    for number in range(103):
        assert visitor.get("/notes", "-d", f"text=number {number}")[0] == 303
    notes = json.loads(visitor.get("/api/notes")[2])
    assert [note["text"] for note in notes] == [f"number {n}" for n in range(3, 103)]
    assert visitor.get("/api/notes/0")[0] == 404
    assert visitor.get("/api/notes/1000000000000")[0] == 404


def test_error_pages_and_what_every_page_has(visitor):
    status, fields, body = visitor.get("/nowhere")
    assert status == 404 and "<h1>" in body
    status, _, body = visitor.get("/nowhere", "-H", "Accept: application/json")
    assert status == 404 and json.loads(body)
    status, fields, _ = visitor.get("/logout")
    assert status == 405 and "POST" in fields["allow"][0]
    for path in ("/", "/login", "/api/notes"):
        assert visitor.get(path)[1]["x-frame-options"] == ["DENY"], path
    assert visitor.get("/", "-I")[0] == 200


def test_scripts_of_other_sites_may_use_the_api_alone(visitor):
    other = ("-H", "Origin: https://other.example")
    assert visitor.get("/api/notes", *other)[1]["access-control-allow-origin"] == ["*"]
    assert "access-control-allow-origin" not in visitor.get("/", *other)[1]
    status, fields, _ = visitor.get("/api/notes", *other, "-X", "OPTIONS", "-H",
                                    "Access-Control-Request-Method: GET")
    assert status in (200, 204) and "GET" in fields["access-control-allow-methods"][0]


def handshake(site, origin):
    with Http(site.connect("site")) as client:
        client.send(
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{site.ports['site']}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}\r\n".encode())
        return client.read_until(b"\r\n").split()[1]


def test_the_websocket_is_for_this_sites_pages(site):
    assert handshake(site, "") == b"101"
    assert handshake(site, f"Origin: http://127.0.0.1:{site.ports['site']}\r\n") == b"101"
    assert handshake(site, "Origin: http://other.example\r\n") == b"403"


# ---- in a browser ----


def fill_in(tab, **values):
    """The fields of the page's first form of its own, and its button."""
    for name, value in values.items():
        tab.value(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")


def press(tab, button):
    tab.value("[...document.querySelectorAll('button')]"
              f".find(one => one.textContent.startsWith({json.dumps(button)})).click()")


def follow(tab, link):
    tab.value("[...document.querySelectorAll('a')]"
              f".find(one => one.textContent == {json.dumps(link)}).click()")


def wait_page(tab, path, words):
    tab.wait_value(f"location.pathname == {json.dumps(path)} && document.readyState == 'complete' "
                   f"&& document.body.innerText.includes({json.dumps(words)})")


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_visit(launch, browser):
    site = launch("site")
    url = site.url("site")
    reader = Tab(browser, url)
    reader.wait_value("list.dataset.live == 'yes'")
    writer = Tab(browser, url)
    follow(writer, "Log in")
    wait_page(writer, "/login", "Password")
    fill_in(writer, name="Fay", password="wrong")
    press(writer, "Log in")
    wait_page(writer, "/login", "That is not the password.")
    fill_in(writer, name="Fay", password="swordfish")
    press(writer, "Log in")
    wait_page(writer, "/", "Welcome.")
    assert writer.value("document.cookie") == "", "scripts must not see the session's cookie"

    follow(writer, "Write")
    wait_page(writer, "/notes/new", "Your note")
    fill_in(writer, text="<script>document.title = 'broken'</script>")
    press(writer, "Write it")
    wait_page(writer, "/", "Your note is in the book.")
    assert writer.value("document.title") == "Guest book - a guest book"
    # The other one, who is not logged in, hears of it without having asked.
    reader.wait_value("list.children.length == 1")
    assert reader.value("list.firstChild.textContent").startswith("Fay: <script>")
    assert reader.value("document.body.innerText").count("Log out") == 0

    press(writer, "Log out")
    wait_page(writer, "/", "Log in")
