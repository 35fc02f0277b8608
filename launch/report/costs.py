"""What a campaign has cost, by stage; and a generation and an atom, as the paper counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.report.status import format_duration

if TYPE_CHECKING:
    from rich.table import Table

    from launch.report.status import CampaignStatus
    from workflows.documents.judge import JudgeDocument
    from workflows.documents.search import SearchDocument


def stage_costs(status: CampaignStatus) -> Table:
    """
    Tabulate jobs and time of each stage.

    Parameters
    ----------
    status : CampaignStatus
    """
    from rich.table import Table

    table = Table(title="Cost by stage", title_justify="left")
    table.add_column("stage")
    for heading in ("jobs", "time"):
        table.add_column(heading, justify="right")
    for stage in status.stages:
        table.add_row(stage.name, str(stage.total), format_duration(stage.elapsed))
    return table


def cost_sentences(document: JudgeDocument, search: SearchDocument | None) -> list[str]:
    """
    Say what one evaluation, and one generation, take.

    Parameters
    ----------
    document : JudgeDocument
    search : SearchDocument or None
        Of the campaign, if it has searched on the potential.
    """
    evaluations = document.reference_evaluations
    listed = ", ".join(f"{origin} {number}" for origin, number in evaluations.items() if number)
    said = [
        f"NNP: {document.potential_seconds:.1e} s an atom for energy, forces and stress.",
        f"Evaluations by {document.engine}: {listed}.",
    ]
    if search is not None and search.generations:
        seconds = search.cpu_seconds / search.generations
        said.append(f"A generation of the campaign's search took {seconds:.3g} CPU seconds.")
    return said
