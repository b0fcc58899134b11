"""Fixtures of the scenario tests.

CREW_BUILD_DIR      where the programs are built (default: build)
CREW_ENGINES        the engines to run on, with commas between (default: epoll,poll)
CREW_TEST_PATIENCE  factor on all deadlines, for sanitizers and valgrind (default: 1)
CREW_NO_SKIPS       a test that is skipped has failed: where everything that tests need is there

A test that asks for `launch` gets a function that starts a program; it runs once for each engine,
unless it is marked `one_engine` because the engine plays no part in it.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from processes import become_subreaper  # noqa: E402
from program import Program  # noqa: E402

ENGINES = [name for name in os.environ.get("CREW_ENGINES", "epoll,poll").split(",") if name]


def pytest_configure(config):
    config.addinivalue_line("markers", "one_engine: the engine plays no part in this test")
    become_subreaper()


def pytest_generate_tests(metafunc):
    if "engine" in metafunc.fixturenames:
        alone = metafunc.definition.get_closest_marker("one_engine")
        metafunc.parametrize("engine", ENGINES[:1] if alone else ENGINES, scope="module")


def forbid_skip(report):
    if report.skipped and os.environ.get("CREW_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here (CREW_NO_SKIPS): {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    forbid_skip(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    forbid_skip(outcome.get_result())


def launcher(engine, directory):
    """A function that makes programs, and the list of those it made."""
    made = []

    def make(name, *options, sets=None, listens=None, binary=None, start=True, **how):
        place = directory / f"{name}{len(made)}"
        place.mkdir()
        program = Program(name, place, engine, sets=sets, listens=listens, binary=binary)
        made.append(program)
        return program.start(*options, **how) if start else program

    return make, made


def finish_all(made):
    """Each program gets its end, even when that of another one fails."""
    failures = []
    for program in reversed(made):
        try:
            program.finish()
        except Exception as failure:  # pylint: disable=broad-except
            failures.append(failure)
    if failures:
        raise failures[0]


def launching(engine):
    # Short paths: the name of a Unix socket has room for 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="crew"))
    make, made = launcher(engine, directory)
    yield make
    finish_all(made)
    shutil.rmtree(directory, ignore_errors=True)  # kept when something failed


@pytest.fixture
def launch(engine):
    yield from launching(engine)


@pytest.fixture(scope="module")
def launch_once(engine):
    """As launch, for a program that the tests of a module share."""
    yield from launching(engine)
