"""Any number of commands read a campaign at any time, whatever ends meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launch.commands.shared.campaign_results import read_store
from launch.database.connections import launchpad
from launch.local.campaign import Campaign
from launch.local.runner import run_campaign
from launch.local.status import campaign_status, read_database
from tests.launch import sample_jobs

READERS = 8


def states(campaign: Campaign, repeats: int = 1) -> set[str]:
    """States that parallel readers see, half of them through the job store."""

    def look(number: int) -> str:
        for _ in range(repeats):
            if number % 2:
                read_store(campaign, None, lambda store: store.count())
            state = campaign_status(campaign.folder).state
        return state

    with ThreadPoolExecutor(READERS) as pool:
        return set(pool.map(look, range(READERS)))


def test_many_read_an_idle_campaign(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    for _ in range(2):
        assert states(campaign, 2) == {"not started"}
        assert campaign.database().running() is None
        assert not campaign.locked()


def test_many_read_while_it_runs_and_ends(
    new_campaign: Callable[..., Campaign], tmp_path: Path
) -> None:
    campaign = new_campaign()
    seen: list[set[str]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(states(campaign))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        notes = str(tmp_path / "notes")
        result = run_campaign(campaign, lambda: sample_jobs.chain(notes, 4, 1.0), workers=1)
    finally:
        over.set()
        watcher.join()
    assert result.state == "completed"
    assert set().union(*seen) >= {"running"}
    assert states(campaign) == {"completed"}
    assert campaign.database().running() is None


def test_who_reads_at_the_end_is_waited_for(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    owner, reader = campaign.database(), campaign.database()
    owner.start()
    assert reader.borrow()
    ending = threading.Thread(target=owner.stop)
    ending.start()
    time.sleep(0.5)
    pad = launchpad(reader._uri(reader._server), "any", patience=2.0)  # type: ignore[arg-type]
    assert pad.fireworks.count_documents({}) == 0
    assert not campaign.database().borrow()  # nobody comes in any more
    reader.give_back()
    ending.join(20)
    assert not ending.is_alive()
    assert campaign.database().running() is None


def test_a_server_that_is_killed_is_replaced(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    killed = []

    def look(address: str, running: bool) -> int:
        if not killed:
            server = campaign.database().running()
            assert server is not None
            killed.append(server.pid)
            os.kill(server.pid, signal.SIGKILL)
        return launchpad(address, "any", patience=1.0).fireworks.count_documents({})

    assert read_database(campaign, None, look) == 0
    assert len(killed) == 1
