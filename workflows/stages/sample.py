"""The training set: the frames of the whole trajectory, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Job, JobConfig, Maker, job

from nnp.frames import Frames
from workflows.documents.schemas import SampleDocument, SegmentDocument
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report
from workflows.jobs.tags import label

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray


@dataclass
class SampleMaker(Maker):
    """
    Collect the frames of liquid, quench and anneal.

    Parameters
    ----------
    include_search_runs
        Add the frames of the runs that found melting temperature and volume: they are paid for,
        hotter and of other densities. The paper leaves them out.
    min_distance
        Å; frames with atoms closer than this are left out: no melt has them, an exploding run
        does.
    """

    name: str = "sample"
    min_distance: float = field(
        default=0.5, metadata={"unit": "Å", "help": "frames with closer atoms are left out"}
    )

    include_search_runs: bool = field(
        default=False, metadata={"help": "add the runs that found melting temperature and volume"}
    )

    def make(
        self,
        segments: Sequence[list[SegmentDocument] | OutputReference],
        search_runs: Sequence[list[str] | OutputReference],
    ) -> Job:
        """
        Collect.

        Parameters
        ----------
        segments
            Lists of segments, in the order of time within each trajectory.
        search_runs
            Lists of jobs that ran segments for melting temperature and volume.

        Returns
        -------
        Job
            Its output is a :class:`SampleDocument`.
        """
        work = self.collect(list(segments), list(search_runs) if self.include_search_runs else [])
        work.name = "sample"
        return label(work, "sample")

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def collect(
        self, segments: list[list[SegmentDocument]], search_runs: list[list[str]]
    ) -> SampleDocument:
        """
        Join the frames and describe them.

        Raises
        ------
        ValueError
            If no frame is usable.
        """
        document = self.describe(segments, search_runs)
        report("sample", 1, 1, frames=document.n_frames)
        return document

    def describe(
        self, segments: list[list[SegmentDocument]], search_runs: list[list[str]]
    ) -> SampleDocument:
        """Join the frames and describe them, as :meth:`collect`."""
        flat = [segment for part in segments for segment in part]
        earlier: list[SegmentDocument] = [output_of(uuid) for part in search_runs for uuid in part]
        frames = Frames.concatenate([segment.frames for segment in (*earlier, *flat)])
        distances = [shortest_distances(frames[i]) for i in range(len(frames))]
        usable = np.array(
            [
                bool(np.isfinite(frame.energies).all() and np.isfinite(frame.forces).all())
                and min(shortest.values(), default=np.inf) >= self.min_distance
                for frame, shortest in zip(frames, distances, strict=True)
            ],
            dtype=bool,
        )
        if not usable.any():
            raise ValueError("no frame of the trajectory is usable: all are exploded or not finite")
        kept = frames[np.flatnonzero(usable)]
        shortest: dict[str, float] = {}
        for index in np.flatnonzero(usable):
            for pair, distance in distances[index].items():
                shortest[pair] = min(distance, shortest.get(pair, np.inf))
        return SampleDocument(
            formula=flat[0].structure.composition.reduced_formula,
            n_frames=len(kept),
            n_atoms=int(kept.counts[0]),
            frames_by_stage=dict(Counter(map(str, kept.stages))),
            frames_left_out=int((~usable).sum()),
            shortest_distances=shortest,
            volume_per_atom=flat[-1].volume / len(flat[-1].structure),
            series=_series(flat),
            frames=kept,
        )


def shortest_distances(frame: Frames) -> dict[str, float]:
    """
    Shortest distance of each pair of elements in one frame, periodic images included.

    Parameters
    ----------
    frame : Frames
        A single frame.

    Returns
    -------
    dict
        Å by pair, e.g. ``"Al-Cl"``; symbols in alphabetical order.
    """
    from search.geometry import shortest_by_pair

    return shortest_by_pair(frame.cells[0], frame.positions, frame.numbers, 4.0)


def _series(segments: list[SegmentDocument]) -> dict[str, list[float]]:
    """Temperature, energy and pressure along the trajectories, one after the other."""
    times: NDArray[np.float64] = np.cumsum(
        np.concatenate([[s.sample_interval] * len(s.temperatures) for s in segments])
    )
    return {
        "time": (times / 1000).tolist(),
        "temperature": [value for s in segments for value in s.temperatures],
        "energy": [value for s in segments for value in s.energies],
        "pressure": [value for s in segments for value in s.pressures],
    }
