"""The scene that crew was made for: a browser tab that stops reading, in front of a real server.

The tabs are the demo's own page in a headless Chromium. One is frozen, by the debugger or by the
page's own button; what it loses is counted for it alone, and the heartbeat leaves it in peace.
"""

import shutil

import pytest

from browser import Browser, Tab
from processes import wait_until

# The buffers before the queue take less than two heartbeats to fill: until then a tab that stands
# still cannot be told from one that died.
HEARTBEAT_MS = 2000
ENOUGH = 600  # messages lost: six seconds of the feed, so three heartbeats, after it was full

pytestmark = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")


@pytest.fixture
def feed(launch):
    return launch("feed", sets={
        "app.rate": 100,
        "feed.max_send_buffer": "128k",
        "feed.heartbeat_ms": HEARTBEAT_MS,
    })


@pytest.fixture
def browser(tmp_path):
    one = Browser(tmp_path)
    yield one
    one.close()


def listeners(feed):
    """The connections that get the feed, by id; those that fetch pages never get so much."""
    return {c["id"]: c for c in feed.connections() if c["bytes_out"] > 1 << 20}


def open_tab(browser, feed):
    """A tab of the page, and the id of its connection."""
    before = set(listeners(feed))
    tab = Tab(browser, feed.url("feed").replace("ws:", "http:"))
    new = wait_until(lambda: set(listeners(feed)) - before, "the tab gets the feed", 60)
    assert len(new) == 1
    return tab, new.pop()


def full(connection):
    return connection["send_fail_by_reason"]["full"]


def wait_full(feed, connection_id, more_than):
    def look():
        found = listeners(feed)
        assert connection_id in found, ("it was closed", feed.totals()["closes_by_reason"])
        return full(found[connection_id]) > more_than

    wait_until(look, "`full` grows", 60)


def wait_ping_soon(feed, connection_id):
    """The hardest moment to freeze: the next ping still reaches the tab's kernel, which confirms it,
    but not the tab, and then nobody answers."""
    def look():
        return 1.6 < listeners(feed)[connection_id]["idle_in_s"] < 1.8

    wait_until(look, "nothing has come from the tab for a while", 30)


def test_tab_that_stops_reading(feed, browser):
    healthy, healthy_id = open_tab(browser, feed)
    frozen, frozen_id = open_tab(browser, feed)
    wait_ping_soon(feed, frozen_id)
    frozen.pause()
    wait_full(feed, frozen_id, ENOUGH)

    # It is that connection's loss alone, and the page of the other tab tells of it.
    for connection in feed.connections():
        lost = full(connection) if connection["id"] == frozen_id else 0
        assert connection["send_fail"] == lost
    totals = feed.totals()
    assert totals["send_fail"] == totals["send_fail_by_reason"]["full"] > 0
    healthy.wait_value("Number(document.querySelector('[data-reason=full] .lost').textContent"
                       f".replace(/,/g, '')) > {ENOUGH}")
    assert healthy.value("tab.missed") == 0

    # Pings could not reach it for several heartbeats, and it is still there.
    assert frozen_id in listeners(feed)
    assert totals["closes_by_reason"]["heartbeat"] == 0

    # Thawed, it gets what waited for it and then what is new; the gap is what was lost, exactly.
    made = healthy.value("tab.last")
    frozen.resume()
    frozen.wait_value(f"tab.last > {made + 100}", 60)
    now = listeners(feed)
    assert set(now) == {healthy_id, frozen_id}
    assert frozen.value("tab.missed") == full(now[frozen_id])
    assert feed.totals()["closes_by_reason"]["heartbeat"] == 0


@pytest.mark.one_engine
def test_freeze_button(feed, browser):
    """The demo, as a user does it: the button keeps the main thread busy for ten seconds."""
    healthy, healthy_id = open_tab(browser, feed)
    frozen, frozen_id = open_tab(browser, feed)
    frozen.value("find('seconds').value = '10'; find('freeze').click()")
    wait_full(feed, frozen_id, 0)
    made = healthy.value("tab.last")
    frozen.wait_value(f"tab.last > {made + 100} && document.title == 'feed'", 60)

    connections = listeners(feed)
    assert frozen.value("tab.missed") == full(connections[frozen_id]) > 0
    assert full(connections[healthy_id]) == healthy.value("tab.missed") == 0
    assert feed.totals()["send_fail_by_reason"]["full"] == full(connections[frozen_id])


@pytest.mark.one_engine
def test_page_leaves_no_loss(feed, browser):
    """Nobody frozen: nothing is lost, and no number is missed."""
    tab, connection_id = open_tab(browser, feed)
    tab.wait_value("tab.received > 200 && polled !== null && polled.stats.messages_sent > 200")
    assert tab.value("tab.missed") == 0
    assert listeners(feed)[connection_id]["send_fail"] == 0
    assert tab.value("document.getElementById('lost').textContent") == "0"
