#!/usr/bin/python3
"""Scenarios at full size, too long for ./dev test. Each prints its figures and PASS or FAIL.

  upload    a body of 10 GiB to a handler that only counts: the worker's memory stays flat
  download  an answer of 10 GiB to a reader who is slow at first: likewise
  slow      1,000 connections with slow heads, slow bodies, slow reading; a visitor keeps its p99
  kill      workers killed ten times under load: totals never run backward, and account for
            each answer that clients received
  verdicts  faults between network namespaces, and whether `connections` names each of them: the
            confusion matrix; at least 95 % are to be right (root)
  unsent    kernel_unsent_limit: the kernel's memory for a stalled client, and throughput over a
            long path, at 16k to off; with the default the memory stays below 300 KiB (root)
  deflate   10,000 WebSockets, compressed both ways: with the shared window each costs what it
            does without compression, give or take 4 KiB
  reloads   100 reloads and 20 binary upgrades while wrk, the project's generator and clients that
            count everything talk to the program: no request fails, no connection is refused, no
            WebSocket ends without its close frame, none that is handed over ends at all; clients
            received what was sent; descriptors, threads, memory and processes stay as they were
  handover  10,000 idle WebSockets across five reloads of four workers: none is lost, each goes on
  certs     certificates renewed every few seconds for a minute under load: no request fails, and
            who is connected stays so
  drain     a reload of four workers with 10,000 idle WebSockets: done within the window and two
            seconds, each told 1012 with a hint, in no tenth of the time more than a fifth of them
"""

import argparse
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
sys.path.insert(0, str(ROOT / "tests" / "netns"))

# pylint: disable=wrong-import-position
import abuse  # noqa: E402
import draining  # noqa: E402
import lab  # noqa: E402
import laws  # noqa: E402
import reloading  # noqa: E402
import renewal  # noqa: E402
import unsent as unsent_limits  # noqa: E402
import verdicts as faults  # noqa: E402
from certs import Authority  # noqa: E402
from clients import Http  # noqa: E402
from processes import become_subreaper, wait_until  # noqa: E402
from program import Program, find_binary  # noqa: E402
from wsclient import TEXT, WebSocket, deflate as pack  # noqa: E402

GIB = 1 << 30
SPARE = 8 * abuse.MIB


class Soak:
    """Starts programs for a scenario, and ends them."""

    def __init__(self, options):
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix="crew-soak"))
        self.programs = []

    def start(self, name, binary=None, **sets):
        place = self.directory / f"{name}{len(self.programs)}"
        place.mkdir()
        program = Program(name, place, self.options.engine, binary=binary,
                          sets={key.replace("__", "."): value for key, value in sets.items()})
        self.programs.append(program)
        return program.start()

    def finish(self):
        for program in self.programs:
            program.finish()
        shutil.rmtree(self.directory)


def say(what, value):
    print(f"    {what:<34} {value}", flush=True)


def transfer(memory, seconds, size):
    say("bytes", f"{size / GIB:.2f} GiB in {seconds:.0f} s, {size / abuse.MIB / seconds:.0f} MiB/s")
    say("memory of the worker", memory)
    return memory.grown < SPARE


def upload(soak):
    memory, seconds = abuse.upload(soak.start("bulk"), soak.options.bytes)
    return transfer(memory, seconds, soak.options.bytes)


def download(soak):
    memory, seconds = abuse.download(soak.start("bulk"), soak.options.bytes, slow_seconds=20)
    return transfer(memory, seconds, soak.options.bytes)


def slow(soak):
    """The visitor may be slower by what a thousand accepted connections cost at their worst."""
    good = True
    for kind in abuse.ATTACKS:
        program = soak.start("bulk", web__send_timeout_ms=10000, web__max_connections=5000)
        before = abuse.quiet_p99_ms(program, 5)
        with abuse.Memory(program.pid("web")) as memory:
            during, ends = abuse.attack(program, kind, soak.options.connections, 40)
        cut_off = ends.get(abuse.ENDS[kind], 0)
        fine = during <= 2 * before + 5 and cut_off >= soak.options.connections * 0.9
        say(f"slow {kind}: p99 of a visitor",
            f"{before:.2f} ms before, {during:.2f} ms during: {'fine' if fine else 'NOT FINE'}")
        say("    connections ended", ", ".join(f"{n} {why}" for why, n in ends.items()))
        say("    memory of the worker", memory)
        good = good and fine
    return good


