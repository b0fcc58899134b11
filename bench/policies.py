"""The whole size of a slow reader's scene: as many clients as the descriptors allow, a tenth of
them stalled, under each policy."""
import re
import subprocess
import time

import scenes
import servers
from measure import Generator, MemoryWatch
from servers import Failed

# Where the policy says what is lost.
REASONS = {"drop-newest": {"full"}, "drop-oldest": {"evicted"}, "replace": set(),
           "disconnect": {"full"}}


class CrewWithPolicy(servers.Crew):
    """The service whose messages have a key, under one policy."""

    policy = "drop-newest"

    def command(self):
        sets = {"policy": self.policy, "max_send_buffer": scenes.POLICIES_LIMIT}
        words = [word for key, value in sets.items()
                 for word in ("--set", f"{self.service()}.{key}={value}")]
        return [*super().command(), *words]


def kernel_bytes(port):
    """The most kernel memory that the sending side of one of the server's sockets costs."""
    done = subprocess.run(["ss", "-tmnH", "sport", "=", f":{port}"], capture_output=True,
                          text=True, timeout=60, check=False)
    if done.returncode:
        raise Failed(f"ss: {done.stderr.strip()}")
    costs = [int(cost) for cost in re.findall(r"skmem:\([^)]*,w(\d+),", done.stdout)]
    if not costs:
        raise Failed("ss tells of no socket of the server")
    return max(costs)


def run(build, policy, connections, stalled, seconds):
    """One run: what the readers got, what the server held, and whether its books are in order."""
    scene = scenes.POLICIES
    arguments = ["stalled", "--connections", connections, "--stalled", stalled,
                 "--payload", scene["payload"], "--rate", scene["rate"],
                 "--seconds", seconds, "--wait", "--hold"]
    server = CrewWithPolicy(build, "policy")
    server.policy = policy
    with server:
        with Generator(server, arguments) as generator:
            generator.answer()
            time.sleep(0.5)
            with MemoryWatch(server.serving_pid()) as memory:
                generator.go_on()
                result = generator.answer()
                time.sleep(0.3)
                worker = server.worker()
            kernel = kernel_bytes(server.port) if stalled else 0
    fails = {reason: n for reason, n in worker["send_fail_by_reason"].items() if n}
    offered = worker["messages_offered"]
    all_there = worker["closes_by_reason"]["full"] == 0
    lawful = offered == (worker["messages_sent"] + worker["messages_queued"]
                         + worker["messages_replaced"] + worker["send_fail"])
    if all_there:
        lawful = lawful and offered == result["published"] * connections
    return {"policy": policy, "p99_us": result["p99_us"], "missing": result["missing"],
            "published": result["published"], "late": result["late"],
            "memory_bytes": memory.most - memory.start, "kernel_bytes": kernel,
            "bytes_queued": worker["bytes_queued"], "bytes_held": worker["bytes_held"],
            "replaced": worker["messages_replaced"], "ended": not all_there,
            "closes": worker["closes_by_reason"]["full"], "fails": fails, "lawful": lawful}


def scene(build, connections, seconds):
    """Without the stalled, and then each policy with them."""
    stalled = connections // 10
    alone = run(build, "drop-newest", connections - stalled, 0, seconds)
    beside = {policy: run(build, policy, connections, stalled, seconds) for policy in REASONS}
    for result in beside.values():
        result["p99_ratio"] = result["p99_us"] / alone["p99_us"]
    return {"connections": connections, "stalled": stalled, "alone": alone, "beside": beside}


def as_expected(result, stalled):
    """What was lost is what that policy gives up, and something was given up."""
    if set(result["fails"]) != REASONS[result["policy"]]:
        return False
    if result["policy"] == "replace":
        return result["replaced"] > 0
    return result["closes"] == (stalled if result["policy"] == "disconnect" else 0)


def told(result):
    """What became of the surplus, in words."""
    words = [f"{n:,} {reason}" for reason, n in result["fails"].items()]
    words += [f"{result['replaced']:,} replaced"] if result["replaced"] else []
    words += [f"{result['closes']:,} ended"] if result["closes"] else []
    return ", ".join(words) or "nothing"


def rows(result, verdict):
    """A row for each policy and each thing that it must reach."""
    table = []
    for policy, one in result["beside"].items():
        grown, kernel = one["memory_bytes"] / scenes.MIB, one["kernel_bytes"] / 1024
        bound = scenes.POLICIES_MEMORY / scenes.MIB
        table += [
            [f"{policy}: memory above idle, MiB", f"{grown:.1f}", f"< {bound:.0f}",
             verdict(grown < bound)],
            ["  kernel memory of a stalled one (ss -tm), KiB", f"{kernel:.0f}",
             f"< {scenes.POLICIES_KERNEL >> 10}",
             verdict(one["kernel_bytes"] < scenes.POLICIES_KERNEL)],
            ["  p99 of the readers, ratio to a run without the stalled",
             f"{one['p99_ratio']:.2f} ({one['p99_us'] / 1e3:.0f} ms)",
             f"<= {scenes.STALLED_P99}", verdict(one["p99_ratio"] <= scenes.STALLED_P99)],
            ["  messages the readers lost", one["missing"], "0", verdict(one["missing"] == 0)],
            ["  the surplus", told(one), "as it says",
             verdict(as_expected(one, result["stalled"]))],
            ["  the laws", "hold" if one["lawful"] else "broken", "hold", verdict(one["lawful"])],
        ]
        if policy == "drop-oldest":
            held, queued = one["bytes_held"] / scenes.MIB, one["bytes_queued"] / scenes.MIB
            table.append([f"  what {result['stalled']:,} queues of shared bytes cost, MiB",
                          f"{held:.1f} for {queued:.0f}", "once",
                          verdict(0 < one["bytes_held"] < one["bytes_queued"] / 10)])
    return table
