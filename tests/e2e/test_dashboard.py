"""The dashboard in a browser, before a real program with a client that does not read.

With CREW_SCREENS=DIRECTORY the pictures of the manual are made there.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from browser import Browser, Tab
from processes import wait_until
from program import free_port
from wsclient import PushWs

TOKEN = "letmein-0123456789"
PNG_MOST = 300 << 10

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.one_engine,
]


def watched(launch, token=TOKEN, **more):
    """The feed with its dashboard."""
    admin = f"http://127.0.0.1:{free_port()}"
    sets = {
        "crew.admin": admin,
        "app.rate": 100,
        "app.dashboard": admin + "/",
        "feed.max_send_buffer": "128k",
        "feed.kernel_unsent_limit": "16k",
    }
    if token:
        sets["crew.admin_token"] = token
    program = launch("feed", sets={**sets, **more})
    program.admin = admin + "/"
    return program


@pytest.fixture
def feed(launch):
    return watched(launch)


@pytest.fixture
def browser(tmp_path):
    one = Browser(tmp_path)
    yield one
    one.close()


@pytest.fixture
def screens(tmp_path):
    return Path(os.environ.get("CREW_SCREENS", tmp_path))


def dashboard(browser, feed, width=1100, height=900, dark=False):
    tab = Tab(browser, feed.admin, width, height)
    tab.call("Log.enable")
    tab.call("Runtime.enable")
    look(tab, width, height, dark)
    tab.wait_value("latest !== null && samples.length > 0")
    return tab


def look(tab, width, height, dark):
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=1, mobile=width < 500)
    tab.call("Emulation.setEmulatedMedia", features=[
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])


def stall(feed):
    """A client that reads nothing, and the id of its connection."""
    before = {c["id"] for c in feed.connections()}
    client = PushWs(feed.connect("feed", receive_buffer=8192))
    new = wait_until(lambda: [c["id"] for c in feed.connections() if c["service"] == "feed" and
                              c["id"] not in before and c["send_queue"] > 0], "it stalls", 30)
    return client, new[0]


def row_js(identity, rest):
    return f"document.querySelector('#slow [data-id=\"{identity}\"] {rest}')"


def open_panel(tab, identity):
    tab.wait_value(f"{row_js(identity, '.explain')} !== null")
    tab.value(f"{row_js(identity, '.explain')}.click()")
    tab.wait_value("find('panel').open && find('panel-body').querySelector('.chip') !== null")


def give_token(tab, token):
    tab.wait_value("find('token').open")
    tab.value(f"find('token-input').value = {json.dumps(token)}; find('token-yes').click()")


def no_complaint(browser):
    """Nothing that a page's console would show in red: exceptions, and what its policy forbids."""
    for event in browser.events:
        assert event["method"] != "Runtime.exceptionThrown", event
        if event["method"] == "Log.entryAdded":
            entry = event["params"]["entry"]
            assert entry["level"] != "error" or entry["source"] == "network", entry


def test_all_is_well(feed, browser):
    tab = dashboard(browser, feed)
    tab.wait_value("find('state').className == 'good'")
    assert tab.value("find('state-word').textContent") == "All is well"
    assert tab.value("find('app').textContent") == "feed"
    assert "feed#0" in tab.value("find('workers').textContent")
    assert tab.value("find('slow-table').hidden") and not tab.value("find('slow-none').hidden")
    assert tab.value("document.querySelectorAll('#reasons tr').length") == 10
    no_complaint(browser)


def test_stalled_client_is_explained_and_kicked(feed, browser):
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    tab.wait_value(f"{row_js(identity, '.verdict')}?.textContent.includes('reader-stalled')", 60)
    tab.wait_value("find('state').className == 'warn'")
    found = tab.value("find('findings').textContent")
    assert "1 connection is slow" in found and "reader-stalled" in found
    tab.wait_value("recent('lost full') > 0", 60)
    assert "full" in tab.value("find('findings').textContent")
    tab.wait_value("Number(document.querySelector('[data-reason=full] .total').textContent) > 0")

    open_panel(tab, identity)
    text = tab.value("find('panel-body').textContent")
    assert "reader-stalled" in text and "What to do" in text and identity in text
    assert tab.value("document.activeElement.id") == "panel-close"

    # A second thought, a wrong token, the right one.
    tab.value("find('panel-kick').click()")
    tab.wait_value("find('ask').open")
    tab.value("find('ask-yes').click()")
    give_token(tab, "wrong")
    tab.wait_value("find('token-title').textContent.includes('not the right')")
    assert feed.totals()["closes_by_reason"]["kicked"] == 0
    give_token(tab, TOKEN)
    feed.wait_totals("it is kicked", lambda t: t["closes_by_reason"]["kicked"] == 1)
    tab.wait_value(f"{row_js(identity, '.verdict')} === null")
    tab.wait_value("find('done').textContent.endsWith('done.')")
    tab.wait_value("find('events').textContent.includes('kick')")
    assert identity not in {c["id"] for c in feed.connections()}
    no_complaint(browser)
    client.close()


