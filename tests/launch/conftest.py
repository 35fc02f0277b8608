"""Campaign folders and database servers for the tests; whatever is started is stopped by pid."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.database.embedded import EmbeddedDatabase
from launch.local.campaign import Campaign
from launch.local.processes import end_orphans


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """One database server for all tests that need no server of their own."""
    with EmbeddedDatabase(tmp_path_factory.mktemp("server")) as database:
        yield database


@pytest.fixture
def new_campaign(tmp_path: Path) -> Iterator[Callable[..., Campaign]]:
    """Make campaigns under the test's folder; their processes end with the test."""
    made: list[Campaign] = []

    def make(name: str = "campaign", **changes: object) -> Campaign:
        wanted: dict = {"formula": "LiAlCl4", "engine": "emt", "protocol": "quick", "seed": 1}
        campaign = Campaign.create_or_open(tmp_path / name, **(wanted | changes))
        made.append(campaign)
        return campaign

    yield make
    for campaign in made:
        end_orphans(campaign.folder)
        campaign.database().stop()
