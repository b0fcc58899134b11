"""events: what happened, in its order, and going on with what happens."""

import json
import signal
import subprocess

import pytest
import views
from processes import PATIENCE, alive, wait_until
from talk import hit, wait_new_pid

pytestmark = pytest.mark.one_engine


class Follower:
    """events -f as a process, and the documents that it has printed so far."""

    def __init__(self, program, *options):
        self.path = program.directory / "events"
        with open(self.path, "wb") as output:
            self.process = subprocess.Popen(
                [program.binary, "events", "-f", *options, "--run-dir", program.run_dir],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def documents(self):
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait(self, kind, **wanted):
        def look():
            found = [one for one in self.documents() if one["kind"] == kind
                     and all(one[key] == value for key, value in wanted.items())]
            return found[-1] if found else None

        return wait_until(look, f"'{kind}' {wanted} is told", 15)

    def ended(self):
        return self.process.wait(15 * PATIENCE)


@pytest.fixture
def follow():
    made = []

    def make(program, *options):
        made.append(Follower(program, *options))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_what_happens_to_a_connection(launch):
    program = views.start(launch)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        views.wait_verdict(program, cid, "reader-stalled")
        begin = views.wait_event(program, "slow-begin", id=cid)
        assert begin["service"] == "push" and begin["worker"] == 0
        assert begin["pid"] == program.pid("push")
        assert begin["remote"].startswith("127.0.0.1:") and begin["protocol"] == "frame"
        assert begin["figures"]["queued"] > 0 and "became slow" in begin["text"]
        drop = views.wait_event(program, "drop", id=cid, reason="full")
        assert drop["figures"]["messages"] > 0
        assert program.cli("kick", cid).returncode == 0
        views.wait_event(program, "kick", id=cid)
        end = views.wait_event(program, "slow-end", id=cid)
        assert end["reason"] == "kicked" and end["verdict"] == "reader-stalled"
        assert end["figures"]["peak_bytes"] >= begin["figures"]["queued"]
        told = views.events(program)
        assert [one["stamp"] for one in told] == sorted(one["stamp"] for one in told)
        text = program.cli("events").stdout
        assert len(text.splitlines()) == len(views.events(program))
        for words in ("push#0", "slow-begin", "drop", "kick", "slow-end", cid, "ended while slow"):
            assert words in text, text
        stalled.close()


def test_what_happens_to_workers(launch):
    program = views.start(launch, workers=2)
    victim = program.pid("push", 1)
    hit(victim, signal.SIGKILL)
    wait_new_pid(program, "push", 1, victim)
    death = views.wait_event(program, "death", pid=victim)
    assert death["worker"] == 1 and death["service"] == "push"
    assert death["figures"]["signal"] == 9 and "signal 9" in death["text"]
    fresh = program.pid("push", 1)
    start = views.wait_event(program, "start", pid=fresh)
    assert start["stamp"] > death["stamp"]
    assert program.cli("reload").returncode == 0
    program.wait_ready(generation=2)
    phases = [one["figures"]["phase"] for one in views.events(program) if one["kind"] == "reload"]
    assert phases == ["began", "done"]


def test_going_on_over_the_death_of_a_worker(launch, follow):
    """The events of a worker that was born meanwhile come too, each once."""
    program = views.start(launch)
    told = follow(program, "--json")
    first = told.wait("start")
    hit(first["pid"], signal.SIGKILL)
    fresh = wait_new_pid(program, "push", 0, first["pid"])
    assert told.wait("death", pid=first["pid"])["figures"]["signal"] == 9
    told.wait("start", pid=fresh)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        told.wait("slow-begin", id=cid, pid=fresh)
        stalled.close()
    told.wait("slow-end", id=cid)
    seen = [(one["stamp"], one["kind"], one["id"], one["reason"]) for one in told.documents()]
    assert len(seen) == len(set(seen)), "told twice"
    told.process.send_signal(signal.SIGINT)
    assert told.ended() == 0


def test_going_on_over_a_reload(launch, follow):
    program = views.start(launch)
    told = follow(program, "--json")
    first = told.wait("start")
    assert program.cli("reload").returncode == 0
    program.wait_ready(generation=2)
    fresh = program.pid("push")
    assert told.wait("start", pid=fresh)["generation"] == 2
    assert told.wait("reload")["figures"]["generation"] == 2
    with views.client(program) as client:
        cid = client.identity()
        assert program.cli("kick", cid).returncode == 0
    assert told.wait("kick", id=cid)["pid"] == fresh != first["pid"]


def test_it_ends_with_the_program(launch, follow):
    program = views.start(launch)
    told = follow(program, "--json")
    told.wait("start")
    program.stop()
    assert told.ended() == 0
    assert told.documents()[-1]["kind"] in ("stop", "death")
    assert "stop" in {one["kind"] for one in told.documents()}
    assert program.cli("events").returncode == 3


def test_it_ends_when_asked(launch, follow):
    program = views.start(launch)
    told = follow(program)
    wait_until(lambda: "is ready" in told.path.read_text(encoding="utf-8"), "text is told")
    told.process.terminate()
    assert told.ended() == 0


def test_while_every_worker_is_stopped(launch, follow):
    program = views.start(launch, workers=2)
    with views.client(program) as control:
        stalled, cid = views.stall(program)
        views.wait_event(program, "slow-begin", id=cid)
        pids = [worker["pid"] for worker in program.workers()]
        for pid in pids:
            hit(pid, signal.SIGSTOP)
        assert "slow-begin" in {one["kind"] for one in views.events(program)}
        told = follow(program, "--json")
        told.wait("slow-begin", id=cid)
        for pid in pids:
            hit(pid, signal.SIGCONT)
        assert all(alive(pid) for pid in pids)
        stalled.close()
        told.wait("slow-end", id=cid)
