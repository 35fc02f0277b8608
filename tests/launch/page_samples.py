"""Crystals and pages for the tests: titanium dioxide, whose phases everybody knows."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from pymatgen.core import Lattice, Structure

from launch.report.campaign_results import CampaignResults
from launch.report.page.campaign import Origin, campaign_page
from launch.report.page.content import Page
from search.options import EvolutionOptions
from search.relax.relaxed import CONVERGED, Relaxed
from search.state.evolution import Evolution
from tests.launch.test_report import store_of
from workflows.documents.base import Document
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import IslandDocument

#: Looks like a formula, a tag, an attribute and a script, and is none of them.
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert('x')</script>\"'&" + "z" * 300


def rutile() -> Structure:
    """Measured: Ti-O 1.95 and 1.98 Å; strongest reflection (110) at 27.4°."""
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
    )


def anatase() -> Structure:
    """Measured: strongest reflection (101) at 25.3°."""
    conventional = Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(3.785, 9.514), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.208]]
    )
    return conventional.get_primitive_structure()


def candidate(structure: Structure, rank: int, energy: float, **more: object) -> CandidateDocument:
    """A ranked structure."""
    symbol, number = structure.get_space_group_info()
    wanted: dict = {
        "formula": "TiO2",
        "chemical_system": "O-Ti",
        "formula_units": len(structure) // 3,
        "space_group": symbol,
        "space_group_number": number,
        "energy": energy,
        "energy_above_best": 1000 * (energy + 8.9),
        "single_point": energy + 0.002,
        "expected_error": 0.003,
        "density": float(structure.density),
        "volume": structure.volume / len(structure),
        "rank": rank,
        "motif": rank,
        "converged": True,
        "engine": "emt",
        "structure": structure,
        "found_by": "heredity",
        "found_at": 10 * rank,
    }
    return CandidateDocument(**(wanted | more))


def prediction(**more: object) -> PredictionDocument:
    """Anatase before rutile, as density functionals have it, and a stretched one."""
    stretched = anatase()
    stretched.scale_lattice(1.2 * stretched.volume)
    ranked = [
        candidate(anatase(), 1, -8.9, **more),
        candidate(rutile(), 2, -8.89),
        candidate(stretched, 3, -8.7, converged=False),
    ]
    return PredictionDocument(formula="TiO2", engine="emt", candidates=ranked)


@functools.cache
def evolution(generations: int = 2, population: int = 12, most: int = 1000) -> Evolution:
    """A search that takes all structures as they are made, with energies by their volumes."""
    options = EvolutionOptions(
        formula_units=(2,), population=population, generations=generations, archive_size=most
    )
    state = Evolution({"Ti": 1, "O": 2}, options, seed=1)
    while not state.finished:
        state.tell(
            [
                Relaxed(
                    one.atoms,
                    len(one.atoms) * (-8.9 + 0.02 * abs(one.atoms.get_volume() / 6 - 11)),
                    CONVERGED,
                )
                for one in state.ask()
            ]
        )
    return state


def island(state: Evolution) -> IslandDocument:
    """The document of a search."""
    return IslandDocument(
        generation=state.generation,
        n_structures=state.structures,
        best_energy=state.best_energy,
        finished=True,
        cpu_seconds=1.0,
        evolution=state,
    )


def page_of(*documents: Document, origin: Origin | None = None) -> Page:
    """The page of a campaign that has left these documents."""
    results = CampaignResults(store_of(list(documents)), "mine")
    return campaign_page(results, origin or Origin("TiO2", "emt", "quick", 1, command=["TiO2"]))


def large_page(candidates: int, structures: int) -> Page:
    """A page with many ranked structures, and a landscape with many points."""
    state = evolution(generations=4, population=25)
    page = page_of(prediction(), island(state))
    row, crystal = page.rows[0], page.crystals[0]
    rng = np.random.default_rng(0)
    rows = [
        replace(row, crystal=n, values={**row.values, "rank": n + 1, "above": float(n)})
        for n in range(candidates)
    ]
    found = [replace(page.crystals[-1], name=f"structure_{n}") for n in range(structures)]
    landscape = page.charts[0]
    panels = []
    for panel in landscape.panels:
        trace = next(t for t in panel.traces if t["name"] == "search")
        many = {
            **trace,
            "x": rng.uniform(9, 15, structures).round(4).tolist(),
            "y": rng.uniform(0, 600, structures).round(2).tolist(),
            "text": [f"structure {n}, heredity" for n in range(structures)],
            "customdata": [candidates + n for n in range(structures)],
        }
        panels.append(replace(panel, traces=[many]))
    return replace(
        page,
        rows=rows,
        crystals=[*[replace(crystal, name=f"c{n}") for n in range(candidates)], *found],
        charts=[replace(landscape, panels=panels), *page.charts[1:]],
    )
