#!/usr/bin/env python3
"""Measure crew beside a bare epoll loop and its peers, and say what reaches its target.

The server runs on one core, the load generator on another; the servers take turns, round by round,
so that what else the machine does falls on all of them alike. The figure to trust is the server's
CPU time per operation. Ratios are medians of the rounds' ratios, times are medians.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import accepting
import compressed
import measure
import policies
import scenes
import servers
import starting
from servers import Failed

ROOT = Path(__file__).resolve().parent.parent
SPECIALS = ["instructions", "memory", "fanout-deflate", "memory-deflate", "stalled",
            "policies", "status", "commands", "parser", "accept", "start"]


class Report:
    """What is printed, what is kept as JSON, and how many targets were met."""

    def __init__(self):
        self.data = {}
        self.met = self.missed = 0
        self.failures = []

    def verdict(self, good):
        self.met += good
        self.missed += not good
        return "OK" if good else "MISS"

    def failed(self, what, why):
        self.failures.append(f"{what}: {why}")
        print(f"  failed: {what}: {why}", flush=True)


def table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
                 for i, (cell, w) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())
    print(flush=True)


# ---- timed scenes ------------------------------------------------------------------------------

def run_rounds(scene, kinds, options, report):
    """name -> results of the rounds; a server that fails is left out and told of."""
    running, results = {}, {}
    for kind in kinds:
        if scene.mode in kind.modes:
            try:
                running[kind.name] = kind(options.build_dir, scene.mode).__enter__()
            except Failed as why:
                report.failed(scene.name, why)
    try:
        for turn in range(options.rounds):
            order = list(running) if turn % 2 == 0 else list(reversed(running))
            for name in order:
                try:
                    result = measure.timed(running[name], scene.generator, options.seconds,
                                           options.warmup)
                    results.setdefault(name, []).append(result)
                except Failed as why:
                    report.failed(scene.name, why)
                    results.pop(name, None)
                    running.pop(name).__exit__()
    finally:
        for server in running.values():
            server.__exit__()
    return results


def cost(results, name):
    return statistics.median(run["server_us_per_op"] for run in results[name])


def ratio(results, name, base):
    return statistics.median(a["server_us_per_op"] / b["server_us_per_op"]
                             for a, b in zip(results[name], results[base]))


def rival(scene, results):
    """Whom the target is against: of several the cheapest of those that could be measured."""
    names = [name for name in scene.against.split() if name in results]
    return min(names, key=lambda name: cost(results, name), default=None)


def target_cell(scene, results, report):
    against = rival(scene, results)
    if scene.most is None or "crew" not in results or not against:
        return "", ""
    reached = ratio(results, "crew", against)
    of = "" if against == "floor" else f" x {against} = {reached:.2f}"
    return f"<= {scene.most}{of}", report.verdict(reached <= scene.most)


def peer_cell(scene, name, results, report):
    """The peer's cost, its ratio to the floor, and whether crew is below it; whom the target is
    against is judged there."""
    if name not in results:
        return ""
    text = f"{cost(results, name):.3f}"
    if "floor" in results:
        text += f" ({ratio(results, name, 'floor'):.2f})"
    if "crew" in results and scene.peers and name not in scene.against.split():
        text += " " + report.verdict(ratio(results, "crew", name) < 1)
    return text


def scene_row(scene, results, peers, report):
    row = [scene.title]
    for name in ("floor", "crew"):
        row.append(f"{cost(results, name):.3f}" if name in results else "")
    both = "crew" in results and "floor" in results
    row.append(f"{ratio(results, 'crew', 'floor'):.3f}" if both else "")
    row += target_cell(scene, results, report)
    return row + [peer_cell(scene, name, results, report) for name in peers]


def timed_scenes(chosen, kinds, options, report):
    peers = [kind.name for kind in kinds if kind.name not in ("floor", "crew")]
    rows = []
    for scene in chosen:
        print(f"{scene.title} ...", flush=True)
        results = run_rounds(scene, kinds, options, report)
        report.data.setdefault("scenes", {})[scene.name] = results
        rows.append(scene_row(scene, results, peers, report))
    if rows:
        print(f"\nserver CPU, microseconds per operation: medians of {options.rounds} rounds of "
              f"{options.seconds:g} s; in brackets the ratio to the floor\n")
        table(["", "floor", "crew", "x floor", "target", "", *peers], rows)


# ---- the others --------------------------------------------------------------------------------

def measure_each(kinds, report, what, function):
    """name -> figure of those servers that could be measured."""
    figures = {}
    for kind in kinds:
        try:
            figures[kind.name] = function(kind)
        except Failed as why:
            report.failed(what, why)
    return figures


def instructions(kinds, options, report):
    kinds = [kind for kind in kinds if kind.name in ("floor", "crew")]
    rows = []
    for title, mode, arguments, most in scenes.INSTRUCTIONS:
        print(f"instructions: {title} ...", flush=True)
        figures = measure_each(kinds, report, "instructions", lambda kind: measure.instructions(
            options.build_dir, kind, mode, arguments, options.operations))
        report.data.setdefault("instructions", {})[title] = figures
        row = [title, *(f"{figures[kind.name]:.0f}" if kind.name in figures else ""
                        for kind in kinds)]
        judged = most is not None and "crew" in figures
        rows.append(row + ([f"<= {most}", report.verdict(figures["crew"] <= most)] if judged
                           else ["", ""]))
    print("\nuser-space instructions per operation (callgrind, marginal, one connection)\n")
    table(["", *(kind.name for kind in kinds), "target", ""], rows)


def memory(kinds, options, report):
    kinds = [kind for kind in kinds if "ws" in kind.modes]
    print("memory of idle connections ...", flush=True)
    figures = measure_each(kinds, report, "memory", lambda kind: measure.idle_memory(
        options.build_dir, kind, scenes.IDLE_CONNECTIONS))
    report.data["idle_bytes"] = figures
    rows = [[name, f"{figure:.0f}"] + (
        [f"<= {scenes.IDLE_BYTES}", report.verdict(figure <= scenes.IDLE_BYTES)]
        if name == "crew" else ["", ""]) for name, figure in figures.items()]
    print(f"\nbytes of user memory for each of {scenes.IDLE_CONNECTIONS:,} idle WebSocket "
          "connections\n")
    table(["", "bytes", "target", ""], rows)


def deflate_fanout(kinds, options, report):
    if servers.Crew not in kinds:
        return
    print("fan-out, compressed ...", flush=True)
    try:
        costs = compressed.fanout(options.build_dir, options.rounds, options.seconds,
                                  options.warmup)
    except Failed as why:
        report.failed("fanout-deflate", why)
        return
    report.data["fanout_deflate"] = costs
    print("\nserver CPU, microseconds for each delivery\n")
    table(["", "plain", "compressed", "target", ""],
          compressed.fanout_rows(costs, report.verdict))


def deflate_memory(kinds, options, report):
    if servers.Crew not in kinds:
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 8 // 10
    count = min(scenes.IDLE_CONNECTIONS, limit)
    print(f"memory of {count:,} connections, compressed and over TLS ...", flush=True)
    try:
        figures = compressed.memory(options.build_dir, count)
    except Failed as why:
        report.failed("memory-deflate", why)
        return
    report.data["idle_bytes_deflate"] = figures
    print(f"\nbytes of user memory for each of {count:,} WebSocket connections: idle from the "
          "beginning, and after an echo of 1 KiB\n")
    table(["", "idle", "target", "", "after"], compressed.memory_rows(figures, report.verdict))


def stalled_rows(result, report):
    limit = scenes.STALLED_MEMORY[result["mode"]] / scenes.MIB
    grown = result["memory_bytes"] / scenes.MIB
    named = [dict(fails) for fails in result["fails"]]
    return [
        ["memory above idle, MiB", f"{grown:.1f}", f"< {limit:.0f}", report.verdict(grown < limit)],
        ["p99 of the readers, ratio to a run without the stalled",
         f"{result['p99_ratio']:.2f} ({result['p99_us'] / 1e3:.1f} ms)",
         f"<= {scenes.STALLED_P99}", report.verdict(result["p99_ratio"] <= scenes.STALLED_P99)],
        ["messages the readers lost", result["missing"], "0",
         report.verdict(result["missing"] == 0)],
        ["losses by reason", "; ".join(json.dumps(fails) for fails in named), "full only",
         report.verdict(all(set(fails) == {"full"} for fails in named))],
        ["the laws", "hold" if result["lawful"] else "broken", "hold",
         report.verdict(result["lawful"])],
    ]


def stalled(kinds, options, report):
    if servers.Crew not in kinds:
        return
    for mode, title in (("fanout", "one shared message"), ("copy", "crew_send to each")):
        print(f"stalled readers, {title} ...", flush=True)
        try:
            result = measure.stalled_scene(options.build_dir, mode, options.rounds,
                                           options.stalled_seconds)
        except Failed as why:
            report.failed("stalled", why)
            continue
        report.data.setdefault("stalled", {})[mode] = result
        print(f"\n1,000 subscribers of which 100 never read, 64 KiB at 8/s: {title}\n")
        table(["", "crew", "target", ""], stalled_rows(result, report))


def all_policies(kinds, options, report):
    """As many clients as there may be, a tenth stalled, under each policy."""
    if servers.Crew not in kinds:
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 8 // 10
    count = min(scenes.POLICIES_CONNECTIONS, limit)
    print(f"policies, {count:,} clients of which a tenth never read ...", flush=True)
    try:
        result = policies.scene(options.build_dir, count, options.stalled_seconds * 2)
    except Failed as why:
        report.failed("policies", why)
        return
    report.data["policies"] = result
    scene = scenes.POLICIES
    print(f"\n{count:,} subscribers of which {result['stalled']:,} never read, "
          f"{scene['payload'] >> 10} KiB at {scene['rate']}/s, shared\n")
    table(["", "crew", "target", ""], policies.rows(result, report.verdict))


def status(kinds, options, report):
    if servers.Crew not in kinds:
        return
    try:
        taken = measure.status_ms(options.build_dir)
    except Failed as why:
        report.failed("status", why)
        return
    report.data["status_ms"] = taken
    table(["", "ms", "target", ""], [["status with every worker stopped, slowest of 7",
                                      f"{taken:.0f}", f"<= {scenes.STATUS_MS}",
                                      report.verdict(taken <= scenes.STATUS_MS)]])


def commands(kinds, options, report):
    """The commands that look, and what the workers notice of it."""
    if servers.Crew not in kinds:
        return
    # The server and the generator have a descriptor for each; a tenth is for other things.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 8 // 10
    count = min(scenes.COMMAND_CONNECTIONS, limit)
    print(f"commands, {count:,} connections ...", flush=True)
    try:
        result = measure.commands(options.build_dir, count)
    except Failed as why:
        report.failed("commands", why)
        return
    report.data["commands"] = result
    most = scenes.COMMAND_MS
    rows = [[name, f"{ms:.0f}", f"<= {most}", report.verdict(ms <= most)]
            for name, ms in result["ms"].items()]
    refresh = result["refresh_cpu_ms"]
    extra = result["worker_cpu_ms"] - result["worker_rest_cpu_ms"]
    rows.append(["top, CPU of one screen", f"{refresh:.0f}", f"<= {scenes.REFRESH_CPU_MS}",
                 report.verdict(refresh <= scenes.REFRESH_CPU_MS)])
    rows.append(["the workers, CPU for all of that", f"{extra:.2f}",
                 f"<= {scenes.WORKER_CPU_MS}", report.verdict(extra <= scenes.WORKER_CPU_MS)])
    print(f"\nwith {count:,} connections: milliseconds, slowest of 7; the workers' CPU time in "
          f"{result['seconds']:.0f} s beyond that of as long a rest "
          f"({result['worker_rest_cpu_ms']:.2f})\n")
    table(["", "ms", "target", ""], rows)


def accepts(kinds, options, report):
    """How evenly workers share connections, and what that costs who connects."""
    if servers.Crew not in kinds:
        return
    print("accepting ...", flush=True)
    try:
        result = accepting.scene(options.build_dir, options.seconds)
    except (Failed, OSError) as why:
        report.failed("accept", why)
        return
    report.data["accept"] = result
    print(f"\n{accepting.WORKERS} workers; {accepting.STAYING} connections that come one by one, "
          f"{accepting.BURST} that come at once, then short ones; the busiest worker by the mean, "
          "and what a short one waits for its answer\n")
    table(["", "one by one", "at once", "short", "short/s", "p50 ms", "p99 ms"],
          accepting.rows(result))


def start(kinds, options, report):
    """From exec to the first answer."""
    if servers.Crew not in kinds:
        return
    print("starting ...", flush=True)
    try:
        result = starting.measure(options.build_dir)
    except (Failed, OSError, subprocess.SubprocessError) as why:
        report.failed("start", why)
        return
    report.data["start_ms"] = result
    print(f"\nmilliseconds, one worker: medians of {starting.TIMES}\n")
    table(["", "ms", "target", ""], starting.rows(result, scenes.START_MS, report.verdict))


def parsers(kinds, options, report):
    """Both parsers on the heads that browsers send; no server takes part."""
    if servers.Crew not in kinds:
        return
    if not (options.build_dir / "bench" / "crew_bench_parser").exists():
        print("without the parsers: libhttp-parser-dev is not installed")
        return
    print("parsers ...", flush=True)
    try:
        result = measure.parsers(options.build_dir, options.seconds)
    except Failed as why:
        report.failed("parser", why)
        return
    report.data["parser"] = result
    rows = [[name, head["bytes"], f"{head['crew_mb_per_s']:.0f}",
             f"{head['libhttp_parser_mb_per_s']:.0f}"] for name, head in result["heads"].items()]
    rows.append(["all", f"{result['bytes']:.0f}", f"{result['crew_bytes_per_s'] / 1e6:.0f}",
                 f"{result['libhttp_parser_bytes_per_s'] / 1e6:.0f}"])
    print("\nrequest heads, MB/s; over all of them crew's is "
          f"{result['ratio']:.2f} times as fast\n")
    table(["", "bytes", "crew", "libhttp-parser"], rows)


# ---- the program -------------------------------------------------------------------------------

def parse():
    names = [scene.name for scene in scenes.SCENES] + SPECIALS
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds: a look, no proof")
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="only this, may be given again; NAME may be the beginning: "
                        + ", ".join(names))
    parser.add_argument("--servers", metavar="NAMES", default=",".join(servers.ALL),
                        help="only these, separated by commas (%(default)s)")
    parser.add_argument("--rounds", type=int, help="rounds of each scene (3)")
    parser.add_argument("--seconds", type=float, help="seconds of each round (3)")
    parser.add_argument("--build-dir", type=Path,
                        help="where crew is built already (default: build it into build/)")
    options = parser.parse_args()
    options.rounds = options.rounds or 3
    options.seconds = options.seconds or (0.7 if options.quick else 3)
    options.warmup = 0.3 if options.quick else 0.7
    options.operations = 1000 if options.quick else 5000
    options.stalled_seconds = 6 if options.quick else 10
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above zero")
    options.chosen = [name for name in names if not options.only
                      or any(name.startswith(only) for only in options.only)]
    if not options.chosen:
        parser.error(f"--only {' '.join(options.only)}: no such scene; there are "
                     + ", ".join(names))
    options.servers = options.servers.split(",")
    unknown = [name for name in options.servers if name not in servers.ALL]
    if unknown:
        parser.error(f"--servers {unknown[0]}: there are " + ", ".join(servers.ALL))
    return options


def prepare(options):
    """Build, install the peers, and return the servers that are here."""
    if options.build_dir is None:
        options.build_dir = ROOT / "build"
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", "--preset", "release", "--target", "bench/all",
                        "example_proxy", "example_hello"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    options.build_dir = options.build_dir.resolve()
    if {"Node", "Bun"} & set(options.servers):
        try:
            servers.install_peers(options.build_dir)
        except (OSError, subprocess.SubprocessError) as why:
            print(f"npm could not install the peers: {why}")
    kinds = []
    for name in options.servers:
        why = servers.present(name, options.build_dir)
        if why:
            print(f"without {name}: {why}")
        else:
            kinds.append(servers.ALL[name])
    return kinds


def main():
    options = parse()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 20000 if hard == resource.RLIM_INFINITY else min(20000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    kinds = prepare(options)
    if len(set(servers.cores())) == 1:
        print("one usable core: server and generator share it, and ratios say little")
    report = Report()
    timed_scenes([scene for scene in scenes.SCENES if scene.name in options.chosen], kinds,
                 options, report)
    specials = (instructions, memory, deflate_fanout, deflate_memory, stalled, all_policies, status,
                commands, parsers, accepts, start)
    for name, function in zip(SPECIALS, specials):
        if name in options.chosen:
            function(kinds, options, report)
    results = options.build_dir / "bench" / "results.json"
    results.write_text(json.dumps(report.data, indent=1) + "\n")
    print(f"{report.met} targets met, {report.missed} missed, {len(report.failures)} failures; "
          f"all figures in {results}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as why:
        sys.exit(f"bench: {' '.join(map(str, why.cmd))} failed")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
