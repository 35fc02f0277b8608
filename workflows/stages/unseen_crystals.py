"""Crystals that no potential has chosen, and jobs that relax them whose ids follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import CURRENT_JOB, Job, OnMissing
from pymatgen.core import Structure

from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from search.relax.limits import RelaxationLimits
from workflows.composition import Target
from workflows.engines.base import Engine
from workflows.jobs.idempotency import content_id
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.packing import estimate_volume
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from ase import Atoms
    from jobflow import OutputReference

#: Volumes of random crystals, relative to the estimate: as wide as that may be wrong.
VOLUMES = (0.8, 1.4)


class Relaxations:
    """
    Relaxations whose ids follow from what is relaxed, and how.

    With plane waves the energies of crystals are computed again at the cutoff of the melt, where
    they are to be compared with a potential's.

    Parameters
    ----------
    engine : Engine
        Reference engine.
    limits : RelaxationLimits
        Where a relaxation ends.
    at_cutoff_of_melt : bool
        Whether energies are computed again so.

    Attributes
    ----------
    jobs : dict of str to Job
        By their ids.
    """

    def __init__(
        self, engine: Engine, limits: RelaxationLimits, at_cutoff_of_melt: bool = True
    ) -> None:
        self.engine, self.limits = engine, limits
        self.again = engine.has_plane_waves and at_cutoff_of_melt
        self.jobs: dict[str, Job] = {}

    @property
    def outputs(self) -> list[OutputReference]:
        """Of all jobs."""
        return [work.output for work in self.jobs.values()]

    def add(self, structure: Structure) -> tuple[str, str | None]:
        """
        Relax a crystal, once.

        Parameters
        ----------
        structure : Structure

        Returns
        -------
        tuple of str and (str or None)
            Ids of the job that relaxes it, and of the one that computes its energy if that is
            another.
        """
        relax_id = job_id("relax", structure, self.engine, self.limits)
        energy_id = job_id("energy", relax_id) if self.again else None
        if relax_id in self.jobs:
            return relax_id, energy_id
        work = self.engine.relax(self.limits).make(structure, "judge")
        work.set_uuid(relax_id)
        work.name = "judge relaxation"
        self.jobs[relax_id] = tag(work, STAGES["judge"], REFERENCE_QUEUE)
        if energy_id is not None:
            static = self.engine.static("compared crystal")
            energy = static.make([work.output.structure], "judge")  # type: ignore[list-item]
            energy.set_uuid(energy_id)
            energy.name = "judge energy"
            # without its structure it fails as well, and leaves a gap
            energy.config.on_missing_references = OnMissing.NONE
            self.jobs[energy_id] = tag(energy, STAGES["judge"], REFERENCE_QUEUE)
        return relax_id, energy_id


def job_id(*parts: Any) -> str:
    """
    Return an id that follows from what a job computes, and from the campaign.

    Parameters
    ----------
    *parts : object
        MSONable, or plain.
    """
    current = CURRENT_JOB.job
    campaign = "" if current is None else current.metadata.get("campaign", "")
    return content_id(campaign, *parts)


def random_crystals(target: Target, number: int, seed: int) -> list[Atoms]:
    """
    Make random crystals with symmetry; the first ones do not depend on how many there are.

    Parameters
    ----------
    target : Target
        Formula units are taken in turn.
    number : int
        How many.
    seed : int
        Of the campaign.

    Returns
    -------
    list of Atoms
    """
    generator = RandomSymmetric(DistanceLimits.from_radii(sorted(target.elements)))
    volume = estimate_volume(target.composition, target.pressure)
    crystals = []
    for index in range(number):
        rng = np.random.default_rng(derive_seed(seed, "judge random", index))
        units = target.formula_units[index % len(target.formula_units)]
        counts = {element: units * n for element, n in target.counts.items()}
        size = volume * sum(counts.values()) * rng.uniform(*VOLUMES)
        crystals.append(generator.generate(counts, size, rng))
    return crystals
