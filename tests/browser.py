"""A real browser for the tests, without a network: headless Chromium, as Debian has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Names that Chromium has; its own path in the variable counts first.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Graphics are drawn by the processor; root may not have a sandbox.
OPTIONS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)


def find_browser() -> str | None:
    """Path of Chromium; none if there is none."""
    named = os.environ.get("DEVITRIFY_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """
    Start Chromium.

    Yields
    ------
    playwright.sync_api.Browser
        Skips the test where there is none.
    """
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driver.sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield started
        started.close()


class OpenPage:
    """
    A page in a browser that has no network.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    path : Path
        Of the file.
    width : int
        Of the window, in pixels.
    script : str
        JavaScript that runs before those of the page.

    Attributes
    ----------
    page : playwright.sync_api.Page
    complaints : list of str
        Errors and warnings of the console, errors of programs, and what was asked of a network.
    """

    def __init__(self, browser: Any, path: Path, width: int = 1300, script: str = "") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, accept_downloads=True
        )
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)  # a loaded machine is no failure
        self._session = self.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._see)
        self.page.on("dialog", self._dismiss)
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#title:not(:empty)")

    def _hear(self, message: Any) -> None:
        # how fast a processor draws graphics is no fault of the page
        if message.type in ("error", "warning") and "GPU stall" not in message.text:
            self.complaints.append(message.text)

    def _see(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def download(self, selector: str) -> tuple[str, str]:
        """Click on something that saves a file; give its name and its text."""
        with self.page.expect_download() as waiting:
            self.page.click(selector)
        saved = waiting.value
        return saved.suggested_filename, Path(saved.path()).read_text()

    def column(self, label: str) -> list[str]:
        """Texts of a column of the table, as it is sorted and filtered now."""
        script = """label => {
          const heads = [...document.querySelectorAll("#table-frame thead th")];
          const at = heads.findIndex(head => head.querySelector("button").firstChild.textContent === label);
          return [...document.querySelectorAll("#table-frame tbody tr")].map(row => row.cells[at].textContent);
        }"""  # noqa: E501
        found: list[str] = self.page.evaluate(script, label)
        return found

    def colours_drawn(self) -> int:
        """Count the colours that the picture of the structure has."""
        from io import BytesIO

        from PIL import Image

        picture = Image.open(BytesIO(self.page.locator(".canvas").screenshot())).convert("RGB")
        colours = picture.getcolors(maxcolors=1_000_000)
        return len(colours or [])

    def cpu_seconds(self) -> float:
        """CPU time that the thread of the page has taken."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "ThreadTime"))

    def close(self) -> None:
        """Close it."""
        self.context.close()
