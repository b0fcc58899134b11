"""start --watch: what is built anew runs by itself, and what is no program is waited for."""

import os
import shutil

import pytest
from processes import wait_until
from program import find_binary
from talk import ask

pytestmark = pytest.mark.one_engine


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "installed"
    shutil.copy2(find_binary("control"), path)
    return path


def install(path, source):
    fresh = path.with_name("fresh")
    shutil.copy2(source, fresh)
    os.rename(fresh, path)


def wait_generation(program, number):
    wait_until(lambda: (program.try_status() or {}).get("generation") == number,
               f"generation {number}", 30)
    return program.wait_ready(generation=number)


def test_a_rebuilt_program_and_other_settings(launch, copy, tmp_path):
    settings = tmp_path / "control.ini"
    settings.write_text("[app]\ncolour = red\n")
    program = launch("control", "--watch", "-c", str(settings), binary=copy)
    assert (ask(program, "variant"), ask(program, "setting colour")) == ("1", "red")
    install(copy, find_binary("control2"))
    wait_generation(program, 2)
    assert ask(program, "variant") == "2"
    settings.write_text("[app]\ncolour = green\n")
    wait_generation(program, 3)
    assert ask(program, "setting colour") == "green"
    program.wait_output(f"--watch: {copy} has changed: reload")
    program.wait_output(f"--watch: {settings} has changed: reload")


def test_what_is_broken_is_said_and_the_old_goes_on(launch, copy, tmp_path):
    settings = tmp_path / "control.ini"
    settings.write_text("[app]\ncolour = red\n")
    program = launch("control", start=False, binary=copy)
    program.start_daemon("--watch", "-c", str(settings))
    # A linker that has not come to its end.
    whole = find_binary("control2").read_bytes()
    half = tmp_path / "half"
    half.write_bytes(whole[: len(whole) // 2])
    half.chmod(0o755)
    os.rename(half, copy)
    program.wait_output("--watch: waiting for the program")
    # Of settings the error is told.
    copy.unlink()
    install(copy, find_binary("control"))
    wait_generation(program, 2)
    settings.write_text("[crew]\nno_such_key = 1\n")
    program.wait_output("no_such_key")
    assert ask(program, "gen") == "2"
    # The next build is taken again, once all is well.
    settings.write_text("[app]\ncolour = blue\n")
    wait_generation(program, 3)
    assert ask(program, "setting colour") == "blue"


def test_it_needs_a_master(launch):
    program = launch("control", start=False)
    done = program.cli("start", "--watch", "--single")
    assert done.returncode == 2
    assert "--watch needs a master" in done.stderr
