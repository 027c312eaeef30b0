"""A word said again while the first is on its way, or after it failed, is the same record."""

import asyncio

import pytest

from api.said import Said
from schemas.base import Position
from streams.harness.errors import Retryable
from streams.harness.stage import Output


class Log:
    """A log that acknowledges when it is told to."""

    def __init__(self):
        self.asked = []
        self.going_on = asyncio.Event()
        self.error = None

    async def __call__(self, outputs):
        self.asked += outputs
        offset = len(self.asked) - 1
        await self.going_on.wait()
        if self.error:
            raise self.error
        return [Position(topic=output.topic, partition=0, offset=offset) for output in outputs]


def word(at):
    return Output("airra.approvals.v1", b"prp-1", b"at %d" % at)


@pytest.fixture
def log():
    return Log()


async def test_a_word_said_again_while_the_first_is_on_its_way_is_that_one(log):
    said = Said(log)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await said.say("cmd-1", word(1))
    again = asyncio.create_task(said.say("cmd-1", word(2)))
    await asyncio.sleep(0)
    log.going_on.set()
    assert (await again).offset == 0
    assert [output.value for output in log.asked] == [b"at 1"]


async def test_a_word_that_stands_on_the_log_is_not_appended_again(log):
    said = Said(log)
    log.going_on.set()
    first = await said.say("cmd-1", word(1))
    assert await said.say("cmd-1", word(2)) == first
    assert len(log.asked) == 1


async def test_a_word_whose_append_failed_goes_again_with_the_bytes_of_the_first_time(log):
    said = Said(log)
    log.going_on.set()
    log.error = Retryable("away")
    with pytest.raises(Retryable):
        await said.say("cmd-1", word(1))
    log.error = None
    assert (await said.say("cmd-1", word(2))).offset == 1
    assert [output.value for output in log.asked] == [b"at 1", b"at 1"]


async def test_words_of_other_names_go_beside_each_other(log):
    said = Said(log)
    log.going_on.set()
    assert [(await said.say(f"cmd-{number}", word(number))).offset for number in range(3)] == [0, 1, 2]


async def test_the_oldest_words_are_forgotten_but_none_on_its_way(log):
    said = Said(log, kept=2)
    waiting = asyncio.create_task(said.say("cmd-0", word(0)))
    await asyncio.sleep(0)
    others = [asyncio.create_task(said.say(f"cmd-{number}", word(number))) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    assert len(said._words) == 4
    log.going_on.set()
    await asyncio.gather(waiting, *others)
    await said.say("cmd-4", word(4))
    assert list(said._words) == ["cmd-3", "cmd-4"]
