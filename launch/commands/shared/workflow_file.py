"""The file that ``lpad add`` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError
from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from fireworks import Workflow
    from rich.table import Table

    from workflows.stages.cost import Cost

FORMATS = (".json", ".yaml", ".yml")


def require_format(path: Path) -> None:
    """Raise a CampaignError unless a path has a suffix that lpad takes."""
    if path.suffix not in FORMATS:
        raise CampaignError(f"{path} must end in .json or .yaml, the formats that lpad add takes.")


def write_workflow(workflow: Workflow, path: Path) -> None:
    """
    Write a workflow for ``lpad add``.

    Parameters
    ----------
    workflow : Workflow
        FireWorks workflow.
    path : Path
        Its suffix says the format.
    """
    # FireWorks' own YAML writer knows fewer types than its JSON writer
    text = workflow.to_format("json")
    if path.suffix != ".json":
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text = yaml.dump(json.loads(text), Dumper=dumper, sort_keys=False)
    write_atomically(path, text)


def cost_table(workflow: Workflow, costs: Sequence[Cost]) -> Table:
    """Return Fireworks, evaluations and node-hours by queue: now, and over the whole campaign."""
    from rich.table import Table

    table = Table(title="Fireworks by queue", title_justify="left")
    headings = ("now", "in all, about", "reference evaluations", "node-hours, about")
    for heading in ("queue", *headings):
        table.add_column(heading, justify="left" if heading == "queue" else "right")
    categories = [firework.spec["_category"] for firework in workflow.fws]
    for queue in sorted({cost.queue for cost in costs}):
        own = [cost for cost in costs if cost.queue == queue]
        table.add_row(
            queue,
            str(categories.count(queue)),
            str(sum(cost.fireworks for cost in own)),
            str(sum(cost.reference_evaluations for cost in own)),
            f"{sum(cost.node_hours for cost in own):.2g}",
        )
    return table
