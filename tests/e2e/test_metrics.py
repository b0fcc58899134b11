"""/metrics: two formats, every counter, and no series that ever falls."""

import http.client
import re
import shutil
import subprocess
import threading
import time

import pytest

from admin_client import with_admin
from clients import Text
from processes import wait_until
from program import ROOT
from talk import hit, order, wait_new_pid

pytestmark = pytest.mark.one_engine

OPENMETRICS = "application/openmetrics-text"
# What status says of a worker and is no counter; some of it has a series of another name.
NOT_COUNTED = {
    "service", "id", "pid", "generation", "state", "listen", "memory_bytes", "qps", "tls", "share",
    "busy_ms", "busy_in", "busy_stack", "died_young", "crash_loop", "next_start_ms", "leaves_in_s",
    "waits_for", "offload",
}


def samples(text):
    """{series: value}; a series twice is an error."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            assert series not in found, f"{series} is there twice"
            found[series] = float(value)
    return found


def total(found, name, **labels):
    """The sum of a family's samples with those labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(value for series, value in found.items()
               if series.partition("{")[0] == name and all(w in series for w in wanted))


def counters(found):
    return {s: v for s, v in found.items()
            if re.match(r"[a-z0-9_]+_(total|bucket|sum|count)[{]", s)}


def check_prometheus(text):
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed (Debian package prometheus)"
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done


def check_openmetrics(text):
    from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    names = [family.name for family in parser.text_string_to_metric_families(text)]
    assert len(names) == len(set(names))
    return names


def test_metrics_in_both_formats(launch):
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    order(program, "count 5").close()
    old = program.admin.get("/metrics")
    assert old.status == 200
    assert old.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    check_prometheus(old.text)
    assert "# EOF" not in old.text
    new = program.admin.get("/metrics", Accept=f"{OPENMETRICS};version=1.0.0")
    assert new.headers["content-type"].startswith(f"{OPENMETRICS}; version=1.0.0")
    assert new.text.endswith("\n# EOF\n")
    families = check_openmetrics(new.text)
    assert "crew_send_fail" in families and "crew_loop_turn_seconds" in families
    assert set(samples(old.text)) == set(samples(new.text.replace("# EOF\n", "")))


def test_the_format_is_the_clients_choice(launch):
    admin = with_admin(launch, "hello").admin

    def gets_open(accept):
        return "openmetrics" in admin.get("/metrics", Accept=accept).headers["content-type"]

    assert gets_open(f"{OPENMETRICS};version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert gets_open(OPENMETRICS)
    assert not gets_open("*/*")
    assert not gets_open("text/plain")
    assert not gets_open(f"{OPENMETRICS};q=0.2,text/plain;q=0.9")
    assert not gets_open(f"{OPENMETRICS};q=0")


def test_every_counter_is_there(launch):
    """What /metrics says of the quiet services is what `status` says."""
    program = with_admin(launch, "control", sets={"ctl.workers": 2})
    clients = [Text(program.connect("ctl")) for _ in range(4)]
    for client in clients:
        client.ask("id")
    clients.pop().close()
    wait_until(lambda: program.totals()["closes_by_reason"]["peer"] >= 1, "the close is counted")
    time.sleep(0.3)  # one look serves all who ask within a moment
    found = samples(program.admin.get("/metrics").text)
    status = program.lawful()
    gauges = {"connections": "connections_open", "slow": "slow_connections"}
    for worker in status["workers"]:
        if worker["service"] == "admin":
            continue
        where = {"service": worker["service"], "worker": worker["id"]}
        for name, value in worker.items():
            if name == "send_fail_by_reason":
                for reason, n in value.items():
                    assert total(found, "crew_send_fail_total", reason=reason, **where) == n
            elif name == "closes_by_reason":
                for reason, n in value.items():
                    assert total(found, "crew_closes_total", reason=reason, **where) == n
            elif name == "send_fail":
                assert total(found, "crew_send_fail_total", **where) == value
            elif name in NOT_COUNTED:
                continue
            else:
                base = gauges.get(name, name)
                names = [n for n in (f"crew_{base}", f"crew_{base}_total")
                         if any(s.startswith(n + "{") for s in found)]
                assert len(names) == 1, (name, names)
                assert total(found, names[0], **where) == value, name
    assert total(found, "crew_messages_sent_total", service="ctl") == 4
    for client in clients:
        client.close()


class Load(threading.Thread):
    """Clients that come, ask and go, whatever becomes of the server."""

    def __init__(self, program):
        super().__init__()
        self.program, self.ended, self.asked = program, threading.Event(), 0

    def run(self):
        while not self.ended.is_set():
            try:
                with Text(self.program.connect("ctl")) as client:
                    for _ in range(20):
                        client.ask("id")
                        self.asked += 1
            except (OSError, EOFError):
                time.sleep(0.01)

    def stop(self):
        self.ended.set()
        self.join(20)


def test_no_counter_ever_falls(launch):
    """Neither when a worker is killed, nor across a reload, under load."""
    program = with_admin(launch, "control", sets={"ctl.workers": 2, "ctl.drain_timeout_ms": 1000})
    load = Load(program)
    load.start()
    watch, last, looks = threading.Event(), {}, 0
    failures = []

    def look():
        nonlocal looks
        now = counters(samples(program.admin.get("/metrics").text))
        for series, value in now.items():
            if value < last.get(series, 0):
                failures.append((series, last[series], value))
        last.update(now)
        looks += 1

    def watcher():
        while not watch.is_set():
            try:
                look()
            except (OSError, http.client.HTTPException):
                pass  # the admin worker itself dies, and is replaced by the reload
            watch.wait(0.05)

    thread = threading.Thread(target=watcher)
    thread.start()
    try:
        time.sleep(0.5)
        for service in ("ctl", "admin", "ctl"):
            old = program.pid(service, 0)
            hit(old)
            wait_new_pid(program, service, 0, old)
            time.sleep(0.3)
        done = program.cli("reload")
        assert done.returncode == 0, done.stderr
        time.sleep(1.5)
    finally:
        watch.set()
        thread.join(20)
        load.stop()
    time.sleep(0.3)
    look()
    assert not failures
    assert looks > 20
    assert last['crew_worker_exits_total{service="ctl",status="0",signal="9"}'] == 2
    assert last['crew_worker_exits_total{service="admin",status="0",signal="9"}'] == 1
    done = last['crew_total_request_total{service="ctl",worker="0"}'] + \
        last['crew_total_request_total{service="ctl",worker="1"}']
    assert done >= load.asked  # nothing was forgotten


# ---- the manual ----


def test_the_manual_names_every_metric(launch):
    """The table of docs/admin.md is what a program that has no counters of its own tells."""
    rows = {}
    for line in (ROOT / "docs" / "admin.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `crew_"):
            name, kind, labels, meaning = [cell.strip() for cell in line.strip("| ").split(" | ")]
            rows[name.strip("`")] = (kind, labels, meaning)
    program = with_admin(launch, "hello")
    from prometheus_client.openmetrics import parser  # pylint: disable=import-outside-toplevel
    text = program.admin.get("/metrics", Accept=OPENMETRICS).text
    told = {}
    for family in parser.text_string_to_metric_families(text):
        ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels}
        told[family.name + ending] = (family.type, labels, family.documentation)
    assert list(rows) == list(told)
    for name, (kind, labels, meaning) in told.items():
        assert rows[name][0] == kind and rows[name][2] == meaning, name
        # No worker has died yet, so that family has no sample.
        if labels:
            assert set(rows[name][1].split(", ")) - {""} == labels, name
