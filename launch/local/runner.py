"""
Run a campaign's workflow on this machine: the database, the workers, and watching over both.

The workflow is a FireWorks workflow in the campaign's database, the same that a cluster would
run. Nothing is kept in memory that a resumed run would miss.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.failures import Failure
from launch.database.indexes import create_indexes
from launch.database.retries import Allowance, is_granted
from launch.database.states import UNDER_WAY
from launch.errors import CampaignError
from launch.local.addition import OWN_WORKFLOW, Addition
from launch.local.campaign import Campaign, require_space
from launch.local.campaign_document import workflow_metadata
from launch.local.campaign_log import log_to
from launch.local.processes import (
    WorkerProcess,
    end_orphans,
    remove_empty_folders,
    stop_workers,
    worker_environment,
)
from launch.local.worker import WorkerOptions
from launch.report.status import CampaignStatus, collect
from launch.report.status_reading import StatusReader, state_counts
from launch.versions import CAMPAIGN_VERSION

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow
    from jobflow import Flow

    from launch.database.recovery import Lost
    from launch.local.display import Display

logger = logging.getLogger(__name__)

POLL_SECONDS, LONGEST_POLL_SECONDS = 0.5, 10.0
DISPLAY_SECONDS = 2.0  # the full status costs more than one query
DISK_SECONDS = 1.0
MINIMUM_SPACE = 50_000_000  # bytes; below this a running campaign stops
IDLE_POLLS = 4  # a worker may be about to retry what has just failed
BARREN_WORKERS = 2  # that may die one after the other without a Firework
DATABASE_RESTARTS = 2


@dataclass
class CampaignResult:
    """
    How a run of a campaign ended.

    Attributes
    ----------
    state : str
        ``completed``, ``failed`` or ``interrupted``.
    status : CampaignStatus
        Stages and figures at the end.
    failures : list of Failure
        Jobs that were left, each with its reason; a completed campaign may have some.
    """

    state: str
    status: CampaignStatus
    failures: list[Failure] = field(default_factory=list)


def run_campaign(
    campaign: Campaign,
    build_flow: Callable[[], Flow] | Addition,
    *,
    workers: int = 2,
    display: Display | None = None,
    uri: str | None = None,
    retries: int = Allowance.errors,
) -> CampaignResult:
    """
    Run a campaign to its end, or resume it.

    Parameters
    ----------
    campaign : Campaign
        The campaign; it is locked meanwhile.
    build_flow : callable or Addition
        Makes the flow; called on the first run, and where the settings are others now. Or a further
        workflow of a campaign that has run.
    workers : int
        Number of worker processes.
    display : Display or None
        Shows the progress.
    uri : str or None
        Use the MongoDB at this URI instead of the embedded database.
    retries : int
        How often a Firework that raised an error runs again.

    Returns
    -------
    CampaignResult
        How it ended.
    """
    with campaign.lock(), log_to(campaign.logs / "campaign.log"), display or nullcontext():
        require_space(campaign.folder)
        end_orphans(campaign.folder)
        remove_empty_folders(campaign.launches)
        with campaign.database(uri) as database:
            run = _Run(campaign, database, display, workers=workers, retries=retries)
            return run.to_end(build_flow)


class _Run:
    """One run of a campaign, from the launchpad to the last worker's end."""

    def __init__(
        self,
        campaign: Campaign,
        database: EmbeddedDatabase,
        display: Display | None,
        *,
        workers: int,
        retries: int,
    ) -> None:
        self.campaign = campaign
        self.database = database
        self.display = display
        self.workers = workers
        self.retries = retries
        self.since = datetime.now(UTC).isoformat()
        self.reader = StatusReader()
        self.losses: Counter[int] = Counter()
        self.recover_at: float | None = None
        self.started = 0
        self.barren = 0  # workers that died one after the other without a Firework

    def to_end(self, build_flow: Callable[[], Flow] | Addition) -> CampaignResult:
        """Run until nothing is left to run, Ctrl-C, or an error that ends the campaign."""
        from pymongo.errors import PyMongoError

        for attempt in range(DATABASE_RESTARTS + 1):
            try:
                pad = self.prepare(build_flow)
                return self.run_workers(pad)
            except PyMongoError as error:
                logger.warning("the database failed", exc_info=True)
                # A full disk is the likeliest reason, and has a better message.
                require_space(self.campaign.folder, MINIMUM_SPACE)
                if attempt == DATABASE_RESTARTS:
                    raise CampaignError(
                        f"The database failed {attempt + 1} times ({type(error).__name__}): see "
                        f"{self.database.log} and run the same command again to resume."
                    ) from error
                self.database.start()
        raise AssertionError("unreachable")

    def prepare(self, build_flow: Callable[[], Flow] | Addition) -> LaunchPad:
        """Bring the launchpad in order and add the workflow on the first run."""
        from launch.database.recovery import recover
        from launch.database.retries import retry_all

        name = self.campaign.document.database
        create_indexes(self.database.uri, name)
        # A server on this machine answers soon or has ended, and is then started again.
        patience = 30.0 if self.database.external_uri else 3.0
        pad = launchpad(self.database.uri, name, patience=patience)
        _require_own(pad, self.campaign)
        recover(pad, "the campaign was interrupted")
        if isinstance(build_flow, Addition):
            self.add(pad, build_flow)
            return pad
        workflow = pad.workflows.find_one(OWN_WORKFLOW, {"state": 1})
        if workflow is None:
            self.campaign.accept_correction()
            self.add_workflow(pad, build_flow())
            return pad
        if self.campaign.correction is not None:
            self.correct(pad, build_flow())
        if workflow["state"] != "COMPLETED":
            retry_all(pad)
        return pad

    def add(self, pad: LaunchPad, addition: Addition) -> None:
        """Add a further workflow, or bring in order what is left of it."""
        from launch.database.retries import retry_all

        query = {"metadata.addition": addition.key}
        found = pad.workflows.find_one(query, {"state": 1})
        if found is None:
            pad.add_wf(self.to_workflow(addition.build(), addition=addition.key))
        elif found["state"] != "COMPLETED":
            retry_all(pad)

    def correct(self, pad: LaunchPad, flow: Flow) -> None:
        """Make the Fireworks those of other settings; what is finished is kept."""
        from launch.local.correction import plan_correction

        document = self.campaign.document
        correction = plan_correction(pad, document.fw_ids, self.to_workflow(flow))
        try:
            correction.require_no_loss()
        except CampaignError as error:
            raise self.campaign.refuse_correction(error) from None
        self.campaign.begin_correction()
        document.fw_ids = correction.apply()
        self.campaign.accept_correction()
        self.tell(correction.sentence())

    def to_workflow(self, flow: Flow, **metadata: str) -> Workflow:
        """Make a FireWorks workflow of a flow of the campaign."""
        from jobflow.managers.fireworks import flow_to_workflow

        flow.update_metadata({"campaign": self.campaign.id})
        document = self.campaign.document
        metadata = {**workflow_metadata(document), **metadata}
        return flow_to_workflow(flow, metadata=metadata)

    def add_workflow(self, pad: LaunchPad, flow: Flow) -> None:
        """Add a flow to the launchpad."""
        document = self.campaign.document
        pad.add_wf(self.to_workflow(flow))
        document.workflow_uuid = flow.uuid
        document.fw_ids = sorted(pad.workflows.find_one(OWN_WORKFLOW, {"nodes": 1})["nodes"])
        self.campaign.save()

    def run_workers(self, pad: LaunchPad) -> CampaignResult:
        """Keep the workers running until nothing can run any more."""
        processes: dict[int, WorkerProcess] = {}
        state = "interrupted"
        try:
            with _terminate_as_interrupt():
                for number in range(1, self.workers + 1):
                    processes[number] = self.start_worker(number)
                self.poll(pad, processes)
                state = "ended"
        except KeyboardInterrupt:
            pass
        finally:
            stop_workers(list(processes.values()), at_once=state == "interrupted")
        return self.result(pad, state)

    def poll(self, pad: LaunchPad, processes: dict[int, WorkerProcess]) -> None:
        """Watch workers, Fireworks and disk until nothing can run any more."""
        idle = 0
        disk_at = show_at = 0.0
        last_counts: Counter[str] = Counter()
        while idle < IDLE_POLLS:
            now = time.monotonic()
            self.replace_dead(pad, processes)
            counts = state_counts(pad)
            under_way = sum(counts[state] for state in UNDER_WAY)
            done = counts["COMPLETED"] == counts.total()
            idle = IDLE_POLLS if done else 0 if under_way else idle + 1
            if counts != last_counts or now >= show_at:
                last_counts, show_at = counts, now + DISPLAY_SECONDS
                self.show(pad)
            if now >= disk_at:
                disk_at = now + DISK_SECONDS
                require_space(self.campaign.folder, MINIMUM_SPACE)
            if idle < IDLE_POLLS:
                time.sleep(_pause(time.monotonic() - now))

    def show(self, pad: LaunchPad) -> None:
        """Feed the display."""
        if self.display is not None:
            heading, reader = self.campaign.heading, self.reader
            self.display.update(collect(heading, pad, running=True, reader=reader))

    def start_worker(self, number: int) -> WorkerProcess:
        """Start a worker process."""
        self.started += 1
        options = WorkerOptions(
            name=f"worker-{number}.{os.getpid()}.{self.started}",
            parent=os.getpid(),
            uri=self.database.uri,
            database=self.campaign.document.database,
            launches=str(self.campaign.launches),
            retries=self.retries,
            since=self.since,
        )
        log = self.campaign.logs / f"worker-{number}.log"
        environment = worker_environment(self.campaign.folder, self.workers)
        return WorkerProcess(options, log, environment)

    def replace_dead(self, pad: LaunchPad, processes: dict[int, WorkerProcess]) -> None:
        """Start a new worker for each that died, and free what it was running."""
        from launch.database.recovery import recover

        dead = {n: worker for n, worker in processes.items() if worker.exit_code() is not None}
        due = self.recover_at is not None and time.monotonic() >= self.recover_at
        if not dead and not due:
            return
        if dead and not self.database.alive():
            raise _database_ended()
        alive = {worker.options.name for worker in processes.values()}
        alive -= {worker.options.name for worker in dead.values()}
        reason = "; ".join(sorted({worker.reason() for worker in dead.values()}))
        freed = recover(pad, reason or "its worker ended", alive, give_up=self.count_loss)
        # What is RESERVED now may belong to a dead worker or a live one: look again later.
        self.recover_at = time.monotonic() + 20.0 if dead else None
        self.barren = 0 if freed else self.barren + len(dead)
        for lost in freed:
            self.tell(f"{lost.name} (Firework {lost.fw_id}): {reason}")
        for number, worker in dead.items():
            if self.barren > BARREN_WORKERS:
                raise CampaignError(
                    f"Worker processes cannot run jobs ({worker.reason()}): see {worker.log} for "
                    "the reason and run the same command again to resume."
                )
            processes[number] = self.start_worker(number)

    def count_loss(self, lost: Lost) -> bool:
        """Whether a Firework has taken its process down too often."""
        self.losses[lost.fw_id] += 1
        return not is_granted("crash", self.losses[lost.fw_id])

    def tell(self, message: str) -> None:
        """Log a message and show it."""
        logger.warning(message)
        if self.display is not None:
            self.display.message(message)

    def result(self, pad: LaunchPad, state: str) -> CampaignResult:
        """Free what was running and describe the end."""
        from launch.database.recovery import recover

        recover(pad, "the campaign was interrupted")
        status = collect(self.campaign.heading, pad, running=False)
        if state == "ended":
            state = "completed" if status.state == "completed" else "failed"
        if self.display is not None:
            self.display.update(status)
        pad.connection.close()
        return CampaignResult(state, status, status.failures)