def test_no_kick_without_second_thought(feed, browser):
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    tab.wait_value(f"{row_js(identity, '.kick')} !== null && !{row_js(identity, '.kick')}.hidden")
    tab.value(f"{row_js(identity, '.kick')}.click()")
    tab.wait_value("find('ask').open")
    assert identity in tab.value("JSON.stringify(latest.slowest)")
    tab.value("document.querySelector('#ask [value=no]').click()")
    tab.wait_value("!find('ask').open")
    assert not tab.value("find('token').open")
    assert feed.totals()["closes_by_reason"]["kicked"] == 0
    client.close()


def test_no_acting_without_a_token(launch, browser):
    feed = watched(launch, token=None)
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    open_panel(tab, identity)
    assert tab.value(f"{row_js(identity, '.kick')}.hidden && find('panel-kick').hidden")
    assert tab.value("find('set-section').hidden")
    assert "admin_token" in tab.value("find('act-note').textContent")
    client.close()


def test_setting_is_changed(feed, browser):
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    feed.wait_totals("losses", lambda t: t["send_fail_by_reason"]["full"] > 0)
    tab.value("find('set-text').value = 'feed.policy=drop-oldest'; find('set-form').requestSubmit()")
    give_token(tab, TOKEN)
    feed.wait_totals("the new policy", lambda t: t["send_fail_by_reason"]["evicted"] > 0)
    tab.value("find('set-text').value = 'feed.policy=nonsense'; find('set-form').requestSubmit()")
    tab.wait_value("find('done').textContent.includes('refused')")
    client.close()


def test_program_goes_and_comes_back(feed, browser):
    tab = dashboard(browser, feed)
    feed.stop()
    tab.wait_value("find('state').className == 'bad'")
    assert "does not answer" in tab.value("find('findings').textContent")
    assert "trouble" in tab.value("document.title")
    feed.start()
    tab.wait_value("find('state').className == 'good' && samples.length > 0", 60)
    # The new program's counters begin at 0: no rate of theirs is worked out from the old ones.
    assert tab.value("samples.every(one => Object.values(one.rates).every(rate => rate >= 0))")


STRANGE = """(() => {
	const mark = "<img src=x onerror='window.hit=1'>\\u202e\\u0000", row = { id: mark.repeat(50),
		remote: mark.repeat(99), verdict: mark, send_queue: 1e308, oldest_queued_s: -1, send_fail: "7" };
	const worker = { service: mark, state: { a: 1 }, busy_in: mark, listen: [mark], memory_bytes: NaN };
	const event = { time: "never", kind: mark, text: mark.repeat(50), x: { y: 1 }, n: -1e308 };
	for (const [slowest, workers, events] of [
		[Array(2000).fill(row), Array(2000).fill(worker), Array(2000).fill(event)],
		[Array.from({ length: 900 }, (_, i) => ({ ...row, id: "x" + i })),
			Array.from({ length: 900 }, (_, id) => ({ ...worker, id })),
			Array.from({ length: 900 }, (_, time) => ({ ...event, time }))],
		[null, "x", 5], [[null, 3, []], [null], [null, 3, []]]])
		receive({ data: JSON.stringify({ time: latest.time + 1, may_act: "yes", slowest, events,
			status: { workers, app: mark, totals: { messages_sent: -1, send_fail_by_reason: "x" } } }) });
	for (const data of ["", "{", "null", "[]", "3", '{"status":[]}'])
		receive({ data });
	return document.querySelectorAll("*").length;
})()"""


def test_whatever_comes_is_only_text(feed, browser):
    """Absurd figures and names of strangers: shown as text, no more of it than fits."""
    tab = dashboard(browser, feed)
    tab.value("socket.onmessage = null")
    assert tab.value(STRANGE) < 6000
    assert tab.value("document.querySelectorAll('img').length") == 0
    assert tab.value("window.hit") is None
    assert tab.value("events.length") <= 200
    assert tab.value("document.querySelectorAll('#events li').length") <= 200
    assert not tab.value("document.body.textContent.includes('\\u202e')")
    assert tab.value("find('set-section').hidden"), "only true is true"
    tab.value("socket.onmessage = receive")
    tab.wait_value("find('app').textContent == 'feed'")
    no_complaint(browser)


