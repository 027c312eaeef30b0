"""`airra dlq`: what could not be read, with the reason, and its way back."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cli.arming import seconds
from cli.config import ConfigError
from cli.dlq.chosen import Box, Wanted, letters
from cli.dlq.replay import Destinations, plan, replay, summary
from cli.output import JsonTo, err, rows, say, show
from cli.reading import read
from cli.settings import read_settings
from schemas import topics
from streams.harness.kafka import KafkaSettings
from streams.harness.redelivery import Letter, letter_of
from streams.harness.stage import Record

dlq = typer.Typer(no_args_is_help=True, help="What could not be read, with the reason, and its way back.")

Stages = Annotated[list[str] | None, typer.Option("--stage", help="Only of this stage; may be given again.")]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only for this reason; may be given again.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only from this topic; may be given again.")]


def _wanted(numbers: list[int] | None, stages: list[str] | None, reasons: list[str] | None, from_topics: list[str] | None) -> Wanted:
    return Wanted(frozenset(numbers or ()), frozenset(stages or ()), frozenset(reasons or ()), frozenset(from_topics or ()))


@dlq.command("ls")
def dlq_ls(
    limit: Annotated[int, typer.Option(help="The newest this many.", min=1)] = 50,
    stage: Stages = None,
    reason: Reasons = None,
    topic: Topics = None,
    json_to: JsonTo = None,
) -> None:
    """List dead letters: where each came from, why it could not be read, whether it was brought in again.

    Examples:  airra dlq ls --limit 10  ·  airra dlq ls --reason no_service --json
    """
    box, wanted = Box(), _wanted(None, stage, reason, topic)
    newest = deque(
        (letter for letter in letters(read(KafkaSettings.of(read_settings()), topics.DLQ.name), box) if wanted.holds(letter)), limit
    )
    columns = ["number", "stage", "reason", "detail", "topic", "partition", "offset", "bytes", "replayed"]
    rows(json_to, "dead letters", columns, [{**_told(letter), "replayed": letter.id in box.replayed} for letter in newest])


@dlq.command("show")
def dlq_show(number: Annotated[int, typer.Argument(help="As listed by airra dlq ls.", min=0)], json_to: JsonTo = None) -> None:
    """Show one dead letter with its headers and its original bytes.

    Example:  airra dlq show 3
    """
    found = read(KafkaSettings.of(read_settings()), topics.DLQ.name, begin=number)
    record = next(itertools.islice(found, 1), None)
    letter = None if record is None or record.offset != number else letter_of(record)
    if letter is None:
        raise ConfigError(f"no dead letter {number}; airra dlq ls lists them")
    whole = {**_told(letter), "headers": _headers(letter.record), "value": letter.record.value.decode(errors="backslashreplace")}
    show(json_to, whole, [f"{name}: {value}" for name, value in whole.items()])


@dlq.command("replay")
def dlq_replay(
    number: Annotated[list[int] | None, typer.Argument(help="As listed by airra dlq ls.")] = None,
    stage: Stages = None,
    reason: Reasons = None,
    topic: Topics = None,
    every: Annotated[bool, typer.Option("--all", help="Every letter there is.")] = False,
    history_after: Annotated[str, typer.Option(help="Older records go in as history, which opens and does nothing: 90s, 15m, 8h.")] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be brought in.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Bring dead letters in again, once the cause is mended: each is appended to the topic it came from, once.

    A letter that was brought in is marked and never goes in twice, however often this is asked for and wherever it was stopped. One that
    is refused again becomes a new letter. Exit 1 where some of those that are meant cannot be brought in; the reason is told.

    Examples:  airra dlq replay 3 7  ·  airra dlq replay --reason no_service  ·  airra dlq replay --all --dry-run --json
    """
    wanted = _wanted(number, stage, reason, topic)
    if every == (wanted != Wanted()):
        raise ConfigError("say which letters: numbers, --stage, --reason or --topic, or else --all")
    settings = read_settings()
    kafka, oldest = KafkaSettings.of(settings), int((time.time() - seconds(history_after)) * 1000)

    def progress(line: str) -> None:
        say(line, err)

    if dry_run:
        found, todo = plan(kafka, wanted, Destinations(kafka, settings), progress)
        lines = [f"would bring in {len(todo)} of {found.selected} dead letters", *summary(found)[1:]]
    else:
        found, todo = replay(kafka, settings, wanted, oldest, progress), frozenset()
        lines = summary(found)
    show(json_to, {**asdict(found), "would": len(todo) if dry_run else 0}, lines)
    raise typer.Exit(1 if found.refused else 0)


def _told(letter: Letter) -> dict[str, Any]:
    names = ("number", "id", "stage", "reason", "detail", "topic", "partition", "offset", "timestamp", "truncated", "forwarded", "at")
    return {**{name: getattr(letter, name) for name in names}, "bytes": len(letter.record.value)}


def _headers(record: Record) -> dict[str, str]:
    return {name: value.decode(errors="backslashreplace") for name, value in record.headers if not name.startswith("airra.error.")}
