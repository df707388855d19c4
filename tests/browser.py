"""A page in headless Chromium, driven by the Chrome DevTools protocol over two pipes.

With `--remote-debugging-pipe` the browser reads commands from descriptor 3 and answers on descriptor 4, JSON messages
that end with a zero byte: no port is opened, and no client library is needed.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which is not installed")
FLAGS = ("--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--hide-scrollbars")
ANSWER_SECONDS = 60.0


class Page:
    """One tab; see `browser`.

    Attributes:
        errors: what its console has told of as an error so far, exceptions of scripts included.
    """

    def __init__(self, commands: int, answers: int, width: int, height: int):
        self._commands, self._answers, self._rest, self._number = commands, answers, b"", 0
        self._session = ""
        self.errors: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Runtime.enable")
        self._call("Log.enable")
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, pixels."""
        size = {"width": width, "height": height}
        self._call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Let the reader prefer the colour scheme `light` or `dark`."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def press(self, key: str) -> None:
        """Press and release a key, named as in JavaScript (`Tab`, `Enter`), wherever the focus is."""
        codes = {"Tab": 9, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression comes to, waited for where it is a promise.

        Raises:
            AssertionError: if it throws.
        """
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        """Go to `url`. Scripts may go on filling the page: `wait_for` what is expected of it."""
        self._call("Page.navigate", url="about:blank")  # a new fragment alone would not load the page again
        self._call("Page.navigate", url=url)

    def text(self) -> str:
        """What a reader sees, without what is hidden; white space becomes single blanks."""
        return " ".join(str(self.evaluate("document.body ? document.body.innerText : ''")).split())

    def wait_for(self, *words: str, seconds: float = 90.0) -> str:
        """The page's text once it holds all `words`.

        Raises:
            AssertionError: if some are still missing after `seconds`, naming them and the text.
        """
        deadline = time.monotonic() + seconds
        while missing := [word for word in words if word not in (text := self.text())]:
            assert time.monotonic() < deadline, f"the page does not show {missing}, but: {text}"
            time.sleep(0.2)
        return text

    def wait_until(self, expression: str, seconds: float = 90.0) -> None:
        """Wait until a JavaScript expression is true.

        Raises:
            AssertionError: if it is not after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"not so after {seconds:g} s: {expression}; errors: {self.errors}"
            time.sleep(0.2)

    def type(self, text: str) -> None:
        """Enter `text` where the focus is."""
        self._call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click on the first element that the CSS `selector` matches.

        Raises:
            AssertionError: if there is none.
        """
        found = self.evaluate(f"(one => one ? (one.click(), true) : false)(document.querySelector({_js(selector)}))")
        assert found, f"nothing on the page matches {selector}"

    def scroll_to(self, words: str) -> None:
        """Bring the innermost element that consists of `words` to the top of what it scrolls in.

        Raises:
            AssertionError: if there is none.
        """
        which = f"[...document.querySelectorAll('body *')].filter(one => one.innerText?.trim() === {_js(words)}).at(-1)"
        found = self.evaluate(f"(one => one ? (one.scrollIntoView(), true) : false)({which})")
        assert found, f"nothing on the page reads {words}"

    def links(self) -> list[str]:
        """Where the page's links lead."""
        return [str(one) for one in self.evaluate("[...document.querySelectorAll('a[href]')].map(one => one.href)")]

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def _call(self, method: str, **parameters: Any) -> Any:
        """The result of a command; of events that arrive meanwhile, errors alone are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        wrong = {
            "Runtime.exceptionThrown": True,
            "Log.entryAdded": told.get("entry", {}).get("level") == "error",
            "Runtime.consoleAPICalled": told.get("type") in ("error", "assert"),
        }
        if wrong.get(str(event.get("method"))):
            self.errors.append(json.dumps(told)[:2000])

    def _read(self) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], ANSWER_SECONDS)
            assert ready, f"the browser said nothing for {ANSWER_SECONDS:g} s"
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


def _js(text: str) -> str:
    """`text` as a literal of JavaScript."""
    return json.dumps(text)


@contextmanager
def browser(width: int = 1400, height: int = 1000) -> Iterator[Page]:
    """A page of `width` x `height` pixels in a browser of its own, whose profile is thrown away."""
    assert CHROMIUM is not None
    (its_input, commands), (answers, its_output) = os.pipe(), os.pipe()
    profile = tempfile.mkdtemp(prefix="browser-")
    flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []  # as root it does not start otherwise
    shell = ["sh", "-c", f'exec "$0" "$@" 3</dev/fd/{its_input} 4>/dev/fd/{its_output}', CHROMIUM, *flags]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(shell, pass_fds=(its_input, its_output), stdin=quiet, stdout=quiet, stderr=quiet)
    os.close(its_input)
    os.close(its_output)
    try:
        yield Page(commands, answers, width, height)
    finally:
        os.close(commands)  # it ends when nobody can command it any more
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
        shutil.rmtree(profile, ignore_errors=True)
