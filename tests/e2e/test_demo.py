"""The demo's page: each of its buttons does what it says, and the program's own commands show it.

A tab is frozen by the debugger, which is what its button does without a loop's cost.
"""

import shutil

import pytest

from browser import Browser, Tab
from processes import wait_until

SYMBOLS = 12
LIMIT = 131072
SIZE = 4096

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.one_engine,
]


@pytest.fixture
def feed(launch):
    return launch("feed", sets={
        "app.rate": 200,
        "app.size": SIZE,
        "feed.max_send_buffer": LIMIT,
        "feed.kernel_unsent_limit": "16k",
    })


@pytest.fixture
def tab(tmp_path, feed):
    browser = Browser(tmp_path)
    one = Tab(browser, feed.url("feed").replace("ws:", "http:"))
    one.wait_value("you !== null && tab.received > 20")
    yield one
    browser.close()


def row(feed, tab):
    """What `connections` says of the tab's own connection."""
    found = [c for c in feed.connections() if c["id"] == tab.name]
    assert found, "the tab's connection has gone"
    return found[0]


def know(tab):
    tab.name = tab.value("you.id")
    return tab


def choose(tab, select, value):
    """As a hand would; then the server says what holds."""
    tab.value(f"find('{select}').value = '{value}';"
              f"find('{select}').dispatchEvent(new Event('change'))")


def wait_row(feed, tab, what, condition, seconds=60):
    def look():
        one = row(feed, tab)
        return one if condition(one) else None

    return wait_until(look, what, seconds)


def wait_verdict(feed, tab, verdict):
    return wait_row(feed, tab, f"the verdict is {verdict}", lambda r: r["verdict"] == verdict)


def freeze_until(feed, tab, what, condition):
    tab.pause()
    frozen = wait_row(feed, tab, what, condition)
    tab.resume()
    return frozen


def caught_up(tab):
    tab.wait_value("tab.time > 0 && Date.now() - tab.time < 1000", 60)


def wait_agreed(feed, tab, lost):
    """The page misses exactly what was lost, and was told of all of it: it may lose more while it
    catches up."""
    wait_until(
        lambda: tab.value("tab.told") == tab.value("tab.missed") == lost(row(feed, tab)),
        "page and program agree on what was lost", 30,
    )


def test_prices_and_figures(feed, tab):
    know(tab)
    tab.wait_value(f"document.querySelectorAll('#prices li').length == {SYMBOLS}")
    assert row(feed, tab)["service"] == "feed"
    assert tab.value("[...prices.values()].every(one => one.price > 0)")
    # None, but where the browser was slow to begin.
    wait_agreed(feed, tab, lambda r: r["send_fail"])
    tab.wait_value("find('behind').textContent.startsWith('0.')")
    # Nobody has said where a dashboard is: no link that leads nowhere.
    assert tab.value("find('dashboard').hidden && !find('no-dashboard').hidden")
    assert tab.value("you.policy") == "" and tab.value("find('policy').value") == ""


def test_gap_is_told(feed, tab):
    """Refused messages are told when the tab reads again: how many, and which."""
    know(tab)
    freeze_until(feed, tab, "losses", lambda r: r["send_fail_by_reason"]["full"] > 400)
    tab.wait_value("tab.told > 0", 60)
    caught_up(tab)
    wait_agreed(feed, tab, lambda r: r["send_fail_by_reason"]["full"])
    line = tab.value("find('told').lastChild.textContent")
    assert "you missed" in line and " to " in line
    assert tab.value("find('told-none').hidden")


def test_replace_keeps_the_latest(feed, tab):
    know(tab)
    replaced = feed.totals()["messages_replaced"]
    choose(tab, "policy", "replace")
    tab.wait_value("you.policy == 'replace'")
    tab.pause()
    wait_until(lambda: feed.totals()["messages_replaced"] > replaced + 400, "prices replaced", 60)
    waits = row(feed, tab)
    # One of each symbol, and one that had begun to leave.
    assert 0 < waits["send_queue_messages"] <= SYMBOLS + 1
    assert waits["send_queue"] < LIMIT
    tab.resume()
    caught_up(tab)

    # A browser that is slow at its beginning or end may have lost some as well.
    def lost():
        return row(feed, tab)["send_fail"]

    def agree():
        given_up = feed.totals()["messages_replaced"] - replaced
        return tab.value("tab.missed") == given_up + lost()

    wait_until(agree, "the tab misses what was replaced", 30)
    wait_until(lambda: tab.value("tab.told") == lost(), "it was told of what was lost", 30)


