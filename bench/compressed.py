"""What compression costs: a fan-out of compressed messages beside the same uncompressed, and the
memory of connections that agreed on it; beside that, the memory of connections over TLS."""
import statistics

import scenes
import servers
from measure import Generator, settled_pss, timed
from servers import Failed

# The message is JSON of 1 KiB, the publisher one of the subscribers.
MESSAGE = ["--payload", "1024", "--json", "--text"]
FANOUT = ["fanout", "--connections", "1001", "--depth", "1", *MESSAGE]

# Title, mode of the server, options of the generator, most bytes for each connection.
MEMORY = [
    ("plain", "ws", [], None),
    ("permessage-deflate", "ws", ["--deflate"], scenes.IDLE_BYTES + 100),
    ("TLS", "ws+tls", ["--tls"], None),
    ("TLS and permessage-deflate", "ws+tls", ["--tls", "--deflate"], None),
]


def fanout(build, rounds, seconds, warmup):
    """CPU time for each delivery, plain and compressed: lists of the alternating rounds."""
    costs = {"plain": [], "deflate": []}
    with servers.Crew(build, "fanout") as server:
        for _ in range(rounds):
            for name, options in (("plain", []), ("deflate", ["--deflate"])):
                result = timed(server, [*FANOUT, *options], seconds, warmup)
                if not result["server_us_per_op"]:
                    raise Failed("a round was too short for the machine's load")
                costs[name].append(result["server_us_per_op"])
    costs["ratio"] = statistics.median(
        deflate / plain for plain, deflate in zip(costs["plain"], costs["deflate"]))
    return costs


def fanout_rows(costs, verdict):
    plain, deflate = (statistics.median(costs[name]) for name in ("plain", "deflate"))
    most = scenes.DEFLATE_FANOUT
    return [["fan-out to 1,000 of JSON, 1 KiB", f"{plain:.3f}", f"{deflate:.3f}",
             f"<= {most} x plain = {costs['ratio']:.2f}", verdict(costs["ratio"] <= most)]]


def idle(build, mode, options, connections):
    """Bytes of user memory for each idle connection: before its first message, and after one that
    went both ways."""
    arguments = [*MESSAGE, *options]
    with servers.Crew(build, mode) as server:
        pid = server.serving_pid()
        # The first connection loads what the first connection of every server loads.
        with Generator(server, ["idle", "--connections", 1, *arguments]) as generator:
            generator.answer()
        without = settled_pss(pid)
        with Generator(server, ["idle", "--connections", connections, *arguments, "--wait",
                                "--hold"]) as generator:
            generator.answer()
            fresh = settled_pss(pid)
            generator.go_on()
            generator.answer()
            used = settled_pss(pid)
            if generator.process.poll() is not None:
                generator.answer()  # it says why it did not stay
    return {"fresh": (fresh - without) / connections, "used": (used - without) / connections}


def memory(build, connections):
    return {title: idle(build, mode, options, connections)
            for title, mode, options, _ in MEMORY}


def memory_rows(figures, verdict):
    rows = []
    for title, _, _, most in MEMORY:
        fresh, used = figures[title]["fresh"], figures[title]["used"]
        target = [f"<= {most}", verdict(fresh <= most)] if most else ["", ""]
        rows.append([title, f"{fresh:.0f}", *target, f"{used:.0f}"])
    return rows
