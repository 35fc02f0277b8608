"""What is found is changed by one of those who find it, whatever they ask for."""

from __future__ import annotations

import threading

import pytest

from launch.database.conditional_writes import ConditionalCollection
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase


def test_of_several_who_want_a_document_one_gets_it(server: EmbeddedDatabase) -> None:
    pads = [launchpad(server.uri, "race") for _ in range(4)]
    numbers = range(40)
    pads[0].fireworks.create_index("fw_id")
    pads[0].fireworks.insert_many([{"fw_id": n, "state": "READY"} for n in numbers])
    taken: list[list[int]] = [[] for _ in pads]

    def take(own: int) -> None:
        for n in numbers:
            ready = {"fw_id": n, "state": "READY"}
            change = {"$set": {"state": "RESERVED", "by": own}}
            if pads[own].fireworks.find_one_and_update(ready, change, {"_id": 0, "fw_id": 1}):
                taken[own].append(n)

    threads = [threading.Thread(target=take, args=(own,)) for own in range(len(pads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for own in taken for n in own) == list(numbers)
    for own, found in enumerate(taken):
        assert sorted(f["fw_id"] for f in pads[0].fireworks.find({"by": own})) == found
    pads[0].connection.drop_database("race")
    for pad in pads:
        pad.connection.close()


@pytest.mark.parametrize("projection", [None, {"_id": 0, "a": 1}, {"a": 1}, ["a"], {"_id": 0}])
def test_answers_are_those_of_pymongo(server: EmbeddedDatabase, projection: object) -> None:
    pad = launchpad(server.uri, "answers")
    plain = pad.db.fireworks
    assert isinstance(pad.fireworks, ConditionalCollection)
    assert pad.fireworks.name == plain.name
    answers = []
    for collection in (plain, pad.fireworks):
        plain.delete_many({})
        plain.insert_many([{"_id": n, "fw_id": n, "a": n % 2, "b": n} for n in range(4)])
        by_b = [("b", -1)]
        answers.append([
            collection.find_one_and_update({"a": 1}, {"$set": {"c": 1}}, projection, by_b),
            collection.find_one_and_update({"a": 5}, {"$set": {"c": 1}}, projection),
            collection.find_one_and_replace({"fw_id": 2}, {"fw_id": 2, "d": 1}, projection),
            collection.find_one_and_replace({"fw_id": 9}, {"_id": 9, "fw_id": 9}, upsert=True),
            list(plain.find({}, sort=[("_id", 1)])),
        ])  # fmt: skip
    assert answers[0] == answers[1]
    pad.connection.drop_database("answers")
    pad.connection.close()
