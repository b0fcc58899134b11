"""The laws of accounting, asserted on what `status --json` printed."""

LOSSES = (
    "closed", "reset", "aborted", "full", "handshake",
    "expired", "evicted", "deadline", "memory", "crash",
)
ENDS = (
    "peer", "reset", "app", "idle", "handshake", "heartbeat", "protocol",
    "deadline", "full", "memory", "kicked", "drain", "crash",
)
GAUGES = ("connections", "timers", "messages_queued", "bytes_queued")
COUNTERS = (
    "connections_total", "total_request", "messages_offered", "messages_sent",
    "messages_replaced", "bytes_in", "bytes_out", "send_fail", "send_invalid",
    "accept_failed", "refused_limit", "refused_ip", "access_log_lost", "log_lost",
    "accepted", "refused_rate", "accept_overflow",
    "handed_over", "taken_over", "messages_handed_over", "messages_taken_over", "handover_kept",
)
GROUPS = {"send_fail_by_reason": LOSSES, "closes_by_reason": ENDS}
STATES = ("starting", "ready", "busy", "draining", "exited")


def check_shape(status):
    """All the keys that the design names are there, with the right types."""
    for key in ("app", "version", "mode", "engine"):
        assert isinstance(status[key], str), key
    for key in ("pid", "uptime_s", "generation"):
        assert isinstance(status[key], (int, float)), key
    assert "master" in status
    assert isinstance(status["consistent"], bool)
    assert len(status["load"]) == 3
    for worker in status["workers"]:
        for key in ("id", "generation", "memory_bytes", "qps", "busy_ms"):
            assert isinstance(worker[key], (int, float)), key
        assert isinstance(worker["pid"], int) or worker["state"] == "exited"
        assert isinstance(worker["service"], str) and "listen" in worker and "busy_in" in worker
        assert worker["state"] in STATES
        check_counters(worker)
    check_counters(status["retired"])
    check_counters(status["totals"])
    living = [worker for worker in status["workers"] if worker["state"] != "exited"]
    assert status["totals"]["workers"] == len(living)
    for row in status["exits"]:
        assert isinstance(row["service"], str) and isinstance(row["count"], int)
        assert isinstance(row["status"], int)
        assert row["signal"] is None or isinstance(row["signal"], int)


def check_counters(slab):
    for key in GAUGES + COUNTERS:
        assert isinstance(slab[key], int) and slab[key] >= 0, key
    for group, reasons in GROUPS.items():
        assert set(slab[group]) == set(reasons), group
        assert all(isinstance(n, int) and n >= 0 for n in slab[group].values()), group


def check_slab(slab, where):
    """The three laws of one set of counters."""
    accounted = (
        slab["messages_sent"] + slab["messages_queued"] + slab["messages_replaced"]
        + slab["send_fail"] + slab["messages_handed_over"]
    )
    offered = slab["messages_offered"] + slab["messages_taken_over"]
    assert offered == accounted, f"{where}: offered is not accounted for: {slab}"
    lost = sum(slab["send_fail_by_reason"].values())
    assert slab["send_fail"] == lost, f"{where}: send_fail is not the sum of its reasons: {slab}"
    closed = sum(slab["closes_by_reason"].values())
    there = slab["connections"] + closed + slab["handed_over"]
    assert slab["connections_total"] + slab["taken_over"] == there, f"{where}: connections are lost: {slab}"


def check_sums(status):
    """The totals are the living and the retired."""
    parts = status["workers"] + [status["retired"]]
    for key in GAUGES + COUNTERS:
        assert status["totals"][key] == sum(part[key] for part in parts), key
    for group, reasons in GROUPS.items():
        for reason in reasons:
            total = sum(part[group][reason] for part in parts)
            assert status["totals"][group][reason] == total, (group, reason)
    for key in GAUGES:
        assert status["retired"][key] == 0, f"the dead still have {key}"


def check_laws(status):
    """Everything that must hold at every instant. Returns the status, for chaining."""
    check_shape(status)
    for worker in status["workers"]:
        check_slab(worker, f"{worker['service']}#{worker['id']}")
    check_slab(status["retired"], "retired")
    check_slab(status["totals"], "totals")
    check_sums(status)
    return status


def never_backward(before, after):
    """Totals only grow, gauges apart, whoever died in between."""
    for key in COUNTERS:
        assert after["totals"][key] >= before["totals"][key], f"{key} ran backward"
    for group, reasons in GROUPS.items():
        for reason in reasons:
            old, new = before["totals"][group][reason], after["totals"][group][reason]
            assert new >= old, f"{group}.{reason} ran backward"


def no_losses(status):
    assert status["totals"]["send_fail"] == 0, status["totals"]["send_fail_by_reason"]
