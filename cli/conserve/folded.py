"""The stages, record for record: each folds its own input log again and must say what stands in its outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.conserve.account import Account
from cli.conserve.logs import Logs, Place
from schemas import topics
from schemas.samples import TYPE_HEADER
from streams.harness.fold import fold, restore
from streams.harness.redelivery import letter_of
from streams.harness.stage import Output, Record, Stage

Told = tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]  # key, value, headers

# What only stages write: anything of these types that no stage says is from nowhere.
OWNED = {
    topics.SIGNALS.name: {b"anomaly", b"health", b"alert"},
    topics.INCIDENTS.name: {b"incident", b"started", b"refused", b"finished"},
    topics.APPROVALS.name: {b"proposal", b"decision", b"withdrawal", b"policy", b"started", b"refused", b"finished"},
    topics.ACTIONS.name: {b"grant"},
    topics.OUTCOMES.name: {b"outcome"},
    topics.NOTICES.name: {b"notice"},
}


@dataclass(slots=True)
class Said:
    """What all stages say, by topic; `unknown` are topics to which a stage writes that could not be folded."""

    by_topic: dict[str, set[Told]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


class Stood:
    """What stands in the output topics, read once each."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._known: dict[str, dict[Told, int]] = {}
        self._ids: dict[str, dict[str, Told]] = {}

    def on(self, topic: str) -> dict[Told, int]:
        """Return how often each record stands there."""
        if topic not in self._known:
            counts: dict[Told, int] = {}
            for number in self._logs.bounds(topic):
                for record in self._logs.records(topic, number):
                    counts[told(record)] = counts.get(told(record), 0) + 1
            self._known[topic] = counts
        return self._known[topic]

    def of_id(self, topic: str, name: str) -> Told | None:
        if topic not in self._ids:
            self._ids[topic] = {identity(topic, one): one for one in self.on(topic)}
        return self._ids[topic].get(name)


def told(record: Record | Output) -> Told:
    return record.key, record.value, tuple(record.headers)


def identity(topic: str, one: Told) -> str:
    """Return the id of a record: in its headers if it is a dead letter, else in its body."""
    if topic == topics.DLQ.name:
        return next((value.decode(errors="replace") for name, value in reversed(one[2]) if name == "airra.error.id"), "")
    try:
        return str(json.loads(one[1])["id"])
    except (ValueError, KeyError, TypeError):
        return ""


def stages(logs: Logs, folds: Sequence[Stage[Any]], most: int | None) -> list[Account]:
    """Account for each stage; a log that is longer than `most` records, or does not begin at its beginning, is not folded again.

    While everything runs the order matters: what was committed, then what stands in the outputs, then the inputs. So the outputs of what
    is committed are there, and the inputs of every output.
    """
    taken = {stage.name: logs.taken(f"airra-{stage.name}", [stage.topic]) for stage in folds}
    stood, said = Stood(logs), Said()
    if any(_whole(logs, stage, most) for stage in folds):
        for topic in (*OWNED, topics.DLQ.name):
            stood.on(topic)
    accounts = [_account(logs, stage, taken[stage.name], stood, said, most) for stage in folds]
    return [*accounts, _nowhere(stood, said, {stage.name for stage in folds})]


def _whole(logs: Logs, stage: Stage[Any], most: int | None) -> bool:
    return all(bounds.first == 0 and (most is None or bounds.following <= most) for bounds in logs.bounds(stage.topic).values())


def _account(logs: Logs, stage: Stage[Any], taken: Mapping[Place, int], stood: Stood, said: Said, most: int | None) -> Account:
    account = Account(stage.name)
    bounds = logs.bounds(stage.topic)
    account.lag = sum(found.following - max(taken.get((stage.topic, number), 0), found.first) for number, found in bounds.items())
    if not _whole(logs, stage, most):
        why = "no longer begins at its beginning" if any(found.first for found in bounds.values()) else f"is longer than {most} records"
        account.unchecked.append(f"{stage.topic} {why}: not folded again")
        said.unknown |= OWNED.keys()
        return account
    for number in bounds:
        _fold(logs, stage, number, taken.get((stage.topic, number), 0), stood, said, account)
    return account.settle()


def _fold(logs: Logs, stage: Stage[Any], number: int, end: int, stood: Stood, said: Said, account: Account) -> None:
    """Fold one partition to its end; what follows from the records before `end` must stand in the outputs."""
    part = restore(stage, number, None, 0)
    for record in logs.records(stage.topic, number):
        if record.offset > part.offset + 1:
            part.gaps[part.offset + 1] = record.offset  # no record stands there: the marker of a transaction
        made = fold(stage, part, record)
        for output in made:
            said.by_topic.setdefault(output.topic, set()).add(told(output))
        if record.offset < end:
            account.taken += 1
            account.fates[_fate(made)] += 1
            for output in made:
                _find(stage, output, stood, account)


def _fate(made: Sequence[Output]) -> str:
    if any(output.topic == topics.DLQ.name for output in made):
        return "dead_letter"
    return "emitted" if made else "folded"


def _find(stage: Stage[Any], output: Output, stood: Stood, account: Account) -> None:
    count = stood.on(output.topic).get(told(output), 0)
    account.repeated += max(0, count - 1)
    if count:
        return
    name = identity(output.topic, told(output))
    other = stood.of_id(output.topic, name)
    account.fault("outputs lost" if other is None else "outputs otherwise than they should be", f"{stage.name} → {output.topic} {name}")


def _nowhere(stood: Stood, said: Said, folded: set[str]) -> Account:
    account = Account("outputs of stages")
    if said.unknown:
        account.unchecked.append("not every log was folded again")
        return account
    for topic, types in OWNED.items():
        for one, count in stood.on(topic).items():
            if next((value for name, value in one[2] if name == TYPE_HEADER), b"") in types:
                account.taken += count
                account.fates["said by a stage"] += count
                if one not in said.by_topic.get(topic, set()):
                    account.fault("outputs from nowhere", f"{topic} {identity(topic, one)}")
    for one in stood.on(topics.DLQ.name):
        letter = letter_of(Record(topics.DLQ.name, 0, 0, 0, *one))
        if letter is not None and letter.stage in folded and one not in said.by_topic.get(topics.DLQ.name, set()):
            account.fault("dead letters from nowhere", f"{letter.stage} {letter.place}")
    return account.settle()
