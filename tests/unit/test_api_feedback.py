"""An operator's word on the cause: said once a key, and shown as the log holds it."""

import pytest

from schemas import topics
from schemas.incidents import Feedback
from tests.api_world import ALICE, BOB, NOW, World
from tests.unit.api_calls import waiting_world  # noqa: F401 - the fixture world

PATH = "/api/v1/incidents/inc-1/feedback"
WORDS = {"confirmed_service": "inventory", "confirmed_cause": "memory_leak", "note": "seen in the heap"}


async def say(world, body, key="k1", token=ALICE):
    async with world.client(token) as client:
        return await client.post(PATH, json=body, headers={"Idempotency-Key": key})


def on_the_log(world):
    records = world.logs[topics.INCIDENTS.name].records
    return [Feedback.model_validate_json(record.value) for record in records if ("airra.type", b"feedback") in record.headers]


async def test_the_same_words_again_under_their_key_are_answered_as_the_log_holds_them(world):
    first = await say(world, WORDS)
    world.now += 5_000
    again = await say(world, WORDS)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.json()["feedback"]["at"] == NOW
    assert len(on_the_log(world)) == 1


@pytest.mark.parametrize("other", [{"confirmed_service": "orders"}, {"confirmed_cause": "database"}, {"note": "or not"}])
async def test_other_words_under_the_same_key_are_refused_and_not_appended(world, other):
    first = await say(world, WORDS)
    refused = await say(world, WORDS | other)
    assert (refused.status_code, refused.json()["error"]) == (409, "key_reused")
    assert "another Idempotency-Key" in refused.json()["what_to_do"]
    assert [word.model_dump(mode="json") for word in on_the_log(world)] == [first.json()["feedback"]]
    assert (await say(world, WORDS | other, key="k2")).status_code == 200
    assert (await say(world, WORDS | other, token=BOB)).status_code == 200, "a key is a person's own"


async def test_other_words_that_come_before_the_first_are_read_are_refused_too(world):
    log = world.logs[topics.INCIDENTS.name]
    log.stuck = True
    assert (await say(world, WORDS)).json()["error"] == "recorded_not_read"
    log.stuck = False
    refused = await say(world, {"note": "another"})
    assert (refused.status_code, refused.json()["error"]) == (409, "key_reused")
    assert len(on_the_log(world)) == 1


async def test_other_words_under_a_key_of_before_a_restart_are_refused(world):
    await say(world, WORDS)
    restarted = World()
    restarted.open_incident()
    restarted.put(topics.INCIDENTS, "inc-1", on_the_log(world)[0])
    assert (await say(restarted, {"note": "another"})).json()["error"] == "key_reused"
    assert (await say(restarted, WORDS)).json()["feedback"]["at"] == NOW
    assert len(on_the_log(restarted)) == 1, "what stands there is not said beside itself"


async def test_a_word_on_an_incident_that_leaves_the_book_meanwhile_is_told_to_be_recorded(world):
    """The book is bounded: what it does not keep cannot be compared with what is said."""

    async def append(outputs):
        world.model.incidents.pages.clear()
        return await World.append(world, outputs)

    world.append = append
    answer = await say(world, WORDS)
    assert (answer.status_code, answer.json()["error"]) == (503, "unknown")
    assert answer.json()["command"] == on_the_log(world)[0].id


async def test_blanks_round_the_name_of_a_service_do_not_make_it_another(world):
    assert (await say(world, WORDS | {"confirmed_service": " inventory\t"})).json()["feedback"]["confirmed_service"] == "inventory"
    assert (await say(world, WORDS)).status_code == 200, "the same words"
    blank = await say(world, {"confirmed_service": "  "}, key="k2")
    assert (blank.status_code, blank.json()["error"]) == (422, "invalid")
    assert [word.confirmed_service for word in on_the_log(world)] == ["inventory"]
