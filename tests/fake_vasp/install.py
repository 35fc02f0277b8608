"""Put the executables and their pseudopotentials where programs look for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.fake_vasp.potcar import write_library

_SCRIPT = """\
#!{python}
import os
import sys

# at once: nobody who watches must take the files of the run before for ours
for name in ("OUTCAR", "OSZICAR", "vasprun.xml"):
    open(name, "w").close()
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[0] = {root!r}
from tests.fake_vasp.main import main

sys.exit(main({kind!r}))
"""


@dataclass(frozen=True)
class Installation:
    """
    Where everything is.

    Attributes
    ----------
    executables : Path
        Folder with ``vasp_std`` and ``vasp_gam``.
    potentials : Path
        Folder for ``PMG_VASP_PSP_DIR``.
    """

    executables: Path
    potentials: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which pymatgen, custodian and atomate2 find it all."""
        return {
            "PATH": f"{self.executables}{os.pathsep}{os.environ.get('PATH', '')}",
            "PMG_VASP_PSP_DIR": str(self.potentials),
            "ATOMATE2_VASP_CMD": "vasp_std",
            "ATOMATE2_VASP_GAMMA_CMD": "vasp_gam",
        }


def install(folder: Path, symbols: Iterable[str] | None = None) -> Installation:
    """
    Write executables and potentials.

    Parameters
    ----------
    folder : Path
        Made if missing.
    symbols : Iterable[str] or None
        Potentials with VASP's suffixes, all of them by default.
    """
    executables = folder / "bin"
    executables.mkdir(parents=True, exist_ok=True)
    root = str(Path(__file__).resolve().parents[2])
    for kind in ("std", "gam"):
        file = executables / f"vasp_{kind}"
        file.write_text(_SCRIPT.format(python=sys.executable, root=root, kind=kind))
        file.chmod(0o755)
    return Installation(executables, write_library(folder / "potentials", symbols))
