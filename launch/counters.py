"""A FireWorks launchpad whose ids are unique on every server."""

from __future__ import annotations

from fireworks import LaunchPad
from pymongo import ReturnDocument


class CampaignLaunchPad(LaunchPad):
    """The launchpad of a campaign.

    FireWorks takes new ids from the document as it was before an increment. SecantusDB 0.7
    increments atomically but, with several clients, may return the state before the increment of
    another: two launches then share an id, and the end of one ends the other. The state after the
    increment is right there as well as on MongoDB.
    """

    def get_new_fw_id(self, quantity: int = 1) -> int:
        """Return the first of some new Firework ids."""
        return self._increment("next_fw_id", quantity)

    def get_new_launch_id(self) -> int:
        """Return a new launch id."""
        return self._increment("next_launch_id", 1)

    def _increment(self, counter: str, quantity: int) -> int:
        after = self.fw_id_assigner.find_one_and_update(
            {}, {"$inc": {counter: quantity}}, return_document=ReturnDocument.AFTER
        )
        if after is None:
            raise ValueError("the launchpad has no id counters: it was never reset")
        return int(after[counter]) - quantity