class Load:
    """Clients that ask again and again; a connection that breaks is made anew."""

    def __init__(self, program, count):
        self.program = program
        self.over = threading.Event()
        self.answered = [0] * count
        self.broken = [0] * count
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(count)]

    def ask(self, which):
        while not self.over.is_set():
            try:
                with Http(self.program.connect("web")) as client:
                    while not self.over.is_set():
                        assert client.get("/").body == b"Hello, World!"
                        self.answered[which] += 1
            except (OSError, EOFError):
                self.broken[which] += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def kill_one(program, dice, before):
    """Kill a worker, and look at the totals until its successor is ready. The last status."""
    victim = dice.choice([w for w in before["workers"] if w["state"] != "exited"])
    os.kill(victim["pid"], signal.SIGKILL)

    def replaced():
        nonlocal before
        after = program.lawful()
        laws.never_backward(before, after)
        before = after
        ready = [w["pid"] for w in after["workers"] if w["state"] in ("ready", "busy")]
        return len(ready) == 4 and victim["pid"] not in ready

    wait_until(replaced, "a new worker is ready", 30)
    return before


def kill(soak):
    dice = random.Random(7)
    program = soak.start("hello", web__workers=4)
    with Load(program, 16) as load:
        status = program.lawful()
        for _ in range(10):
            time.sleep(dice.uniform(0.5, 2.5))
            status = kill_one(program, dice, status)
    status = program.lawful()
    totals, answered = status["totals"], sum(load.answered)
    killed = sum(e["count"] for e in status["exits"] if e["signal"] == signal.SIGKILL)
    say("answers that clients received", f"{answered:,}")
    # One that the kernel had taken, but of which the dying worker could not say so, is `crash`.
    sent, lost = totals["messages_sent"], totals["send_fail_by_reason"]["crash"]
    say("as the totals say", f"{sent:,} sent, {lost} lost by a crash")
    say("workers killed", killed)
    say("connections that broke", f"{sum(load.broken)}; {totals['closes_by_reason']['crash']} "
        "by a crash, as the totals say")
    return killed == 10 and answered <= sent + lost


def verdicts(soak):
    """Each fault as often as `--runs` says, under each congestion control in turn."""
    controls = lab.congestion_controls()
    jobs = [(fault, controls[i % len(controls)])
            for i in range(soak.options.runs) for fault in faults.FAULTS]
    random.Random(7).shuffle(jobs)

    def told(run, verdict):
        if verdict != run.fault.right:
            say(f"{run.fault.name} ({run.congestion})", f"'{verdict}': {run.figures}")

    say("congestion controls", ", ".join(controls))
    found = faults.run_all(jobs, find_binary("flood"), soak.options.side_by_side,
                           soak.options.engine, told)
    lines, right, total = faults.matrix(found)
    print("\n" + "\n".join(lines) + "\n")
    say("right", f"{right} of {total}, {100 * right / total:.1f} %")
    return right >= 0.95 * total


def unsent(soak):
    rows = unsent_limits.measure(find_binary("flood"), soak.options.engine)
    print("\n".join(unsent_limits.table(rows)) + "\n")
    return all(row.stalled_kib < 300 for row in rows if row.limit == unsent_limits.DEFAULT)