def test_page_does_not_grow(feed, browser):
    tab = dashboard(browser, feed)
    tab.value("socket.onmessage = null")
    grown = tab.value("""(() => {
		for (let i = 1; i <= 2000; i++) {
			latest.time += 1000;
			latest.events = [{ time: latest.time, kind: "drop", service: "feed", n: i }];
			latest.slowest = [{ id: "x" + i, remote: "r", send_queue: i }];
			document.hidden || receive({ data: JSON.stringify(latest) });
		}
		return [samples.length, events.length, document.querySelectorAll("#slow tr").length, slowRows.rows.size];
	})()""")
    assert grown[0] <= 301 and grown[1] == 200 and grown[2] == grown[3] == 1


HIDE = """Object.defineProperty(document, "hidden", { value: %s, configurable: true });
	document.dispatchEvent(new Event("visibilitychange"))"""


def test_hidden_tab_draws_nothing(feed, browser):
    """It goes on listening, so that what it shows when somebody looks again has no hole."""
    tab = dashboard(browser, feed)
    tab.value(HIDE % "true")
    shown = tab.value("find('about').textContent")
    tab.wait_value("samples.length > 5")
    assert tab.value("find('about').textContent") == shown
    tab.value(HIDE % "false")
    assert tab.value("find('about').textContent") != shown
    assert tab.value("samples.every(one => one.seconds < 3)")


def test_long_hidden_tab_lets_go(feed, browser):
    tab = dashboard(browser, feed)
    tab.value(HIDE % "true")
    tab.value("hiddenAt = performance.now() - HIDDEN_MS - 1")
    tab.wait_value("socket === null")
    wait_until(lambda: not [c for c in feed.connections() if c["protocol"] == "ws"],
               "nobody looks any more")
    tab.value(HIDE % "false")
    tab.wait_value("socket !== null && find('link').textContent.includes('live')")


def test_worker_that_stands_still(feed, browser):
    """What an operator does then is told to the master, and done when the worker goes on."""
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    pid = feed.pid("feed")
    tab.wait_value(f"{row_js(identity, '.verdict')} !== null")
    os.kill(pid, signal.SIGSTOP)
    try:
        tab.value(f"{row_js(identity, '.kick')}.click(); find('ask-yes').click()")
        give_token(tab, TOKEN)
        tab.wait_value("find('done').textContent.includes('as soon as it turns again')")
    finally:
        os.kill(pid, signal.SIGCONT)
    feed.wait_totals("it is kicked", lambda t: t["closes_by_reason"]["kicked"] == 1)
    client.close()


def shoot(tab, path):
    tab.value("scrollTo(0, 0)")
    assert tab.value("document.documentElement.scrollWidth <= innerWidth"), "it is too wide"
    path.parent.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path, whole=False)
    assert 5000 < path.stat().st_size < PNG_MOST, path


def test_pictures(feed, browser, screens):
    """Light, dark, and a phone of 360 pixels: nothing is wider than the screen."""
    tab = dashboard(browser, feed)
    client, identity = stall(feed)
    demo = Tab(browser, feed.url("feed").replace("ws:", "http:"))
    demo.wait_value("you !== null")
    slow = demo.value("find('seconds').value = '60'; find('slow').click(); you.id")
    tab.wait_value(f"{row_js(identity, '.verdict')}?.textContent.includes('reader-stalled')", 60)
    tab.wait_value(f"{row_js(slow, '.verdict')}?.textContent.includes('network')", 60)
    # Some time, so that the charts show something.
    time.sleep(40 if "CREW_SCREENS" in os.environ else 1)
    look(tab, 1100, 980, False)
    shoot(tab, screens / "dashboard-light.png")
    look(tab, 1100, 980, True)
    open_panel(tab, identity)
    shoot(tab, screens / "dashboard-dark.png")
    tab.value("find('panel').close()")
    look(tab, 360, 780, True)
    tab.wait_value("innerWidth == 360")
    shoot(tab, screens / "dashboard-phone.png")
    look(demo, 1100, 1000, False)
    demo.wait_value("!find('dashboard').hidden")
    assert demo.value("find('dashboard').href") == feed.admin
    shoot(demo, screens / "demo.png")
    client.close()
