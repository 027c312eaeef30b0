"""Grants, each with at most one end; and what the sink took, each record with its row in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from cli.conserve.account import Account
from cli.conserve.logs import Logs
from schemas import topics
from schemas.actions import ACTION_EVENTS, Finished, Grant, Refused
from streams.harness.emit import parse
from streams.harness.errors import Poison
from streams.harness.stage import Record
from streams.sink.rows import TOPICS, Fate, fold

ASKED = 5_000  # ids in one query


def grants(logs: Logs) -> Account:
    """Account for what was granted: it was ended (finished or refused), or it is open; an end has a grant."""
    account = Account("grants")
    granted: set[str] = set()
    ends: dict[str, set[str]] = defaultdict(set)
    whole = True
    for number, bounds in logs.bounds(topics.ACTIONS.name).items():
        whole = whole and bounds.first == 0
        for record in logs.records(topics.ACTIONS.name, number):
            try:
                event = parse(ACTION_EVENTS, record)
            except Poison:
                continue  # its readers have dead-lettered it
            if isinstance(event, Grant):
                granted.add(event.id)
            elif isinstance(event, Finished | Refused):
                ends[event.action].add(event.id)
    account.taken = len(granted)
    for action in granted:
        account.fates["ended" if action in ends else "open"] += 1
    for action, ids in ends.items():
        if action not in granted and whole:
            account.fault("ends of what was never granted", action)
        if len(ids) > 1:
            account.repeated += len(ids) - 1  # the first in the log counts, for every reader
    return account.settle()


def stored(logs: Logs, client: Any | None, newest: int | None) -> Account:
    """Account for the sink's records: a row in the store, or a fate that has none; without a client only the fates."""
    account = Account("sink")
    if client is None:
        account.unchecked.append("the store was not asked")
    wanted: dict[str, dict[str, str]] = defaultdict(dict)  # table → id → where it stands
    letters = {record.header("airra.error.id") for record in _all(logs, topics.DLQ.name)}
    for record in _taken(logs, newest, account):
        account.taken += 1
        try:
            folded = fold(record)
        except Poison:
            account.fates[Fate.DEAD] += 1
            if _letter_id(record) not in letters:
                account.fault("dead letters lost", f"{record.topic}@{record.offset}")
            continue
        account.fates[folded.fate] += 1
        for row in folded.rows:
            wanted[row.table][str(row.values["id"])] = f"{record.topic}@{record.offset}"
    if client is not None:
        _ask(client, wanted, account)
    return account.settle()


def _ask(client: Any, wanted: dict[str, dict[str, str]], account: Account) -> None:
    for table, ids in wanted.items():
        names = list(ids)
        for begin in range(0, len(names), ASKED):
            part = names[begin : begin + ASKED]
            answer = client.query(f"SELECT DISTINCT id FROM {table} WHERE id IN {{ids:Array(String)}}", parameters={"ids": part})  # noqa: S608 - a table of ours
            for name in set(part) - {row[0] for row in answer.result_rows}:
                account.fault("rows missing", f"{table} {name} of {ids[name]}")


def _letter_id(record: Record) -> bytes:
    from schemas.base import derive_id

    return derive_id("dlq", "sink", record.topic, record.partition, record.offset).encode()


def _all(logs: Logs, topic: str) -> Iterator[Record]:
    for number in logs.bounds(topic):
        yield from logs.records(topic, number)


def _taken(logs: Logs, newest: int | None, account: Account) -> Iterator[Record]:
    committed = logs.taken("airra-sink", [spec.name for spec in TOPICS])
    for spec in TOPICS:
        for number, bounds in logs.bounds(spec.name).items():
            end = committed.get((spec.name, number), bounds.first)
            account.lag += bounds.following - end
            for record in logs.records(spec.name, number, begin=bounds.first if newest is None else max(bounds.first, end - newest)):
                if record.offset >= end:
                    break
                yield record