def memory_of_sockets(soak, mode, count):
    """Bytes of the worker for each of so many, every one having said and got a message."""
    push = soak.start("push", push__deflate=mode, push__max_connections=str(count + 100))
    text = b"echo " + b"price 12.50 volume 100 " * 100
    before = push.status()["workers"][0]["memory_bytes"]
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if mode != "off" else ""
    clients = []
    for _ in range(count):
        client = WebSocket(push.connect("push"), more=offer)
        if offer:
            client.send_frame(TEXT, pack(text), rsv=4)
        else:
            client.send_frame(TEXT, text)
        assert client.read_message()
        clients.append(client)
    each = (push.status()["workers"][0]["memory_bytes"] - before) / count
    say(f"deflate={mode}, each of {count}", f"{each / 1024:.1f} KiB")
    for client in clients:
        client.sock.close()
    return each


def deflate(soak):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = soak.options.sockets
    assert hard > count + 1000, f"needs {count} descriptors: ulimit -Hn is {hard}"
    plain = memory_of_sockets(soak, "off", count)
    return memory_of_sockets(soak, "shared", count) < plain + 4096


def certs(soak):
    authority = Authority(soak.directory)
    met = renewal.renew(soak.start, authority, soak.directory, soak.options.seconds)
    say("renewals", met["renewals"])
    say("answers", f"{met['answers']:,} on {met['connections']:,} connections, "
        f"{len(met['failures'])} failed")
    for failure in met["failures"][:3]:
        say("    failed", failure)
    say("one connection through all of it", "yes" if met["stayed"] else "NO")
    say("certificates seen", f"{met['seen']}{'' if met['known'] else ', not all of them ours'}")
    return (not met["failures"] and met["stayed"] and met["known"] and met["renewals"] > 3
            and met["seen"] > 2)


def tell_processes(when, figures):
    """Of the master, and the most that a worker has."""
    for who, least in (("master", ""), ("worker", "at most ")):
        found = [(figures.descriptors[name], figures.threads[name], figures.memory[name])
                 for name in figures.memory if (name == "master") == (who == "master")]
        descriptors, threads, memory = map(max, zip(*found))
        say(f"{when}, {who}", f"{least}{descriptors} descriptors, {threads} threads, "
            f"{memory / abuse.MIB:.1f} MiB")
    say(f"{when}, processes", figures.processes)


def tell_reloads(met):
    seconds = sorted(met.seconds)
    say("reloads, of them upgrades", f"{met.reloads}, {met.upgrades}")
    say("a reload took", f"{seconds[len(seconds) // 2]:.2f} s, at most {seconds[-1]:.2f} s")
    say("the machine stood still", f"{met.standstill.longest:.2f} s at worst")
    say("answers to wrk", f"{met.wrk.answers:,}")
    for kind, what in ((reloading.Calm, "to HTTP clients that stay"),
                       (reloading.Brief, "to HTTP clients that go"),
                       (reloading.Member, "to WebSockets told 1012"),
                       (reloading.Guest, "to WebSockets handed over"),
                       (reloading.Generator, "to the generator's WebSockets")):
        say(what, f"{met.sum(kind):,} on {met.sum(kind, 'connections'):,} connections")
    if met.totals:
        say("messages sent, as the totals say", f"{met.totals['messages_sent']:,}")
        say("connections handed over", f"{met.totals['handed_over']:,}")


def reloads(soak):
    def start(path, sets):
        return soak.start("traffic", binary=path, **sets)

    met = reloading.under_load(start, soak.directory, soak.options.reloads, soak.options.upgrades,
                               soak.options.clients)
    tell_reloads(met)
    tell_processes("before", met.first)
    tell_processes("after", met.last)
    for failure in met.failures:
        say("FAILED", failure)
    return not met.failures


