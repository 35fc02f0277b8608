"""The table of stages, and what a further stage takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workflows.chains.prediction import StructurePredictionMaker
from workflows.documents.base import StageDocument
from workflows.jobs.site import QUEUE_RESOURCES
from workflows.stages.table import ROWS, STAGES, stages_after

ROOT = Path(__file__).parents[2]

#: A stage between search and candidates: this module and the row below it, and nothing else.
MODULE = '''
"""Keep the best structures of the search."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from jobflow import Job, Maker, job

from workflows.documents.base import StageDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.jobs.progress import report_progress
from workflows.jobs.tags import tag
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.table import STAGES


class SieveDocument(StageDocument):
    """What is left."""

    candidates: list[SearchCandidate]

    def summary(self) -> dict[str, object]:
        """Number of structures."""
        return {"structures_kept": len(self.candidates)}


@dataclass
class SieveMaker(Maker):
    """Keep the first structures."""

    name: str = "sieve"
    most: int = field(default=3, metadata={"positive": True, "help": "structures kept"})

    def follow(self, context: ChainContext) -> Job:
        """Sieve what the search found."""
        return tag(self.sieve(context.previous), STAGES["sieve"])

    def cost(self, context: CostContext) -> list[Cost]:
        """One short job."""
        return [decisions("sieve", 1)]

    def hand_on(self, context: CostContext) -> CostContext:
        """No more than these are left for the next stage."""
        return replace(context, n_crystals=min(self.most, context.n_crystals))

    @job
    def sieve(self, search: SearchDocument) -> SieveDocument:
        """Keep the first structures."""
        kept = search.candidates[: self.most]
        report_progress("sieve", 1, 1, structures=len(kept))
        return SieveDocument(candidates=kept, warning="much was thrown away")
'''
ROW = """
    Stage("sieve", "sieving", "workflows.stages.sieve:SieveMaker",
          document="workflows.stages.sieve:SieveDocument", can_be_last=True),
"""

#: What the further stage is seen in, run where the tree has it.
CHECKS = """
import json
from dataclasses import replace
from pathlib import Path

from jobflow.managers.fireworks import flow_to_workflow

from launch.report.estimate import estimate
from launch.report.files import write_report
from launch.database.tallies import Member, Tally
from launch.report.overview import _stage
from launch.report.campaign_results import CampaignResults
from launch.report.results import Results
from launch.report.status import _position
from tests.launch.test_report import prediction, store_of
from tests.workflows.samples import copper, emt
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.settings import list_settings, override
from workflows.stages.sieve import SieveMaker
from workflows.stages.table import STAGES

# it runs between its neighbours, and by the numbers that a user gives
target = Target("Cu", (1,))
maker = override(override(find_protocol("quick"), "sieve.most", "1"), "improve.rounds", "0")
assert "sieve.most" in {setting.path for setting in list_settings(maker)}
maker = replace(maker, reference=emt())
works = {work.name: work for work in flow_to_workflow(maker.make(target, "mine")).fws}
priorities = [works[name].spec["_priority"] for name in ("search", "sieve", "candidates")]
assert priorities == sorted(set(priorities))
flow = maker.make(target, "mine")
search, sieve, candidates = flow.jobs[-3:]
assert set(sieve.input_uuids) == {search.uuid} and set(candidates.input_uuids) == {sieve.uuid}
assert sieve.function.__self__.most == 1

# a prediction can end with it, and it is in the estimate
last = override(maker, "until", "sieve")
assert last.make(target, "mine").jobs[-1].metadata["stage"] == "sieve"
assert {"sieve", "candidates"} - {c.stage for c in estimate(last, target)} == {"candidates"}
relaxed = {(c.stage, c.queue): c.fireworks for c in estimate(maker, target)}["candidates", "dft"]
assert relaxed == 2  # one crystal, and its refinement

# progress, status and overview know where it is
assert _position("search") < _position("sieve") < _position("candidates")
tally = Tally("mine")
for number, name in enumerate(("candidates", "sieve")):
    tally.add(Member.of(number, {"stage": name}, []), "READY")
assert _stage(tally) == "sieve"

# results, warnings, summary and report have its document
found = SearchDocument(
    formula="Cu", formula_units=[1], generations=1, n_structures=2, best_energy=0.0, histories=[],
    shares=[], discarded=[], cpu_seconds=1.0,
    candidates=[SearchCandidate(structure=copper(1), energy=0.0, formula_units=4, found_by="random",
                                found_at=n) for n in (1, 2)],
)
document = SieveMaker.sieve.original(SieveMaker(most=1), found)
results = CampaignResults(store_of([found, document, prediction()]), "mine")
assert len(results.of_stage(STAGES["sieve"]).candidates) == 1
assert Results(results.store).stages("sieve")[0]["structures_kept"] == 1
assert [stage.name for stage, _ in results.documents()] == ["search", "sieve", "candidates"]
assert results.warnings() == ["sieving: much was thrown away"]
write_report(results, Path("."))
summary = json.loads(Path("summary.json").read_text())
assert summary["structures_kept"] == 1
assert list(summary).index("structures_kept") < list(summary).index("candidates")
print("seen")
"""


def test_a_further_stage_is_a_module_and_a_row(tmp_path: Path) -> None:
    """It is in the chain, settings, estimate, progress, results, summary, warnings and report."""
    for name in ("nnp", "search", "launch", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(
        ROOT / "workflows", tmp_path / "workflows", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "workflows" / "stages" / "sieve.py").write_text(MODULE)
    table = tmp_path / "workflows" / "stages" / "table.py"
    text = table.read_text()
    place = text.index('    Stage(\n        "candidates"')
    table.write_text(text[:place] + ROW + text[place:])

    run = tmp_path / "run"
    run.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CHECKS], cwd=run, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "DEVITRIFY_CONFIG": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "seen"


def test_rows_fit_the_chain() -> None:
    """Names are unique; what a row names can be imported; branches of settings bear its name."""
    assert len(STAGES) == len(ROWS)
    assert [stage.position for stage in STAGES.values()] == list(range(len(ROWS)))
    for stage in STAGES.values():
        assert stage.maker_class().__name__.endswith("Maker")
        kind = stage.document_class()
        assert kind is None or issubclass(kind, StageDocument)
        assert set(stage.resources) <= set(stage.queues) <= set(QUEUE_RESOURCES)
    chain = StructurePredictionMaker()
    assert all(isinstance(getattr(chain, s.name), s.maker_class()) for s in stages_after("train"))


@pytest.mark.parametrize("until", ["sample", "train"])
def test_a_search_by_the_reference_has_no_training_to_end_with(until: str) -> None:
    with pytest.raises(ValueError, match="until is search or candidates"):
        StructurePredictionMaker(search_level="reference", until=until)
