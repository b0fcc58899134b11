"""Who accepts: many short connections beside many that stay, in each of the three ways. What a client
waits for the answer on a connection of its own, and how evenly the workers share what comes."""
import asyncio
import time

import servers
from servers import Failed

MODES = ("shared", "reuse-port", "least-connections")
WORKERS = 4
STAYING = 400   # open one after the other, and idle
BURST = 400     # all at once, and idle as well: everybody comes back
KNOCKERS = 16   # each opens, asks, closes, again and again
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


class CrewThatAccepts(servers.Crew):
    accept = "shared"

    def command(self):
        sets = {"accept": self.accept, "workers": WORKERS, "idle_timeout_ms": 0}
        words = [word for key, value in sets.items()
                 for word in ("--set", f"{self.service()}.{key}={value}")]
        return [*super().command(), *words]

    def shares(self):
        """What each worker has: connections, and accepts so far."""
        workers = [w for w in self.status()["workers"] if w["service"] == self.service()]
        return [w["connections"] for w in workers], [w["accepted"] for w in workers]


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    if not await reader.read(65536):
        raise Failed("a connection was closed without an answer")
    return writer


async def knock(port, until, waits):
    while (began := time.monotonic()) < until:
        writer = await ask(port)
        waits.append(time.monotonic() - began)
        writer.close()


async def one_after_the_other(port):
    return [await ask(port) for _ in range(STAYING)]


async def at_once(port):
    return await asyncio.gather(*(ask(port) for _ in range(BURST)))


async def knock_all(port, seconds):
    waits, until = [], time.monotonic() + seconds
    await asyncio.gather(*(knock(port, until, waits) for _ in range(KNOCKERS)))
    return sorted(waits)


def spread(shares):
    """The largest by the mean: 1 is even, WORKERS is all with one."""
    return max(shares) * len(shares) / sum(shares)


async def visit(server, seconds):
    staying = await one_after_the_other(server.port)
    steady, before = server.shares()
    burst = await at_once(server.port)
    both, _ = server.shares()
    waits = await knock_all(server.port, seconds)
    _, after = server.shares()
    for writer in staying + burst:
        writer.close()
    accepts = [now - then for now, then in zip(after, before)]
    return {"staying": spread(steady), "burst": spread(both), "accepts": spread(accepts),
            "per_second": len(waits) / seconds,
            "p50_ms": waits[len(waits) // 2] * 1000, "p99_ms": waits[len(waits) * 99 // 100] * 1000}


def run(build, accept, seconds):
    server = CrewThatAccepts(build, "http")
    server.accept = accept
    with server:
        return asyncio.run(visit(server, seconds))


def scene(build, seconds):
    return {accept: run(build, accept, seconds) for accept in MODES}


def rows(result):
    return [[accept, f"{r['staying']:.2f}", f"{r['burst']:.2f}", f"{r['accepts']:.2f}",
             f"{r['per_second']:,.0f}", f"{r['p50_ms']:.2f}", f"{r['p99_ms']:.2f}"]
            for accept, r in result.items()]
