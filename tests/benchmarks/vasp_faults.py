"""What every fault of VASP costs: outcome and lost work, by FireWorks on the stand-in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.fake_vasp.faults import FAULTS
from tests.fake_vasp.install import install
from tests.integration.launchpad import LaunchpadFolder
from tests.integration.vasp_faults import STEPS, STRUCK, Case, FaultRuns, Result


def table(names: list[str]) -> None:
    """
    Run faults, once and lasting, mend what failed, and print a table.

    Parameters
    ----------
    names : list of str
        Of the faults; none: all.
    """
    names = names or list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(install(Path(folder) / "vasp", ["Na_pv", "Cl"]).environment)
        with LaunchpadFolder(Path(folder)) as launchpad:
            launchpad.reset()
            runs = FaultRuns(launchpad)
            before = runs.run([Case(name, lasting) for name in names for lasting in (False, True)])
            after = runs.mend()
    print(f"Segment of {STEPS} steps, struck at its step {STRUCK}; steps recomputed in brackets.\n")
    print("| fault | once | lasting | after `lpad rerun_fws` |\n|---|---|---|---|")
    reasons = []
    for name in names:
        once, lasting = before[f"{name} once"], before[f"{name} lasting"]
        mended = after[f"{name} lasting"]
        second = "" if lasting.completed else _outcome(mended)
        print(f"| `{name}` | {_outcome(once)} | {_outcome(lasting)} | {second} |")
        if not lasting.completed:
            reasons.append(f"{name}: {lasting.reason}")
    print("\n" + "\n".join(reasons))


def _outcome(result: Result) -> str:
    if not result.completed:
        return "FIZZLED"
    assert result.document is not None
    jobs = f", {len(result.states)} jobs" if len(result.states) > 1 else ""
    smaller = ", half the time step" if result.document.explosions else ""
    return f"completed ({result.recomputed}{jobs}{smaller})"
