"""A headless Chromium, asked through its debugging pipe; no package needed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
WORDS = (
    "--headless", "--no-sandbox", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    "--proxy-server=127.0.0.1:9",
)  # fmt: skip
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""The browser reads from 3 and writes to 4."""


class Browser:
    """One page."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._number = 0
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **values: Any) -> dict[str, Any]:
        """A method of the page."""
        return self.call(method, self._session, **values)

    def call(self, method: str, session: str = "", seconds: float = 300.0, **values: Any) -> dict[str, Any]:
        """A method of the browser, or of a session."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for found in self._messages(until - time.monotonic()):
                if found.get("id") == self._number:
                    assert "error" not in found, found
                    return found["result"]
                self.events.append(found)
        raise TimeoutError(method)

    def _messages(self, seconds: float) -> Iterator[dict[str, Any]]:
        ready, _, _ = select.select([self._read], [], [], max(seconds, 0))
        if ready:
            *whole, self._rest = (self._rest + os.read(self._read, 1 << 20)).split(b"\0")
            yield from [json.loads(message) for message in whole]

    def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return result["result"].get("value")

    def open(self, path: Path, size: tuple[int, int] = (1200, 900), scheme: str = "light") -> None:
        """Open a page and wait until it is loaded."""
        self.ask("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def until(self, expression: str, seconds: float = 240.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.1)

    def screenshot(self, box: dict[str, float] | None = None) -> bytes:
        """A PNG of a box of the page, or of all of it."""
        box = box or self.value(
            "({x: 0, y: 0, width: document.documentElement.clientWidth, height: document.documentElement.scrollHeight})"
        )
        found = self.ask("Page.captureScreenshot", format="png", clip=box | {"scale": 1}, captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def requests(self) -> list[str]:
        """Addresses of everything that was asked for, data within the page left out."""
        asked = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Errors that the page logged or threw."""
        said = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                said.append(json.dumps(event["params"]["exceptionDetails"])[:500])
            if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                said.append(event["params"]["entry"]["text"])
        return said


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    assert PROGRAM is not None
    ours, theirs = os.pipe(), os.pipe()

    high = [os.dup(n) for n in (ours[0], theirs[1])]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, high), PROGRAM, f"--user-data-dir={folder}", *WORDS],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for end in (*high, ours[0], theirs[1]):
        os.close(end)
    try:
        yield Browser(ours[1], theirs[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours[1])
        os.close(theirs[0])
