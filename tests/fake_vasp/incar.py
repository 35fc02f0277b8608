"""INCAR: the tags as written."""

from __future__ import annotations

import re
from pathlib import Path

Value = bool | int | float | str | list[int] | list[float]

_TYPES = {
    "integers": "IALGO IBRION ICHARG ISEARCH ISIF ISMEAR ISPIN ISTART ISYM IVDW KBLOCK KPAR "
    "LMAXMIX LORBIT MAXMIX MDALGO NBANDS NBLOCK NCORE NEDOS NELM NELMDL NELMIN NPAR NSIM NSW",
    "logicals": "ADDGRID KGAMMA LAECHG LASPH LCHARG LELF LHFCALC LMIXTAU LNONCOLLINEAR LPLANE "
    "LSCALAPACK LSCALU LSORBIT LUSE_VDW LVHAR LVTOT LWAVE ML_LMLFF",
    "lists": "DIPOL LANGEVIN_GAMMA MAGMOM",
}
_INTEGERS, _LOGICALS, _LISTS = (frozenset(names.split()) for names in _TYPES.values())


class InputError(Exception):
    """The input files do not describe a run that this program can do."""


class Incar:
    """
    Tags of an INCAR file.

    Parameters
    ----------
    text : str
        Content of the file: ``TAG = value`` a line or separated by semicolons, comments after
        ``#`` or ``!``, a backslash continues a line.
    """

    def __init__(self, text: str) -> None:
        self.tags: dict[str, str] = {}
        for line in re.split(r"[\n;]", text.replace("\\\n", " ")):
            name, equals, value = re.split(r"[#!]", line)[0].partition("=")
            if equals:
                self.tags.setdefault(name.strip().upper(), value.strip())

    @classmethod
    def read(cls, folder: Path) -> Incar:
        """Read the file of a run's folder."""
        file = folder / "INCAR"
        if not file.exists():
            raise InputError("No INCAR found, STOPPING")
        return cls(file.read_text())

    def __contains__(self, name: str) -> bool:
        return name in self.tags

    def text(self, name: str, default: str) -> str:
        """Value as it was written."""
        return self.tags.get(name, default)

    def number(self, name: str, default: float) -> float:
        """First number of the value."""
        return (
            float(self.tags[name].split()[0].lower().replace("d", "e")) if name in self else default
        )

    def integer(self, name: str, default: int) -> int:
        """First number of the value, as an integer."""
        return int(self.number(name, default))

    def logical(self, name: str, default: bool) -> bool:
        """Whether the value starts with T; LREAL and the like may also say Auto or On."""
        if name not in self:
            return default
        return self.tags[name].lstrip(".").upper().startswith(("T", "A", "O"))

    def numbers(self, name: str, default: list[float]) -> list[float]:
        """All numbers of the value; ``3*0.5`` stands for three of them."""
        if name not in self:
            return default
        values: list[float] = []
        for word in self.tags[name].split():
            count, star, value = word.partition("*")
            values += [float(value)] * int(count) if star else [float(word)]
        return values

    def typed(self) -> dict[str, Value]:
        """Tags with the type VASP would echo them in."""
        return {name: self._typed(name) for name in self.tags}

    def _typed(self, name: str) -> Value:
        value = self.tags[name]
        if name in _LISTS:
            return self.numbers(name, [])
        if name in _INTEGERS:
            return self.integer(name, 0)
        if name in _LOGICALS:
            return self.logical(name, False)
        try:
            return float(value)
        except ValueError:
            return value
