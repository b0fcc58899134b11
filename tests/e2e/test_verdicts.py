"""What crew says of a slow connection is what was done to it: faults between two network namespaces.

A few runs of each; `./dev soak verdicts` makes many and prints the matrix. Needs root."""

import concurrent.futures
import os
import sys
from pathlib import Path

import pytest
from program import find_binary

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
import lab  # noqa: E402
import unsent  # noqa: E402
import verdicts  # noqa: E402

SIDE_BY_SIDE = 6
LONGEST = 10  # seconds of waiting; longer faults are for the soak


@pytest.fixture(scope="module", autouse=True)
def laboratory():
    reason = lab.why_not()
    if reason:
        pytest.skip(f"verdicts cannot be proved here: {reason}")
    yield
    mine = [name for name in os.listdir(lab.NETNS) if name.startswith(f"{lab.PREFIX}-{os.getpid()}-")]
    assert not mine, "namespaces were left behind"


def wrong_of(jobs, engine):
    """Those jobs whose verdict was not right, each with what the kernel said."""
    wrong = []

    def told(run, verdict):
        if verdict != run.fault.right:
            wrong.append((run.fault, run.congestion, verdict, run.figures))

    verdicts.run_all(jobs, find_binary("flood"), SIDE_BY_SIDE, engine, told)
    return wrong


def test_each_fault_is_named(engine):
    """Under a machine that does much else a run may go wrong by itself: it then has to be right
    twice."""
    controls = lab.congestion_controls()
    faults = [fault for fault in verdicts.FAULTS if fault.wait <= LONGEST]
    turn = 0 if engine == "epoll" else 1
    jobs = [(fault, controls[(i + turn) % len(controls)]) for i, fault in enumerate(faults)]
    wrong = wrong_of(jobs, engine)
    assert len(wrong) <= len(jobs) // 4, wrong
    again = wrong_of([(fault, congestion) for fault, congestion, *_ in wrong for _ in range(2)],
                     engine)
    assert not again, (wrong, again)


@pytest.mark.one_engine
def test_kernel_memory_of_a_stalled_client(engine):
    """kernel_unsent_limit keeps what waits out of the kernel; without it megabytes are there."""
    limits = [unsent.DEFAULT, "off"]
    with concurrent.futures.ThreadPoolExecutor(len(limits)) as pool:
        limited, unlimited = pool.map(
            lambda limit: unsent.stalled_kib(find_binary("flood"), engine, limit, "cubic"), limits)
    assert limited < 300
    assert unlimited > 2 * limited, "without the limit it is no more: this shows nothing"


@pytest.mark.one_engine
def test_a_lab_goes_with_its_process(engine):
    """What a killed run leaves behind is swept away by the next; what is alive is not."""
    del engine
    with lab.Lab() as mine:
        stale = f"{lab.PREFIX}-4194999-0-s"  # above the highest pid that there can be
        lab.run("ip", "netns", "add", stale)
        lab.sweep()
        left = os.listdir(lab.NETNS)
        assert stale not in left
        assert mine.server in left and mine.client in left
    assert mine.server not in os.listdir(lab.NETNS)
