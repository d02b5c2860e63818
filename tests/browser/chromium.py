"""A headless Chromium, driven over the DevTools protocol through a pair of pipes. Standard library only."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium")


class Chromium:
    """with Chromium(host) as browser: one page, in the network of a host of a test bed."""

    def __init__(self, host, width=1280, height=900):
        self.host = host
        self.numbers = itertools.count(1)
        self.session = None
        self.events = []
        self.unread = b""
        self.folder = tempfile.mkdtemp(prefix="centipede-browser-")
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise AssertionError("no Chromium: sudo tools/install-dependencies browser")
        from_us, self.commands = os.pipe()
        self.answers, to_us = os.pipe()
        # It reads commands from descriptor 3 and writes to 4. As root there is no sandbox to be had.
        words = [program, "--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={self.folder}",
                 "--no-first-run", "--disable-gpu", "--disable-component-update", "--disable-background-networking",
                 "--force-color-profile=srgb", "--hide-scrollbars", f"--window-size={width},{height}", "about:blank"]
        command = host.command("sh", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "sh", *words)
        self.process = subprocess.Popen(command, pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "HOME": self.folder})
        host.bed.processes.append(self.process)
        os.close(from_us)
        os.close(to_us)

    def __enter__(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self, deadline):
        """The next message; they end with a zero byte."""
        while b"\0" not in self.unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise AssertionError("Chromium does not answer")
            piece = os.read(self.answers, 1 << 20)
            if not piece:
                raise AssertionError("Chromium has ended")
            self.unread += piece
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 20
        while True:
            answer = self.receive(deadline)
            if answer.get("id") != number:
                self.events.append(answer)
                continue
            if "error" in answer:
                raise AssertionError(f"{method}: {answer['error']}")
            return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def show_as(self, width, height, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        """Of the whole page."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(picture))

    def requested(self):
        """Every address that the page has asked for."""
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """Errors and warnings of the console, uncaught exceptions, violations of the page's policy."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"].get("exception", parameters["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(parameters["args"])
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"])
        return found
