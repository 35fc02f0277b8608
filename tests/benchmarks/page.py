"""
Open a page with many structures in a real browser, and measure how long that takes.

The clock is the browser's own: from the navigation to the frame in which the table is painted. On a
machine that others use, the CPU time of the page's thread tells more.

``python -m tests.benchmarks.page`` makes one with 500 ranked structures and 3000 points in the
landscape, and opens it several times.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from launch.report.page.html import write_page
from tests.browser import OpenPage, browser
from tests.launch.page_samples import large_page

#: Notes when a frame with the rows of the table has been painted, in ms since the navigation
#: began.
CLOCK = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#table-frame tbody tr")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.tablePainted = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""


def main() -> None:
    """Print the size of the file, and how long it takes until its table can be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--structures", type=int, default=3000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        page = large_page(options.candidates, options.structures)
        path = write_page(page, Path(folder) / "report.html")
        table, structure, busy = [], [], []
        for _ in range(options.times):
            opened = OpenPage(running, path, script=CLOCK)
            opened.page.wait_for_function("window.tablePainted")
            table.append(opened.page.evaluate("window.tablePainted") / 1000)
            opened.page.wait_for_selector("#viewer canvas")
            structure.append(opened.page.evaluate("performance.now()") / 1000)
            busy.append(opened.cpu_seconds())
            opened.close()
        print(
            f"{options.candidates} structures, {options.structures} points: "
            f"{path.stat().st_size / 1e6:.1f} MB; medians of {options.times}: table painted "
            f"{statistics.median(table):.2f} s after navigation "
            f"({min(table):.2f} to {max(table):.2f}), structure drawn after "
            f"{statistics.median(structure):.2f} s, {statistics.median(busy):.2f} CPU seconds"
        )


if __name__ == "__main__":
    main()
