"""
How often a page finds the structure whose powder pattern was measured.

``python -m tests.benchmarks.powder FOLDER ...`` takes the folders of campaigns with their pages.
Of each ranked structure a pattern is made as a diffractometer measures it: at other lengths, with
shifted angles, the background of air and glass, broad lines, texture and noise of counting. The
page's own program in a real browser says how alike it is to all. Structures of the same pattern, as
stackings may have, cannot be told apart: within 0.005 of the best counts as found.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pymatgen.core import Structure

from tests.browser import OpenPage, browser
from tests.launch.powder_samples import Measurement, as_text

#: From good to bad.
MEASUREMENTS = {
    "the lengths of the structure, 10,000 counts": Measurement(broadening=0.5),
    "+1 %, shift 0.1°, 2000 counts": Measurement(0.01, 0.1, 2000),
    "-1 %, shift -0.2°, 300 counts": Measurement(-0.01, -0.2, 300),
    "+1.2 %, shift 0.15°, 300 counts, texture": Measurement(0.012, 0.15, 300, 2, 0.4),
    "+1.2 %, shift 0.15°, 80 counts, texture": Measurement(0.012, 0.15, 80, 2, 0.3),
}
NEAR = 0.005
#: The page's own functions; likeness of each ranked structure.
SCRIPT = """text => {
  const measured = readMeasured(text, CU);
  return DATA.rows.map(({ crystal }) => DATA.crystals[crystal]).filter(({ pattern }) => pattern)
    .map(({ pattern }) => bestLikeness(pattern, measured, 0.2, SCALES).value);
}"""


def main() -> None:
    """Print how many were found by each measurement, and how alike they were."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    with browser() as running:
        for folder in parser.parse_args().folders:
            crystals = [
                Structure.from_file(file) for file in sorted(folder.glob("structures/*.cif"))
            ]
            opened = OpenPage(running, (folder / "report.html").resolve())
            opened.page.wait_for_selector("#table-frame tbody tr")
            for name, measurement in MEASUREMENTS.items():
                found, own = 0, []
                for number, crystal in enumerate(crystals):
                    text = as_text(measurement.of(crystal, seed=number))
                    values = opened.page.evaluate(SCRIPT, text)
                    own.append(values[number])
                    found += values[number] > max(values) - NEAR
                print(
                    f"{folder.name}, {name}: {found} of {len(crystals)} found, likeness "
                    f"{sum(own) / len(own):.2f} ({min(own):.2f} to {max(own):.2f})",
                    flush=True,
                )
            opened.close()


if __name__ == "__main__":
    main()
