"""Reloads and an upgrade of the program while everybody talks to it; tests/soak has it at full size."""

from pathlib import Path

import pytest
import reloading


@pytest.mark.skipif(not reloading.GENERATOR.exists(), reason="built without the generator")
@pytest.mark.one_engine
def test_nobody_notices_reloads_and_an_upgrade(launch, tmp_path):
    def start(path, sets):
        return launch("traffic", binary=path, sets=sets)

    met = reloading.under_load(start, Path(tmp_path), reloads=2, upgrades=1, size=2, window_ms=400)
    assert not met.failures, met.failures
    assert met.upgrades == 1 and met.wrk.answers > 0
    for client in met.clients:
        assert client.answers > 0, type(client).__name__
    assert met.sum(reloading.Guest, "connections") == 2, "a connection that is handed over stays"
    assert met.totals["handed_over"] > 0