def drain(soak):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = soak.options.sockets
    assert hard > count + 1000, f"needs {count} descriptors: ulimit -Hn is {hard}"
    leaver = soak.start("leaver", room__workers=str(draining.WORKERS),
                        room__heartbeat_ms="off", room__drain_timeout_ms=draining.WINDOW_S * 1000)
    clients = draining.connect_all(leaver, count)
    moments, hints, took = draining.hear_farewells(clients, draining.reload(leaver))
    for client in clients:
        client.sock.close()
    busiest = draining.busiest_share(moments, 10)
    say(f"reload with {count:,} WebSockets, window {draining.WINDOW_S} s", f"{took:.1f} s")
    say("told 1012 with a hint", f"{hints:,}, from {min(moments):.2f} s to {max(moments):.2f} s")
    say("the busiest tenth of that time", f"{100 * busiest:.0f} %")
    return (hints == count and took < draining.WINDOW_S + draining.SLACK_S and busiest < 0.2
            and leaver.lawful()["totals"]["closes_by_reason"]["drain"] >= count)


def lost_of(clients):
    """Of those that are idle, how many have anything to read: nothing was said to them."""
    poller = select.poll()
    for client in clients:
        poller.register(client.sock, select.POLLIN)
    return len(poller.poll(0))


def handover(soak):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count, turns = soak.options.sockets, 5
    program = soak.start("mover", plain__workers=4, plain__stop_timeout_ms=20000,
                         plain__max_connections=count)
    clients = [WebSocket(program.connect("plain")) for _ in range(count)]
    for number in range(1, turns + 1):
        began = time.monotonic()
        done = program.cli("reload", seconds=60)
        if done.returncode:
            say("reload failed", done.stderr)
            return False
        say(f"reload {number} with {count} WebSockets",
            f"{time.monotonic() - began:.1f} s, {lost_of(clients)} lost")
        for client in clients[number::100]:
            client.send_message(b"who")
            assert client.read_message().split()[2] == str(number + 1).encode()
    totals = program.totals()
    say("handed over, taken over, kept",
        f"{totals['handed_over']:,}, {totals['taken_over']:,}, {totals['handover_kept']:,}")
    found = lost_of(clients) == 0 and totals["connections"] == totals["connections_total"] == count
    for client in clients:
        client.close()
    return found and totals["handed_over"] == totals["taken_over"] == count * turns


SCENARIOS = {"drain": drain, "upload": upload, "download": download, "slow": slow, "kill": kill,
             "verdicts": verdicts, "unsent": unsent, "deflate": deflate, "certs": certs,
             "reloads": reloads, "handover": handover}
NEED_A_LAB = ("verdicts", "unsent")


def parse():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone")
    parser.add_argument("--bytes", type=int, default=10 * GIB, help="of upload and download")
    parser.add_argument("--connections", type=int, default=1000, help="of slow")
    parser.add_argument("--sockets", type=int, default=10000, help="of deflate and handover")
    parser.add_argument("--reloads", type=int, default=100, help="of reloads")
    parser.add_argument("--upgrades", type=int, default=20, help="of reloads")
    parser.add_argument("--clients", type=int, default=10, help="of each kind, of reloads")
    parser.add_argument("--quick", action="store_true", help="reloads: three, and an upgrade")
    parser.add_argument("--seconds", type=int, default=60, help="of certs")
    parser.add_argument("--runs", type=int, default=50, help="of each fault, of verdicts")
    parser.add_argument("--side-by-side", type=int, default=10, help="runs of verdicts at once")
    parser.add_argument("--engine", default="epoll")
    options = parser.parse_args()
    if options.quick:
        options.reloads, options.upgrades, options.clients = 3, 1, 2
    for name in options.names:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name}; there are: {', '.join(SCENARIOS)}")
    return options


def run(name, options):
    print(name, flush=True)
    if name in NEED_A_LAB and lab.why_not():
        print(f"  {name}: FAIL: {lab.why_not()}\n", flush=True)
        return False
    soak = Soak(options)
    good = False
    try:
        good = SCENARIOS[name](soak)
    except (AssertionError, RuntimeError) as why:
        say("failed", why)
    try:
        soak.finish()
    except AssertionError as why:
        good = False
        say("failed in the end", why)
    print(f"  {name}: {'PASS' if good else 'FAIL'}\n", flush=True)
    return good


def main():
    options = parse()
    become_subreaper()
    results = [run(name, options) for name in options.names or SCENARIOS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
