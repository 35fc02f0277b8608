"""
The table of stages: what a prediction consists of, in the order in which it runs.

Tags of jobs and their priorities, the chain from the search on, ``until``, progress, results,
summaries and warnings read this table. A further stage behind the training is a module with its
Maker (and document), and a row here: the chain gives it a branch of the settings and calls its
``follow``. A stage that makes frames is a row too, but where it comes in is written in
:mod:`workflows.chains.prediction`, since what precedes the training is no single line.
"""

from __future__ import annotations

from dataclasses import replace

from workflows.jobs.site import QUEUE_RESOURCES, Resources
from workflows.jobs.stage import POTENTIAL_QUEUE, REFERENCE_QUEUE, Stage

ROWS = (
    Stage(
        "pack",
        "packing",
        "workflows.stages.packing:PackMaker",
        queues=(POTENTIAL_QUEUE,),
        is_repeatable=False,
    ),
    Stage(
        "convergence",
        "convergence",
        "workflows.stages.convergence:ConvergenceMaker",
        document="workflows.documents.convergence:ConvergenceDocument",
        is_repeatable=False,
    ),
    Stage("melt", "melt", "workflows.stages.melt:MeltMaker", is_repeatable=False),
    Stage(
        "melting_temperature",
        "melting temperature",
        "workflows.stages.melting_temperature:MeltingTemperatureMaker",
        document="workflows.documents.dynamics:MeltingTemperatureDocument",
        is_repeatable=False,
    ),
    Stage(
        "volume",
        "volume",
        "workflows.stages.volume:EquilibriumVolumeMaker",
        document="workflows.documents.dynamics:VolumeDocument",
        is_repeatable=False,
    ),
    Stage("liquid", "liquid", "workflows.stages.liquid:LiquidMaker", is_repeatable=False),
    Stage("quench", "quench", "workflows.stages.liquid:QuenchMaker", is_repeatable=False),
    Stage("anneal", "anneal", "workflows.stages.liquid:AnnealMaker", is_repeatable=False),
    # of systems only
    Stage(
        "simple_crystals",
        "simple crystals",
        "workflows.stages.simple_crystals:SimpleCrystalsMaker",
        document="workflows.documents.simple_crystals:SimpleCrystalsDocument",
        is_repeatable=False,
    ),
    Stage(
        "sample",
        "training set",
        "workflows.stages.sample:SampleMaker",
        document="workflows.documents.training:SampleDocument",
        queues=(POTENTIAL_QUEUE,),
        can_be_last=True,
    ),
    Stage(
        "check",
        "check of the training set",
        "workflows.stages.check:CheckMaker",
        document="workflows.documents.convergence:CheckDocument",
    ),
    Stage(
        "select",
        "selection of frames",
        "workflows.stages.selection:SelectionMaker",
        document="workflows.documents.training:SelectionDocument",
        queues=(POTENTIAL_QUEUE,),
        is_repeatable=False,
    ),
    # what it gives is the training set: the document of the stage sample
    Stage("label", "labels", "workflows.stages.labelling:LabellingMaker", is_repeatable=False),
    Stage(
        "train",
        "training",
        "workflows.stages.training:TrainingMaker",
        document="workflows.documents.training:TrainingDocument",
        queues=(POTENTIAL_QUEUE,),
        resources={POTENTIAL_QUEUE: Resources("12:00:00")},
        can_be_last=True,
    ),
    Stage(
        "search",
        "search",
        "workflows.stages.search:SearchMaker",
        document="workflows.documents.search:SearchDocument",
        resources={POTENTIAL_QUEUE: Resources("08:00:00")},
        can_be_last=True,
    ),
    Stage(
        "improve",
        "learning from the search",
        "workflows.stages.improve:ImproveMaker",
        document="workflows.documents.improvement:ImproveDocument",
        can_be_last=True,
    ),
    Stage(
        "candidates",
        "candidates",
        "workflows.stages.candidates:CandidateMaker",
        document="workflows.documents.prediction:PredictionDocument",
        resources={REFERENCE_QUEUE: Resources("24:00:00")},
        can_be_last=True,
    ),
    # no part of a prediction unless asked for, or by a command of its own
    Stage(
        "judge",
        "judgement",
        "workflows.stages.judge:JudgeMaker",
        document="workflows.documents.judge:JudgeDocument",
        resources={REFERENCE_QUEUE: Resources("24:00:00")},
        can_be_last=True,
    ),
)

#: All stages by name, in their order.
STAGES: dict[str, Stage] = {
    row.name: replace(row, position=position) for position, row in enumerate(ROWS)
}


def stages_after(name: str) -> list[Stage]:
    """
    Stages that run after one of them, in their order.

    Parameters
    ----------
    name : str
        A stage of the table.
    """
    position = STAGES[name].position
    return [stage for stage in STAGES.values() if stage.position > position]


def default_resources() -> dict[str, dict[str, Resources]]:
    """What jobs ask for, by queue: its ``default``, and the stages that differ from it."""
    return {
        queue: {
            "default": wanted,
            **{
                stage.name: stage.resources[queue]
                for stage in STAGES.values()
                if queue in stage.resources
            },
        }
        for queue, wanted in QUEUE_RESOURCES.items()
    }