def _require_own(pad: LaunchPad, campaign: Campaign) -> None:
    """Make sure that the database is this campaign's alone."""
    owner = pad.db.campaign.find_one({"_id": "owner"})
    if owner is None:
        if pad.workflows.find_one({}, {"_id": 1}) is not None:
            raise CampaignError(
                f"The database {pad.name} holds workflows of others: use a fresh database."
            )
        owner = {"_id": "owner", "campaign": campaign.id, "version": CAMPAIGN_VERSION}
        pad.db.campaign.insert_one(owner)
    elif owner["campaign"] != campaign.id:
        raise CampaignError(
            f"The database {pad.name} belongs to campaign {owner['campaign']}, not to "
            f"{campaign.id}: restore {campaign.folder} from a copy, or use another --folder."
        )


def _pause(took: float) -> float:
    """
    Seconds to the next look after one that took so many.

    In a large workflow queries take long; most of the time is for the workers. A look during which
    the process was stopped, by Ctrl-Z for one, tells nothing of queries.
    """
    return min(max(POLL_SECONDS, 5.0 * took), LONGEST_POLL_SECONDS)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM, and a closed terminal, like Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    # Under nohup SIGHUP is ignored, and stays so.
    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _database_ended() -> Exception:
    from pymongo.errors import AutoReconnect

    return AutoReconnect("the database server ended")
