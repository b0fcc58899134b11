"""A headless Chromium, driven over the DevTools protocol through a pair of pipes."""

import base64
import fcntl
import itertools
import json
import os
import select
import subprocess
import time

from processes import PATIENCE, wait_until

# No sandbox: the tests may run as root in a container. The rest keeps it quiet and offline.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--remote-debugging-pipe",
)
# Where the browser reads commands and writes answers; it knows these numbers by itself.
COMMANDS, ANSWERS = 3, 4


def far_pipe():
    """Both ends well away from COMMANDS and ANSWERS, so that putting one there hits no other."""
    ends = []
    for near in os.pipe():
        ends.append(fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 64))
        os.close(near)
    return ends


class Browser:
    """`directory` is for its profile and its log."""

    def __init__(self, directory):
        commands, self.commands = far_pipe()
        self.answers, answers = far_pipe()
        self.log = open(directory / "browser.log", "wb")
        self.process = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={directory / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            pass_fds=(COMMANDS, ANSWERS),
            preexec_fn=lambda: (os.dup2(commands, COMMANDS), os.dup2(answers, ANSWERS)),
        )
        os.close(commands)
        os.close(answers)
        self.numbers = itertools.count(1)
        self.unread = b""
        self.events = []

    def read(self, deadline):
        """The next thing it says."""
        while b"\0" not in self.unread:
            left = max(0, deadline - time.monotonic())
            assert select.select([self.answers], [], [], left)[0], "the browser does not answer"
            got = os.read(self.answers, 1 << 20)
            assert got, "the browser has gone"
            self.unread += got
        one, _, self.unread = self.unread.partition(b"\0")
        return json.loads(one)

    def call(self, method, session=None, **parameters):
        number = next(self.numbers)
        command = {"id": number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + 60 * PATIENCE
        while True:
            answer = self.read(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def wait_event(self, method, session):
        """It may have come already."""
        deadline = time.monotonic() + 60 * PATIENCE
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            answer = self.read(deadline)
            if "method" in answer:
                self.events.append(answer)

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(20 * PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.commands)
            os.close(self.answers)
            self.log.close()


class Tab:
    """A page in a process of its own: tabs of one browser context may share theirs, and then they
    would freeze together."""

    def __init__(self, browser, url, width=1000, height=900):
        self.browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context,
                              width=width, height=height)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target,
                                    flatten=True)["sessionId"]
        went = self.call("Page.navigate", url=url)
        assert "errorText" not in went, went
        self.wait_value(f"location.href == {json.dumps(url)} && document.readyState == 'complete'")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def value(self, expression):
        """Of a JavaScript expression in the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_value(self, expression, seconds=30):
        return wait_until(lambda: self.value(expression), expression, seconds, 0.1)

    def pause(self):
        """Stand still at the next JavaScript statement, as in a debugger."""
        self.call("Debugger.enable")
        self.call("Debugger.pause")
        self.browser.wait_event("Debugger.paused", self.session)

    def resume(self):
        self.call("Debugger.resume")
        self.call("Debugger.disable")

    def screenshot(self, path, whole=True):
        """Of the whole page, or of what is seen of it."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(picture))
