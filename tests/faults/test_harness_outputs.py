"""What a stage emits stands on its topic in order, and what the topic refuses among the dead letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.topics import DLQ
from streams.harness.producer import KafkaAppender
from streams.harness.stage import Output, Record, Stage
from tests.faults.serving import collecting, serving, until


async def test_an_output_that_its_topic_refuses_is_kept_as_a_dead_letter(bed: Any, append: KafkaAppender, tmp_path: Path) -> None:
    """Given outputs above the topic's and above the client's limit, when they are sent, then the stage goes on and nothing vanishes."""
    source, target = bed.unique("wide", 1), bed.unique("narrow", 1, max_message_bytes="100000")

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        return [Output(target, record.key, b"y" * int(record.value))]

    stage: Stage[list[int]] = Stage(f"wide-{source}", source, lambda _: [], apply, lambda _: b"")
    async with collecting(bed.kafka, DLQ.name) as dead, collecting(bed.kafka, target) as seen, serving(bed.kafka, tmp_path, [stage]):
        # One before: a refused record after another has spent its sequence number, and an idempotent producer would be of no use.
        await append([Output(source, None, size) for size in (b"3", b"200000", b"13000000", b"7")])
        await until(lambda: len(seen) == 2)
        mine = lambda: [record for record in dead if record.header("airra.error.topic") == source.encode()]  # noqa: E731
        await until(lambda: len(mine()) == 2)
    assert [record.header("airra.error.reason") for record in mine()] == [b"output_too_large"] * 2
    assert {record.header("airra.error.length") for record in mine()} == {b"200000", b"13000000"}


async def test_outputs_of_one_record_stand_in_their_order_whether_they_went_together_or_not(
    bed: Any, append: KafkaAppender, tmp_path: Path
) -> None:
    """Given more than one batch of outputs, one alone and one that its topic refuses among others, then each stands once, in order."""
    source, target = bed.unique("one", 1), bed.unique("many", 1, max_message_bytes="300000")
    wide = b"y" * 400_000

    def apply(state: list[int], record: Record, now: int) -> list[Output]:
        made = [Output(target, b"k%d" % number, record.value + b" %d " % number + b"y" * 2000) for number in range(int(record.value))]
        return made if len(made) != 3 else [made[0], Output(target, b"wide", wide), *made[1:]]

    stage: Stage[list[int]] = Stage(f"fan-{source}", source, lambda _: [], apply, lambda _: b"")
    async with collecting(bed.kafka, DLQ.name) as dead, collecting(bed.kafka, target) as seen, serving(bed.kafka, tmp_path, [stage]):
        await append([Output(source, None, many) for many in (b"300", b"1", b"3", b"2")])
        await until(lambda: len(seen) == 306)
        mine = lambda: [record for record in dead if record.header("airra.error.topic") == source.encode()]  # noqa: E731
        await until(lambda: len(mine()) == 1)
    wanted = [b"%d %d " % (many, number) for many in (300, 1, 3, 2) for number in range(many)]
    assert [record.value.removesuffix(b"y" * 2000) for record in seen] == wanted
    assert [record.offset for record in seen] == list(range(306))
    assert [record.value for record in mine()] == [wide]
