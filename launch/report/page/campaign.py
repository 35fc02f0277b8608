"""The page of a campaign, finished or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launch.report.files import motifs_in_words
from launch.report.known import PhaseFound
from launch.report.page.charts import charts_of
from launch.report.page.content import METHOD, Chart, Deed, Page
from launch.report.page.crystals import Crystal, appearance
from launch.report.page.hull import hull_chart
from launch.report.page.landscape import Marked, landscape
from launch.report.page.neighbors import bond_limits
from launch.report.page.ranking import (
    Table,
    add_found,
    add_known,
    add_known_of_system,
    add_ranking,
)
from launch.report.pressure import at_pressure, at_pressures
from launch.report.status import format_duration
from launch.shell import command_line
from workflows.conversion import to_atoms
from workflows.documents.improvement import ImproveDocument
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument
from workflows.system import elements_of

if TYPE_CHECKING:
    from launch.report.campaign_results import CampaignResults
    from launch.report.status import CampaignStatus


@dataclass(frozen=True)
class Origin:
    """
    What a campaign is, beyond what its documents say.

    Attributes
    ----------
    formula : str
    engine, protocol : str
        Empty where nobody knows, as of campaigns in a database.
    seed : int or None
    created : str
        When it was begun.
    versions : dict of str to str
        Of Python and packages.
    command : list of str
        What was typed behind ``devitrify run``.
    status : CampaignStatus or None
        Of its stages.
    """

    formula: str
    engine: str = ""
    protocol: str = ""
    seed: int | None = None
    created: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    status: CampaignStatus | None = None


def campaign_page(results: CampaignResults, origin: Origin) -> Page:
    """
    Put the page of a campaign together, with what there is so far.

    Parameters
    ----------
    results : CampaignResults
    origin : Origin
    """
    prediction = results.newest(PredictionDocument)
    elements = set(elements_of(origin.formula))
    limits = bond_limits(elements)
    table = Table(limits)
    found: Sequence[SearchCandidate] = []
    known: list[PhaseFound] = []
    if prediction is not None:
        add_ranking(table, prediction)
        known = results.known_phases()
        add_known(table, known)
        add_known_of_system(table, prediction)
    else:
        found = _found(results)
        add_found(table, found, origin.formula)
    charts, more = _charts(results, prediction, known, len(table.crystals))
    return Page(
        title=f"{origin.formula}: predicted crystal structures",
        subtitle=_subtitle(prediction, found),
        columns=table.columns(),
        rows=table.rows,
        crystals=[*table.crystals, *more],
        elements=appearance(elements),
        bonds=[[*pair, length] for pair, length in limits.items()],
        warnings=[f"{warning}." for warning in results.warnings()],
        charts=charts,
        facts=_facts(results, prediction, origin),
        deeds=_deeds(origin.status),
        command=command_line("devitrify", "run", *origin.command) if origin.command else "",
        citations=[METHOD, *_engine_citation(origin.engine or _engine(prediction)), *TOOLS],
        unfinished=_unfinished(prediction, origin),
    )


def _found(results: CampaignResults) -> Sequence[SearchCandidate]:
    """What the last search has found; nothing before the first."""
    improved = results.newest(ImproveDocument)
    if improved is not None and improved.candidates:
        return improved.candidates
    searched = results.newest(SearchDocument)
    return [] if searched is None else searched.candidates


def _charts(
    results: CampaignResults,
    prediction: PredictionDocument | None,
    known: Sequence[PhaseFound],
    first: int,
) -> tuple[list[Chart], list[Crystal]]:
    """Draw all figures, and fetch the crystals that only the landscape shows."""
    charts: list[Chart] = []
    more: list[Crystal] = []
    hull = None if prediction is None else hull_chart(prediction, len(prediction.candidates))
    if hull is not None:
        charts.append(hull)
    state = results.search_state()
    # a landscape is of one composition
    if state is not None and not state.is_of_system and len(state.archive):
        marked = [] if prediction is None else [_ranked(prediction)]
        if known:
            marked.append(_known(known, first - len(known)))
        chart, more = landscape(state, marked, first)
        charts.append(chart)
    return [*charts, *charts_of(results)], more


def _ranked(prediction: PredictionDocument) -> Marked:
    ranked = prediction.candidates
    return Marked(
        f"ranked, by {prediction.engine}",
        [to_atoms(one.structure) for one in ranked],
        [one.energy_above_best or 0.0 for one in ranked],
        [f"rank {one.rank}: {one.space_group}" for one in ranked],
        list(range(len(ranked))),
    )


def _known(known: Sequence[PhaseFound], first: int) -> Marked:
    return Marked(
        "known",
        [to_atoms(one.phase.crystal.structure) for one in known],
        [one.above_best for one in known],
        [f"{one.phase.label}: {one.phase.crystal.space_group}" for one in known],
        list(range(first, first + len(known))),
    )


def _subtitle(prediction: PredictionDocument | None, found: Sequence[SearchCandidate]) -> str:
    if prediction is not None and prediction.hulls and prediction.candidates:
        hulls = [
            f"on the hull{at_pressure(hull.pressure)}: {', '.join(hull.stable)}"
            for hull in prediction.hulls
        ]
        n = len(prediction.candidates)
        return f"{n} structures by {prediction.engine}; {'; '.join(hulls)}."
    if prediction is not None and prediction.candidates:
        best = prediction.candidates[0]
        motifs = motifs_in_words(prediction) or f"{len(prediction.candidates)} structures"
        where = at_pressures(prediction.pressures or [prediction.pressure])
        return (
            f"{motifs}, ranked by {prediction.engine}{where}. "
            f"The best: {best.space_group}, Z = {best.formula_units}, {best.density:.2f} g/cm³."
        )
    if found:
        whose = "NNP" if found[0].energy_of == "potential" else found[0].energy_of
        return (
            f"{len(found)} structures that the search has found so far, by energies of {whose}; an "
            "uncertain energy counts against a structure in its rank."
        )
    return "No structures yet."


def _unfinished(prediction: PredictionDocument | None, origin: Origin) -> str:
    if prediction is not None:
        return ""
    status = origin.status
    if status is None:
        return "This campaign has no ranking yet."
    at_work = [stage.name for stage in status.stages if stage.state == "running"]
    doing = f", at work on {', '.join(at_work)}" if at_work else ""
    return f"This campaign has no ranking yet: it is {status.state}{doing}."


def _engine(prediction: PredictionDocument | None) -> str:
    return "" if prediction is None else prediction.engine


def _facts(
    results: CampaignResults, prediction: PredictionDocument | None, origin: Origin
) -> list[list[str]]:
    """Say what was done, in pairs of name and value; what nobody knows is left out."""
    versions = origin.versions or ({} if prediction is None else prediction.provenance)
    sample, fitted = results.newest(SampleDocument), results.newest(TrainingDocument)
    searched = results.newest(SearchDocument)
    facts = {
        "campaign": results.campaign,
        "reference engine": origin.engine or _engine(prediction),
        "protocol": origin.protocol,
        "seed": "" if origin.seed is None else str(origin.seed),
        "begun": origin.created,
    }
    if sample is not None:
        facts["labelled frames"] = f"{sample.n_frames} of {sample.n_atoms} atoms and fewer"
    if fitted is not None:
        facts["validation errors of the potential"] = (
            f"{fitted.energy_rmse:.1f} meV/atom, {fitted.force_rmse:.2f} eV/Å, "
            f"{fitted.stress_rmse:.1f} kbar"
        )
    if searched is not None:
        units = ", ".join(map(str, searched.formula_units))  # none of a system
        facts["first search"] = (
            f"{searched.n_structures} structures relaxed{units and f', Z = {units}'}"
            f"{at_pressure(searched.pressure)}"
        )
    if prediction is not None:
        facts["evaluations for the ranking"] = str(prediction.evaluations)
        if prediction.failures:
            facts["left out"] = "; ".join(prediction.failures)
    if origin.status is not None:
        facts["state"] = f"{origin.status.state}, {format_duration(origin.status.elapsed)}"
    facts["versions"] = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name != "campaign"
    )
    return [[name, value] for name, value in facts.items() if value]


def _deeds(status: CampaignStatus | None) -> list[Deed]:
    if status is None:
        return []
    return [
        Deed(stage.name, stage.state, str(stage.total), format_duration(stage.elapsed))
        for stage in status.stages
    ]


#: What to cite for an engine, by its name.
_ENGINES = {
    "chgnet": "B. Deng et al., CHGNet, Nat. Mach. Intell. 5, 1031 (2023)",
    "vasp": "G. Kresse and J. Furthmüller, Phys. Rev. B 54, 11169 (1996)",
    "gpaw": "J. J. Mortensen et al., GPAW, J. Chem. Phys. 160, 092503 (2024)",
    "emt": "K. W. Jacobsen, P. Stoltze and J. K. Nørskov, Surf. Sci. 366, 394 (1996)",
}
#: And for a dispersion on top of it, by its damping.
_DISPERSIONS = {
    "d3zero": "S. Grimme, J. Antony, S. Ehrlich and H. Krieg, DFT-D3, J. Chem. Phys. 132, 154104 "
    "(2010)",
    "d3bj": "S. Grimme, S. Ehrlich and L. Goerigk, DFT-D3(BJ), J. Comput. Chem. 32, 1456 (2011)",
}
#: What the page itself is made with.
TOOLS = [
    "pymatgen (structures, powder patterns): S. P. Ong et al., Comput. Mater. Sci. 68, 314 (2013)",
    "likeness of powder patterns: R. de Gelder, R. Wehrens and J. A. Hageman, "
    "J. Comput. Chem. 22, 273 (2001)",
    "3Dmol.js (structures on this page): N. Rego and D. Koes, Bioinformatics 31, 1322 (2015)",
]


def _engine_citation(engine: str) -> list[str]:
    """Of an engine as it is named, e.g. ``chgnet+d3zero``."""
    name, _, dispersion = engine.partition("+")
    damping = dispersion.partition(":")[0]
    found = (_ENGINES.get(name), _DISPERSIONS.get(damping))
    return [citation for citation in found if citation]
