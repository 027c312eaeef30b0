"""The same log gives the same rows to a reader, however it is cut into batches, repeated, reordered or interrupted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.topics import APPROVALS, INCIDENTS, OUTCOMES
from streams.harness.stage import Record
from streams.sink.batch import Batch
from streams.sink.rows import rows
from streams.sink.store import Store, open_store
from tests.unit.sink_records import incident, outcome, proposal, whole_loop

VIEWS = (
    "incidents_current",
    "suspects",
    "hypotheses",
    "candidates",
    "actions_current",
    "outcome_metrics",
    "llm_usage",
    "calibration_bins",
    "calibration_ece",
)
LIMITS = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def the_log() -> list[Record]:
    """A loop, what zombies and restarts repeat of it, and what an operator corrects."""
    log = whole_loop()
    log.append(OUTCOMES, outcome())
    log.append(OUTCOMES, outcome(version=2, correct=0, metrics=1))
    log.append(OUTCOMES, outcome("act-9", confidence=0.4, correct=0))
    for number in range(12):  # thirds and sevenths: added in another order they give another last digit
        log.append(OUTCOMES, outcome(f"act-r{number}", confidence=0.8 + (number % 7) / 70 + (number % 3) / 300, correct=number % 2))
    log.append(APPROVALS, proposal(services=("a", "b", "c")))
    log.append(INCIDENTS, incident(2))
    log.append_bytes(INCIDENTS, b"nonsense")
    return log.records


RECORDS = the_log()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store("", "", tmp_path_factory.mktemp("store"))
    opened.migrate()
    yield opened
    opened.close()


def tables(store: Store) -> list[str]:
    found = store.client.query(
        "SELECT DISTINCT table FROM system.columns WHERE database = 'default' AND name = 'row_version' ORDER BY table"
    )
    return [name for (name,) in found.result_rows]


def read(store: Store) -> dict[str, list[str]]:
    queries = {table: f"SELECT * FROM {table} FINAL" for table in tables(store)} | {view: f"SELECT * FROM {view}" for view in VIEWS}
    return {name: sorted(repr(row) for row in store.client.query(query).result_rows) for name, query in queries.items()}


def write(store: Store, records: list[Record]) -> None:
    batch = Batch()
    for record in records:
        batch.add(record)
    batch.write(store)


def clear(store: Store) -> None:
    for table in tables(store):
        store.client.command(f"TRUNCATE TABLE {table}")


@pytest.fixture(scope="module")
def truth(store: Store) -> dict[str, list[str]]:
    """What a reader sees after the log was written once, in one batch."""
    clear(store)
    write(store, RECORDS)
    return read(store)


@LIMITS
@given(st.data())
def test_other_batches_repeats_and_restarts_change_nothing(store: Store, truth: dict[str, list[str]], data: st.DataObject) -> None:
    clear(store)
    at = 0
    while at < len(RECORDS):
        end = data.draw(st.integers(at + 1, len(RECORDS)))
        write(store, RECORDS[at:end])
        # a crash between flush and commit: the next owner reads again from some earlier commit
        at = data.draw(st.sampled_from([end, end, max(0, end - 3)])) if end < len(RECORDS) else end
    assert read(store) == truth


@LIMITS
@given(st.permutations(RECORDS))
def test_the_order_of_arrival_changes_nothing(store: Store, truth: dict[str, list[str]], records: list[Record]) -> None:
    clear(store)
    write(store, records[: len(records) // 2])
    write(store, records[len(records) // 2 :])
    assert read(store) == truth


@LIMITS
@given(st.integers(1, len(RECORDS) - 1), st.integers(1, 12))
def test_a_flush_that_dies_between_two_tables_is_healed_by_its_repetition(
    store: Store, truth: dict[str, list[str]], cut: int, tables_done: int
) -> None:
    clear(store)
    write(store, RECORDS[:cut])
    pending = [row for record in RECORDS[cut:] if record.value != b"nonsense" for row in rows(record)]
    reached = list(dict.fromkeys(row.table for row in pending))[:tables_done]
    store.insert(row for row in pending if row.table in reached)
    write(store, RECORDS[cut:])
    assert read(store) == truth


def test_merging_in_the_background_changes_nothing(store: Store, truth: dict[str, list[str]]) -> None:
    clear(store)
    write(store, RECORDS)
    write(store, RECORDS[::-1])
    for table in tables(store):
        store.client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert read(store) == truth
    assert len(truth["outcomes"]) == 14


def test_closing_and_opening_the_store_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, store: Store, truth: dict[str, list[str]]
) -> None:
    directory = store.directory
    assert directory is not None
    clear(store)
    write(store, RECORDS[:10])
    store.close()
    assert store.migrate() == ()  # opens it again
    write(store, RECORDS[8:])
    assert read(store) == truth
