"""
Open a page with many structures in a real browser, and measure how long that takes.

On a machine that others use, the CPU time of the page's thread tells more than the clock.

``python -m tests.benchmarks.page`` makes one with 500 ranked structures and 3000 points in the
landscape, and opens it several times.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from launch.report.page.html import write_page
from tests.browser import OpenPage, browser
from tests.launch.page_samples import large_page


def main() -> None:
    """Print the size of the file and the time until its table can be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--structures", type=int, default=3000)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        page = large_page(options.candidates, options.structures)
        path = write_page(page, Path(folder) / "report.html")
        table, busy = [], []
        for _ in range(options.times):
            begun = time.perf_counter()
            opened = OpenPage(running, path)
            opened.page.wait_for_selector("#table-frame tbody tr")
            table.append(time.perf_counter() - begun)
            opened.page.wait_for_selector("#viewer canvas")
            busy.append(opened.cpu_seconds())
            opened.close()
        print(
            f"{options.candidates} structures, {options.structures} points: "
            f"{path.stat().st_size / 1e6:.1f} MB, table after {statistics.median(table):.2f} s, "
            f"{statistics.median(busy):.2f} CPU seconds until its structure is drawn"
        )


if __name__ == "__main__":
    main()
