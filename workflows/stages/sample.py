"""The training set: the frames of the whole trajectory, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Job, JobConfig, Maker, OnMissing, job

from nnp.frames import Frames
from nnp.storage.electronegativity import no_warnings_of_noble_gases
from nnp.training.distances import shortest_distances
from search.create.random_crystals import typical_volume
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.simple_crystals import SimpleCrystalsDocument
from workflows.documents.training import SampleDocument
from workflows.frame_compositions import compositions_of, formula_of_frames, not_above
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, decisions
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray

#: eV/atom above the highest frame of the melts beyond which a crystal is left out; where frames are
#: chosen to be labelled, `LabellingMaker.max_energy` says it.
MAX_ENERGY = 0.3


@dataclass
class SampleMaker(Maker):
    """
    Collect the frames of liquid, quench and anneal.

    Parameters
    ----------
    include_search_runs : bool
        Add the frames of the runs that found melting temperature and volume: they are paid for,
        hotter and of other densities. The paper leaves them out.
    min_distance : float
        Å; frames with atoms closer than this are left out: no melt has them, an exploding run
        does.
    """

    name: str = "sample"
    min_distance: float = field(
        default=0.5,
        metadata={
            "range": (0.0, 5.0),
            "unit": "Å",
            "help": "frames with closer atoms are left out",
        },
    )

    include_search_runs: bool = field(
        default=False, metadata={"help": "add the runs that found melting temperature and volume"}
    )

    def make(
        self,
        segments: Sequence[list[SegmentDocument] | OutputReference],
        search_runs: Sequence[list[str] | OutputReference],
        crystals: OutputReference | None = None,
    ) -> Job:
        """
        Collect.

        Parameters
        ----------
        segments : sequence of lists of SegmentDocument or OutputReference
            Lists of segments, in the order of time within each trajectory.
        search_runs : sequence of lists of str or OutputReference
            Lists of jobs that ran segments for melting temperature and volume.
        crystals : OutputReference or None
            Of a :class:`~workflows.documents.simple_crystals.SimpleCrystalsDocument`.

        Returns
        -------
        Job
            Its output is a :class:`SampleDocument`.
        """
        runs = list(search_runs) if self.include_search_runs else []
        work = self.collect(
            list(segments), runs, **({} if crystals is None else {"crystals": crystals})
        )
        if crystals is not None:  # whose job may fail
            work.config.on_missing_references = OnMissing.NONE
        work.name = "sample"
        return tag(work, STAGES["sample"])

    def cost(self) -> list[Cost]:
        """Expected cost."""
        return [decisions("sample", 1)]

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def collect(
        self,
        segments: list[list[SegmentDocument]],
        search_runs: list[list[str]],
        crystals: SimpleCrystalsDocument | None = None,
    ) -> SampleDocument:
        """
        Join the frames and describe them.

        Parameters
        ----------
        segments : list of lists of SegmentDocument
            In the order of time within each trajectory.
        search_runs : list of lists of str
            Jobs that ran segments for melting temperature and volume.
        crystals : SimpleCrystalsDocument or None
            Of the ends of a system, whose frames are added; none where their job failed.

        Raises
        ------
        ValueError
            If no frame is usable.
        """
        document = self.describe(segments, search_runs)
        if crystals is not None:
            document = _with_crystals(document, self.usable(crystals.frames))
        report_progress("sample", 1, 1, frames=document.n_frames)
        return document

    def describe(
        self, segments: list[list[SegmentDocument]], search_runs: list[list[str]]
    ) -> SampleDocument:
        """Join the frames and describe them, as :meth:`collect`."""
        flat = [segment for part in segments for segment in part]
        earlier: list[SegmentDocument] = [output_of(uuid) for part in search_runs for uuid in part]
        frames = Frames.concatenate([segment.frames for segment in (*earlier, *flat)])
        finite = _finite(frames)
        frames = frames[finite]
        distances = shortest_distances(frames, frames.elements)
        usable = distances.min(axis=(1, 2), initial=np.inf) >= self.min_distance
        if not usable.any():
            raise ValueError("no frame of the trajectory is usable: all are exploded or not finite")
        kept = frames[np.flatnonzero(usable)]
        with no_warnings_of_noble_gases():
            formula = flat[0].structure.composition.reduced_formula
        if len(compositions_of(kept)) > 1:
            formula = formula_of_frames(kept)
        return SampleDocument(
            formula=formula,
            n_frames=len(kept),
            n_atoms=int(kept.counts[0]),
            frames_by_stage=dict(Counter(map(str, kept.stages))),
            frames_left_out=len(finite) - len(kept),
            shortest_distances=_by_pair(distances[usable].min(axis=0), frames.elements),
            volume_per_atom=glass_volume(flat),
            series=_series(flat),
            frames=kept,
        )

    def usable(self, frames: Frames) -> Frames:
        """Leave out frames that are not finite or have atoms on top of each other."""
        frames = frames[_finite(frames)] if len(frames) else frames
        if not len(frames):
            return frames
        nearest = shortest_distances(frames, frames.elements).min(axis=(1, 2), initial=np.inf)
        return frames[np.flatnonzero(nearest >= self.min_distance)]


def _with_crystals(document: SampleDocument, crystals: Frames) -> SampleDocument:
    """Add frames of crystals, but for those that lie far above all melts."""
    low = not_above([crystals], document.frames, MAX_ENERGY)
    frames = Frames.concatenate([document.frames, *low])
    return document.model_copy(
        update={
            "frames": frames,
            "n_frames": len(frames),
            "frames_by_stage": dict(Counter(map(str, frames.stages))),
        }
    )


def glass_volume(segments: Sequence[SegmentDocument]) -> float:
    """
    Volume of the last glass, Å³/atom.

    Of several compositions that of as many atoms of each element, by the mean ratio of the glasses'
    volumes to those of covalent radii: so a search begins at volumes of all compositions.

    Parameters
    ----------
    segments : sequence of SegmentDocument
        In the order of time; the last one of each composition counts.
    """
    last = {one.structure.composition.reduced_formula: one for one in segments}
    if len(last) == 1:
        return segments[-1].volume / len(segments[-1].structure)
    ratios = [
        one.volume / typical_volume(Counter(site.specie.symbol for site in one.structure))
        for one in last.values()
    ]
    elements = {e.symbol for one in last.values() for e in one.structure.elements}
    return float(np.mean(ratios)) * typical_volume(dict.fromkeys(elements, 1)) / len(elements)


def _finite(frames: Frames) -> NDArray[np.bool_]:
    """Which frames have finite cells, positions, energies and forces, shape (n_frames,)."""
    per_atom = np.isfinite(np.hstack([frames.positions, frames.forces])).all(axis=1)
    whole = np.logical_and.reduceat(per_atom, frames.offsets[:-1])
    cells = np.isfinite(frames.cells).all(axis=(1, 2))
    return np.asarray(whole & cells & np.isfinite(frames.energies))


def _by_pair(distances: NDArray[np.float64], elements: tuple[str, ...]) -> dict[str, float]:
    """Finite distances (Å) by pair, e.g. ``"Al-Cl"``; symbols in alphabetical order."""
    return {
        "-".join(sorted((elements[a], elements[b]))): float(distances[a, b])
        for a in range(len(elements))
        for b in range(a, len(elements))
        if np.isfinite(distances[a, b])
    }


def _series(segments: list[SegmentDocument]) -> dict[str, list[float]]:
    """
    Temperature, energy and pressure along the trajectories, one after the other.

    Of several compositions also the share of the atoms that each element has, by its symbol.
    """
    compositions = [s.structure.composition.fractional_composition for s in segments]
    shares: dict[str, list[float]] = {}
    if any(one != compositions[0] for one in compositions):
        shares = {
            symbol: [
                one.get_atomic_fraction(symbol)
                for s, one in zip(segments, compositions, strict=True)
                for _ in s.temperatures
            ]
            for symbol in sorted({e.symbol for one in compositions for e in one.elements})
        }
    times: NDArray[np.float64] = np.cumsum(
        np.concatenate([[s.sample_interval] * len(s.temperatures) for s in segments])
    )
    return {
        "time": (times / 1000).tolist(),
        "temperature": [value for s in segments for value in s.temperatures],
        "energy": [value for s in segments for value in s.energies],
        "pressure": [value for s in segments for value in s.pressures],
        **shares,
    }