def test_drop_oldest(feed, tab):
    know(tab)
    choose(tab, "policy", "drop-oldest")
    tab.wait_value("you.policy == 'drop-oldest'")
    freeze_until(feed, tab, "evictions", lambda r: r["send_fail_by_reason"]["evicted"] > 400)
    tab.wait_value("tab.told > 0", 60)
    caught_up(tab)
    assert row(feed, tab)["send_fail_by_reason"]["full"] == 0
    wait_agreed(feed, tab, lambda r: r["send_fail_by_reason"]["evicted"])


def test_time_to_live(feed, tab):
    know(tab)
    choose(tab, "ttl", "500")
    tab.wait_value("you.ttl_ms == 500")
    freeze_until(feed, tab, "expiries", lambda r: r["send_fail_by_reason"]["expired"] > 100)
    tab.wait_value("tab.told > 0", 60)
    assert tab.value("find('ttl').value") == "500"
    choose(tab, "ttl", "0")
    tab.wait_value("you.ttl_ms == 0")


def test_disconnect(feed, tab):
    """The frozen tab is cut off; awake again it comes back as somebody else, under the default."""
    know(tab)
    choose(tab, "policy", "disconnect")
    tab.wait_value("you.policy == 'disconnect'")
    tab.pause()
    feed.wait_totals("it is cut off", lambda t: t["closes_by_reason"]["full"] == 1, 60)
    tab.resume()
    tab.wait_value(f"you !== null && you.id != '{tab.name}'", 60)
    assert tab.value("you.policy") == "" and tab.value("find('policy').value") == ""


def hold(tab, button):
    """For ten seconds; it ends by itself."""
    tab.value(f"find('seconds').value = '10'; find('{button}').click()")


def test_slow_network(feed, tab):
    know(tab)
    hold(tab, "slow")
    wait_verdict(feed, tab, "network")
    tab.wait_value("parseFloat(behind()) > 1", 60)
    tab.wait_value("find('you').textContent.includes('slowed')", 60)
    tab.wait_value("!you.slowed", 60)
    caught_up(tab)
    wait_row(feed, tab, "nothing waits", lambda r: r["verdict"] is None)


def test_rate_cap(feed, tab):
    know(tab)
    hold(tab, "cap")
    wait_verdict(feed, tab, "rate")
    tab.wait_value("find('you').textContent.includes('capped')", 60)
    tab.wait_value("!you.capped", 60)
    caught_up(tab)
    wait_row(feed, tab, "nothing waits", lambda r: r["verdict"] is None)


def test_blocked_worker(feed, tab):
    know(tab)
    tab.value("find('block-long').click()")
    busy = wait_until(lambda: [w for w in feed.workers("feed") if w["busy_ms"] >= 300],
                      "the worker is stuck", 10)
    assert busy[0]["state"] == "busy" and busy[0]["busy_in"] == "on_message"
    waits = row(feed, tab)
    assert waits["verdict"] == "us" and waits["send_queue_messages"] == 1
    wait_until(lambda: feed.workers("feed")[0]["state"] == "ready", "the worker turns again", 20)
    caught_up(tab)
    wait_row(feed, tab, "nothing waits", lambda r: r["verdict"] is None)


def test_nonsense_changes_nothing(feed, tab):
    know(tab)
    before = tab.value("JSON.stringify(you)")
    for text in ("policy", "policy 99", "policy -1", "ttl 3", "ttl 99999999999999999999", "rate x",
                 "rate 0", "block x", "pace 99999999999999999999", "nothing", "x" * 1000, "", " ", "hello\\0"):
        tab.value(f"command({text!r})")
    tab.value("you = null; command('hello')")
    tab.wait_value("you !== null")
    assert tab.value("JSON.stringify(you)") == before
