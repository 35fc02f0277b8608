"""
The lowest energies that CrySPY reaches in a given CPU time, to compare with.

    python -m venv ENVIRONMENT && ENVIRONMENT/bin/pip install csp-cryspy chgnet
    python -m tests.benchmarks.peer_cryspy ScCu:1 LiAlCl4:4 --seconds 600 \
        --python ENVIRONMENT/bin/python -o OUT

Runs CrySPY (https://github.com/Tomoki-YAMASHITA/CrySPY) for each formula, random search (RS) and
evolutionary search (EA), in OUT/FORMULA-zZ-ALGORITHM-SEED. Its ASE interface relaxes by CHGNet as
in its own example: BFGS within the symmetry, 0.01 eV/Å. One process relaxes all structures, since a
process for each would spend most of the time on loading. CPU seconds are those of CrySPY, of that
process, and of loading both. A second call goes on, and with more ``--seconds`` goes further.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pymatgen.core import Composition, Structure

from nnp.storage.files import write_atomically
from tests.benchmarks.phases import LOOSE, space_group

RELAX = Path(__file__).with_name("peer_cryspy_relax.py")
CHGNET = "chgnet.model.dynamics:CHGNetCalculator"
#: Structures submitted at once, and by which a random search grows.
SUBMITTED, GROWTH = 10, 20
#: Calls of CrySPY in a row that may submit nothing: between generations there are some.
IDLE = 6

#: What CrySPY submits. Behind it, it puts a line of its own that calls the structure done.
JOB = "# the benchmark relaxes what is submitted, in one process for all\nexit 0\n"


@dataclass
class Record:
    """
    What one search has done so far.

    Attributes
    ----------
    cpu : float
        Seconds, of CrySPY and of the relaxations.
    relaxed, failed : int
        Structures.
    evaluations : int
        Of the calculator.
    energies : list of (float, str)
        eV/atom and CrySPY's number of the structure, the lowest first.
    """

    cpu: float = 0.0
    relaxed: int = 0
    failed: int = 0
    evaluations: int = 0
    energies: list[tuple[float, str]] = field(default_factory=list)

    def take(self, number: str, answer: dict[str, Any]) -> None:
        """Count a relaxation."""
        if "failure" in answer:
            self.failed += 1
            return
        self.relaxed += 1
        self.evaluations += answer["steps"] + 1
        self.energies = sorted([*self.energies, (answer["energy"], number)])


class Relaxations:
    """The process that relaxes, in CrySPY's environment."""

    def __init__(self, python: Path, calculator: str, fmax: float, steps: int, log: Path) -> None:
        command = [str(python), str(RELAX), calculator, str(fmax), str(steps)]
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.cpu = 0.0

    def __call__(self, folder: Path, seconds: float) -> tuple[dict[str, Any], float]:
        """
        Relax the structure of a folder; return the outcome and the CPU seconds since the last one.

        Raises
        ------
        RuntimeError
            If the process has ended.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process that relaxes has no pipes")
        try:
            self.process.stdin.write(f"{seconds} {folder}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError("the process that relaxes has ended; see relax.log") from None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process that relaxes has ended; see relax.log")
        answer = json.loads(line)
        spent, self.cpu = answer["cpu"] - self.cpu, answer["cpu"]
        return answer, spent

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Peer:
    """
    One search by CrySPY.

    Parameters
    ----------
    folder : Path
        It works in.
    python : Path
        Of the environment that CrySPY is installed in.
    composition : dict of str to int
        Atoms in the cell.
    algorithm : str
        ``"RS"`` or ``"EA"``.
    seed : int
        Of random numbers.
    """

    folder: Path
    python: Path
    composition: dict[str, int]
    algorithm: str
    seed: int

    def run(self, seconds: float, calculator: str, fmax: float, steps: int) -> Record:
        """
        Search, or go on, until so many CPU seconds are spent.

        Parameters
        ----------
        seconds : float
            CPU time in all.
        calculator : str
            ``module:callable`` of an ASE calculator.
        fmax : float
            eV/Å.
        steps : int
            Of a relaxation at the most.

        Raises
        ------
        RuntimeError
            If CrySPY fails or submits nothing any more.
        """
        record = self._record()
        if record.cpu >= seconds:
            return record
        self._prepare()
        relaxations = Relaxations(self.python, calculator, fmax, steps, self.folder / "relax.log")
        idle = 0
        try:
            while record.cpu < seconds:
                submitted = self._submitted()
                if not submitted:
                    idle += 1
                    if idle > IDLE:
                        raise RuntimeError(f"CrySPY submits nothing; see {self.folder}")
                    self._advance(record)
                    continue
                idle = 0
                for work in submitted:
                    if record.cpu >= seconds:
                        break
                    answer, spent = relaxations(work.absolute(), seconds - record.cpu)
                    record.cpu += spent
                    record.take(work.name, answer)
                    _mark_done(work)
                    self._keep(record)
        finally:
            relaxations.close()
        return record

    def input_text(self, total: int) -> str:
        """
        CrySPY's input file.

        Parameters
        ----------
        total : int
            Structures of a random search.
        """
        sections: dict[str, dict[str, object]] = {
            "basic": {
                "algo": self.algorithm, "calc_code": "ASE", "nstage": 1, "njob": SUBMITTED,
                "jobcmd": "bash", "jobfile": "job_cryspy",
            },
            "structure": {
                "atype": " ".join(self.composition),
                "nat": " ".join(map(str, self.composition.values())),
            },
            "ASE": {"ase_python": RELAX.name},
            "option": {"seed": self.seed},
        }  # fmt: skip
        if self.algorithm == "EA":
            # as in its documentation; a single element has nothing to permute
            permuted = 2 if len(self.composition) > 1 else 0
            sections["EA"] = {
                "n_pop": 20, "n_crsov": 10, "n_perm": permuted, "n_strain": 2,
                "n_rand": 8 - permuted, "n_elite": 2, "n_fittest": 10, "slct_func": "TNM",
                "t_size": 2, "maxgen_ea": 0,
            }  # fmt: skip
        else:
            sections["basic"]["tot_struc"] = total
        return "\n".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
            for name, entries in sections.items()
        )

    def _record(self) -> Record:
        path = self.folder / "record.json"
        if not path.exists():
            return Record()
        stored = json.loads(path.read_text())
        stored["energies"] = [(energy, number) for energy, number in stored["energies"]]
        return Record(**stored)

    def _keep(self, record: Record) -> None:
        write_atomically(self.folder / "record.json", json.dumps(asdict(record)))

    def _prepare(self) -> None:
        """Write the input, if there is none, and remove the lock of a call that was killed."""
        inputs = self.folder / "calc_in"
        inputs.mkdir(parents=True, exist_ok=True)
        shutil.copy(RELAX, inputs)
        (inputs / "job_cryspy").write_text(JOB)
        if not (self.folder / "cryspy.in").exists():
            (self.folder / "cryspy.in").write_text(self.input_text(GROWTH))
        (self.folder / "lock_cryspy").unlink(missing_ok=True)

    def _submitted(self) -> list[Path]:
        """Folders of the structures that CrySPY waits for."""
        waiting = [
            path.parent
            for path in (self.folder / "work").glob("*/stat_job")
            if path.read_text().splitlines()[-1].startswith("submitted")
        ]
        return sorted(waiting, key=lambda path: int(path.name))

    def _advance(self, record: Record) -> None:
        """Let CrySPY collect what is done and submit what is next."""
        if self.algorithm == "RS" and record.relaxed + record.failed >= self._total():
            (self.folder / "cryspy.in").write_text(self.input_text(self._total() + GROWTH))
        command = [str(self.python), "-m", "cryspy.scripts.cryspy", "-n"]
        with (self.folder / "cryspy.log").open("a") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        record.cpu += usage.ru_utime + usage.ru_stime
        self._keep(record)
        if status:
            raise RuntimeError(f"CrySPY failed; see {self.folder / 'cryspy.log'} and err_cryspy")

    def _total(self) -> int:
        """Structures that the random search is allowed."""
        lines = (self.folder / "cryspy.in").read_text().splitlines()
        return next(int(line.split("=")[1]) for line in lines if line.startswith("tot_struc"))

    def best(self, record: Record) -> Structure | None:
        """The lowest structure, as relaxed; none if there is none."""
        for _, number in record.energies[:1]:
            for folder in (self.folder / "work" / number, self.folder / "work" / "fin" / number):
                if (folder / "CONTCAR").exists():
                    return Structure.from_file(folder / "CONTCAR")
        return None


def _mark_done(work: Path) -> None:
    """Tell CrySPY that a structure is relaxed, as its job would."""
    path = work / "stat_job"
    write_atomically(path, path.read_text().replace("submitted", "done"))


def describe(record: Record, best: Structure | None) -> str:
    """One line on what a search has found."""
    if best is None:
        return f"nothing relaxed, {record.failed} failed; {record.cpu:.0f} CPU s"
    lowest = ", ".join(f"{energy:.4f}" for energy, _ in record.energies[:5])
    return (
        f"{lowest} eV/atom; the lowest in space group {space_group(best, LOOSE)} ({LOOSE:g} Å); "
        f"{record.relaxed} structures relaxed, {record.failed} failed, "
        f"{record.evaluations} evaluations; {record.cpu:.0f} CPU s"
    )


def composition_of(target: str) -> dict[str, int]:
    """
    Atoms in a cell of ``FORMULA:Z``.

    Raises
    ------
    ValueError
        If it is none.
    """
    formula, _, z = target.partition(":")
    counts = Composition(formula).get_el_amt_dict()
    return {element: round(int(z or 1) * n) for element, n in counts.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("targets", nargs="+", metavar="FORMULA:Z")
    parser.add_argument("--seconds", type=float, default=600.0, help="of CPU time, for each search")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--algorithms", nargs="+", choices=("RS", "EA"), default=["RS", "EA"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calculator", default=CHGNET, metavar="MODULE:CALLABLE")
    parser.add_argument("--fmax", type=float, default=0.01)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("-o", "--out", type=Path, default=Path("cryspy"))
    chosen = parser.parse_args(arguments)
    for target in chosen.targets:
        formula, _, z = target.partition(":")
        for algorithm in chosen.algorithms:
            name = f"{''.join(filter(str.isalnum, formula))}-z{z or 1}-{algorithm}-{chosen.seed}"
            folder = (chosen.out / name).absolute()
            # not resolved: the interpreter of an environment is a link out of it
            python = chosen.python.absolute()
            peer = Peer(folder, python, composition_of(target), algorithm, chosen.seed)
            try:
                record = peer.run(chosen.seconds, chosen.calculator, chosen.fmax, chosen.steps)
            except RuntimeError as error:
                print(f"{name}: {error}", flush=True)
                continue
            print(f"{name}: {describe(record, peer.best(record))}", flush=True)


if __name__ == "__main__":
    main()
