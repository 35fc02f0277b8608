"""Which frames of a fast engine's trajectory the reference engine labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Job, JobConfig, Maker, job

from nnp.analysis.selection import farthest_points, frame_features
from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import expected_errors, predict
from nnp.frames import Frames
from nnp.training.dataset import moments_of
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.training import SelectionDocument
from workflows.frame_compositions import compositions_of
from workflows.jobs.cores import usable_cores
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, decisions
from workflows.stages.sample import SampleMaker
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray

    from nnp.potential import Potential


@dataclass
class SelectionMaker(Maker):
    """
    Choose the frames that are farthest from each other, and from those already labelled.

    Distances are between frames' average environments in the space of symmetry functions, see
    :func:`nnp.analysis.selection.frame_features`. Every stage has its equal share: the glass, whose
    energies matter most, is a small region of that space beside the hot liquid. Part of the labels
    goes to frames at other volumes: the fast engine's pressure may be wrong, and equations of
    state are learnt from them. Where there is a potential, only those frames of each stage can be
    chosen of which it is least certain.

    Parameters
    ----------
    pool : int
        Frames to choose from at the most; more are thinned out evenly.
    scaled : float
        Share of the labels spent on frames at other volumes.
    max_strain : float
        Their volumes differ from the trajectory's by this fraction at the most.
    uncertain : float
        Share of each stage's frames, the least certain, to choose from once there is a potential.
    """

    name: str = "select"
    pool: int = field(
        default=3000, metadata={"range": (1, 1_000_000), "help": "frames to choose from"}
    )
    scaled: float = field(
        default=0.25,
        metadata={
            "range": (0.0, 1.0),
            "help": "share of the labels spent on frames at other volumes",
        },
    )
    max_strain: float = field(
        default=0.2,
        metadata={"range": (0.0, 0.5), "help": "their largest relative change of the volume"},
    )
    uncertain: float = field(
        default=0.5,
        metadata={
            "range": (0.01, 1.0),
            "help": "share of the frames, the least certain, to choose from",
        },
    )

    def __post_init__(self) -> None:
        for name in ("scaled", "max_strain", "uncertain"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share and cannot exceed 1")

    def make(
        self,
        segments: Sequence[list[SegmentDocument] | OutputReference],
        search_runs: Sequence[list[str] | OutputReference],
        sample: SampleMaker,
        number: int,
        seed: int,
        labelled: Frames | OutputReference | None = None,
        potential: Potential | OutputReference | None = None,
    ) -> Job:
        """
        Choose.

        Parameters
        ----------
        segments : sequence of lists of SegmentDocument or OutputReference
            Lists of segments of the trajectories, in the order of time within each.
        search_runs : sequence of lists of str or OutputReference
            Lists of jobs that ran segments for melting temperature and volume.
        sample : SampleMaker
            Collects the frames of both.
        number : int
            Labels to spend.
        seed : int
            Of the volumes.
        labelled : Frames, OutputReference or None
            Frames that have their labels already.
        potential : Potential, OutputReference or None
            Trained on them.

        Returns
        -------
        Job
            Its output is a :class:`SelectionDocument`.
        """
        work = self.choose(
            list(segments), list(search_runs), sample, number, seed, labelled, potential
        )
        work.name = "select"
        return tag(work, STAGES["select"])

    def cost(self) -> list[Cost]:
        """Expected cost."""
        return [decisions("select", 1)]

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def choose(
        self,
        segments: list[list[SegmentDocument]],
        search_runs: list[list[str]],
        sample: SampleMaker,
        number: int,
        seed: int,
        labelled: Frames | None,
        potential: Potential | None,
    ) -> SelectionDocument:
        """Collect the trajectories' frames and choose among them, as :meth:`make` says."""
        document = sample.describe(segments, search_runs)
        frames = thin(document.frames, self.pool)
        plain, scaled, uncertainties = self.select(frames, number, seed, labelled, potential)
        chosen = Frames.concatenate([plain, scaled])
        report_progress("select", 1, 1, frames=len(frames), chosen=len(chosen))
        return SelectionDocument(
            n_pool=len(frames),
            n_chosen=len(chosen),
            n_scaled=len(scaled),
            stopped_runs=sum(bool(run.stopped) for part in segments for run in part),
            uncertainty=_root_mean_square(uncertainties),
            chosen_uncertainty=None
            if potential is None
            else _root_mean_square(predict(potential, chosen).uncertainties),
            shortest_distances=document.shortest_distances,
            volume_per_atom=document.volume_per_atom,
            series=document.series,
            frames=chosen,
        )

    def select(
        self,
        frames: Frames,
        number: int,
        seed: int,
        labelled: Frames | None = None,
        potential: Potential | None = None,
    ) -> tuple[Frames, Frames, NDArray[np.float64] | None]:
        """
        Choose among frames.

        Parameters
        ----------
        frames : Frames
            The pool.
        number, seed, labelled, potential : int, Frames or None, Potential or None
            As in :meth:`make`.

        Returns
        -------
        tuple
            Frames as they are, and frames at other volumes (stage ``"scaled"``), neither with
            energies, forces or stresses; and the expected errors of the energies of the pool in
            eV/atom, none without a potential.
        """
        pool = without_labels(frames)
        stretched = scale_volumes(pool, self.max_strain, seed)
        known = Frames.concatenate([] if labelled is None else [labelled])
        parts = Frames.concatenate([known, pool, stretched])
        functions = SymmetryFunctions.standard(parts.elements)
        if potential is not None:
            functions = potential.functions
        moments = moments_of(functions, parts, usable_cores())
        features = frame_features(functions, parts, moments)
        errors = None if potential is None else expected_errors(potential, parts, moments)
        done = np.arange(len(known))
        chosen = []
        n_scaled = round(self.scaled * number)
        for start, share in (
            (len(known), number - n_scaled),
            (len(known) + len(pool), n_scaled),
        ):
            groups = [self.least_certain(errors, start + rows) for rows in groups_of(pool)]
            order = spread_over_groups(features, groups, share, done)
            chosen.append(parts[np.sort(order)])
            done = np.concatenate([done, order])
        own = slice(len(known), len(known) + len(pool))
        return chosen[0], chosen[1], None if errors is None else errors[own]

    def least_certain(
        self, errors: NDArray[np.float64] | None, rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """
        Those of some frames of which an ensemble is least certain; all without one.

        Parameters
        ----------
        errors : ndarray or None
            Expected errors of all frames, eV/atom; all zero for a single network.
        rows : ndarray of int
            Frames to choose from.
        """
        if errors is None or not errors.any():
            return rows
        number = max(1, round(self.uncertain * len(rows)))
        return np.sort(rows[np.argsort(-errors[rows], kind="stable")[:number]])


def by_stage(stages: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    """Rows of each stage, in the order in which stages first occur."""
    return [np.flatnonzero(stages == stage) for stage in dict.fromkeys(stages.tolist())]


def groups_of(frames: Frames) -> list[NDArray[np.int64]]:
    """Rows of each stage, where there are several compositions of each at each of them."""
    compositions = compositions_of(frames)
    if len(compositions) < 2:
        return by_stage(frames.stages)
    return [rows[part] for rows in compositions for part in by_stage(frames.stages[rows])]


def spread_over_groups(
    features: NDArray[np.float64],
    groups: list[NDArray[np.int64]],
    number: int,
    done: NDArray[np.int64],
) -> NDArray[np.int64]:
    """
    Choose farthest points, as equally many as possible in every group.

    Parameters
    ----------
    features : ndarray
        Of all points, shape (n_points, n_features).
    groups : list of ndarray
        Rows to choose from.
    number : int
        How many in all; what a group has too few of goes to the groups after it.
    done : ndarray
        Rows chosen before.

    Returns
    -------
    ndarray
        Rows chosen now.
    """
    chosen = np.zeros(0, dtype=np.int64)
    for position, group in enumerate(groups):
        share = (number - len(chosen)) // (len(groups) - position)
        before = np.concatenate([done, chosen])
        rows = np.concatenate([before, group])
        order = farthest_points(features[rows], share, np.arange(len(before)))
        chosen = np.concatenate([chosen, rows[order]])
    return chosen


def thin(frames: Frames, most: int) -> Frames:
    """Keep so many frames at the most, evenly spaced."""
    if len(frames) <= most:
        return frames
    return frames[np.linspace(0, len(frames) - 1, most).round().astype(int)]


def without_labels(frames: Frames) -> Frames:
    """Copy without energies, forces and stresses, so that nobody takes them for the reference's."""
    return Frames(
        counts=frames.counts,
        numbers=frames.numbers,
        cells=frames.cells,
        positions=frames.positions,
        energies=np.full(len(frames), np.nan),
        forces=np.full_like(frames.positions, np.nan),
        stresses=np.full_like(frames.cells, np.nan),
        stages=frames.stages,
        temperatures=frames.temperatures,
        times=frames.times,
    )


def scale_volumes(frames: Frames, max_strain: float, seed: int) -> Frames:
    """
    Scale each frame isotropically to a volume drawn at random.

    Parameters
    ----------
    frames : Frames
        Without labels.
    max_strain : float
        Largest relative change of the volume.
    seed : int
        Of the draws.
    """
    generator = np.random.default_rng(seed)
    factors = np.cbrt(1 + generator.uniform(-max_strain, max_strain, len(frames)))
    return Frames(
        counts=frames.counts,
        numbers=frames.numbers,
        cells=frames.cells * factors[:, None, None],
        positions=frames.positions * np.repeat(factors, frames.counts)[:, None],
        energies=frames.energies,
        forces=frames.forces,
        stresses=frames.stresses,
        stages=np.full(len(frames), "scaled"),
        temperatures=frames.temperatures,
        times=frames.times,
    )


def _root_mean_square(values: NDArray[np.float64] | None) -> float | None:
    return None if values is None or not len(values) else float(np.sqrt(np.mean(values**2)))
