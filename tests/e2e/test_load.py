"""wrk as a client: many connections, keep-alive, as fast as they go. Not one failed request, and the
server's count is what the clients were answered."""

import re
import subprocess


def wrk(program, path, *options):
    command = ["wrk", "--threads", "1", "--connections", "20", "--duration", "1s", *options]
    done = subprocess.run(
        [*command, program.url("web", path)],
        capture_output=True, text=True, timeout=60, check=True,
    )
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout)[1])


def test_wrk(launch, tmp_path):
    (tmp_path / "body.lua").write_text(
        'wrk.method = "POST"\nwrk.body = string.rep("x", 5000)\n'
        'wrk.headers["Content-Type"] = "text/plain"\n'
    )
    program = launch("hello", sets={"web.workers": 2})
    answered = wrk(program, "/")
    answered += wrk(program, "/json")
    answered += wrk(program, "/echo", "--script", str(tmp_path / "body.lua"))
    totals = program.wait_empty()
    # Those still under way when the time is up are answered, but wrk does not count them.
    assert answered <= totals["messages_sent"] <= answered + 3 * 20
    assert totals["total_request"] == totals["messages_offered"]
    program.lawful()
