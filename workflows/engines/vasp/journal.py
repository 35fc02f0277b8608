"""What a job has done so far, kept on disk: a killed one goes on from VASP's last step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnp.storage.checkpoint import read_checkpoint, write_checkpoint


@dataclass(frozen=True)
class Journal:
    """
    State of a job that its next launch finds.

    It is written before and after each run of VASP. What a run that was cut short had done is in
    its vasprun.xml; the state says in which folder.

    Parameters
    ----------
    path : Path or None
        The job's checkpoint; none: nothing is kept.
    fingerprint : str
        Of the task: a state of another one does not count.
    """

    path: Path | None
    fingerprint: str

    def read(self) -> dict[str, Any] | None:
        """State that an earlier launch left, if any."""
        return read_checkpoint(self.path, self.fingerprint) if self.path is not None else None

    def write(self, state: dict[str, Any]) -> None:
        """Keep arrays and plain values."""
        if self.path is not None:
            write_checkpoint(self.path, self.fingerprint, state)

    def drop(self) -> None:
        """Forget it all: what was done is of no use."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
