"""The embedded ClickHouse: migrations, what readers see, and the calibration question."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.base import digest
from schemas.incidents import IncidentPhase
from schemas.kinds import Mode
from schemas.topics import ACTIONS, APPROVALS, INCIDENTS, OUTCOMES
from streams.harness.errors import Fatal, Poison, Retryable
from streams.sink.batch import Batch
from streams.sink.rows import Fate
from streams.sink.store import Store, connect, open_store
from streams.sink.store.migrate import Migration, shipped
from streams.sink.store.reference import reference
from tests.unit.sink_records import Log, incident, outcome, proposal, refused, whole_loop

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "store.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store("", "", tmp_path_factory.mktemp("store"))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def empty(store: Store) -> Store:
    for (table,) in store.client.query(
        "SELECT name FROM system.tables WHERE database = 'default' AND engine LIKE '%MergeTree'"
    ).result_rows:
        if table != "schema_migrations":
            store.client.command(f"TRUNCATE TABLE {table}")
    return store


def keep(store: Store, log: Log) -> Batch:
    batch = Batch()
    for record in log.records:
        batch.add(record)
    batch.write(store)
    return batch


def ask(store: Store, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.client.query(sql).result_rows]


def test_a_whole_loop_reads_back_through_the_views(empty: Store) -> None:
    keep(empty, whole_loop())
    assert ask(empty, "SELECT incident, phase, version, isNotNull(resolved_at) FROM incidents_current") == [("inc-1", "resolved", 3, 1)]
    assert ask(empty, "SELECT rank, service, confidence FROM hypotheses ORDER BY rank") == [(1, "inventory", 0.82), (2, "orders", 0.52)]
    assert ask(empty, "SELECT position, action_name, cures FROM candidates ORDER BY position") == [(1, "restart", 1), (2, "none", 0)]
    assert ask(empty, "SELECT subject, verb FROM commands FINAL ORDER BY id") == [("ada", "approve"), ("bob", "reject")]
    assert ask(empty, "SELECT outcome, mode, command FROM decisions FINAL") == [("approved", "live", f"{APPROVALS.name}/0@2")]
    actions = ask(empty, "SELECT action, state, reason, isNull(granted_at), isNull(finished_at) FROM actions_current ORDER BY action")
    assert actions == [("act-1", "succeeded", "", 0, 0), ("act-2", "refused", "not_armed", 1, 1)]
    assert ask(empty, "SELECT series, improvement, in_band FROM outcome_metrics ORDER BY series") == [("0000", 0.88, 1), ("0001", 0.88, 1)]
    assert ask(empty, "SELECT answers, input_tokens, output_tokens FROM llm_usage") == [(1, 900, 80)]
    assert ask(empty, "SELECT count(), any(open) FROM suspects WHERE version = 3") == [(1, 0)]


def test_a_refused_undo_is_seen_to_be_one(empty: Store) -> None:
    log = Log()
    log.append(ACTIONS, refused().model_copy(update={"undo_of": "act-1", "epoch": 7}))
    keep(empty, log)
    assert ask(empty, "SELECT action, undo_of, state FROM actions_current") == [("act-2", "act-1", "refused")]
    assert ask(empty, "SELECT epoch FROM actions FINAL") == [(7,)]


def test_every_row_carries_the_coordinates_of_its_record(empty: Store) -> None:
    log = whole_loop()
    keep(empty, log)
    tables = [
        name for (name,) in ask(empty, "SELECT DISTINCT table FROM system.columns WHERE database = 'default' AND name = 'row_version'")
    ]
    found = {(topic, offset) for table in tables for topic, offset in ask(empty, f"SELECT source_topic, source_offset FROM {table} FINAL")}
    stored = {(record.topic, record.offset) for record in log.records if Batch().add(record) is Fate.STORED}
    assert found == stored


def test_a_newer_version_of_an_outcome_replaces_it_whole_and_in_any_order(empty: Store) -> None:
    log = Log()
    log.append(OUTCOMES, outcome(metrics=3, correct=None))
    log.append(OUTCOMES, outcome(version=2, metrics=1, correct=1))
    for records in (log.records, log.records[::-1]):
        log.records = list(records)
        keep(empty, log)
        assert ask(empty, "SELECT version, correct, confirmed_by FROM outcomes FINAL") == [(2, 1, "ada")]
        assert ask(empty, "SELECT series FROM outcome_metrics") == [("0000",)]


def test_of_two_records_with_one_id_the_first_in_the_log_counts(empty: Store) -> None:
    log = Log()
    log.append(APPROVALS, proposal(services=("inventory",)))
    log.append(APPROVALS, proposal(services=("orders", "gateway", "cart")))
    log.records.reverse()
    keep(empty, log)
    assert ask(empty, "SELECT service FROM hypotheses") == [("inventory",)]


def test_an_incident_that_opens_again_is_current_without_an_end(empty: Store) -> None:
    log = Log()
    for version, phase in enumerate((IncidentPhase.OPENED, IncidentPhase.RESOLVED, IncidentPhase.UPDATED), start=1):
        log.append(INCIDENTS, incident(version, phase))
    keep(empty, log)
    assert ask(empty, "SELECT phase, isNull(resolved_at) FROM incidents_current") == [("updated", 1)]


def test_the_calibration_question_is_one_select_and_its_answer_is_right(empty: Store) -> None:
    pairs = [(0.82, 1), (0.88, 0), (0.3, 0), (1.0, 1), (0.0, 0), (0.85, 1)]
    log = Log()
    for number, (confidence, correct) in enumerate(pairs):
        log.append(OUTCOMES, outcome(f"act-{number}", confidence=confidence, correct=correct))
    log.append(OUTCOMES, outcome("act-unknown", confidence=0.5, correct=None))
    keep(empty, log)
    bins = {
        bin_: (count, mean, accuracy, gap)
        for bin_, count, mean, accuracy, gap in ask(empty, "SELECT * EXCEPT (low, high) FROM calibration_bins")
    }
    assert list(bins) == list(range(10))
    assert bins[8] == (3, pytest.approx(0.85), pytest.approx(2 / 3), pytest.approx(0.85 - 2 / 3))
    assert [bins[number][0] for number in (0, 3, 9)] == [1, 1, 1]
    assert bins[5] == (0, None, None, None)
    ((count, ece, mean, accuracy, brier),) = ask(empty, "SELECT pairs, ece, mean_confidence, accuracy, brier FROM calibration_ece")
    expected = (3 * (0.85 - 2 / 3) + 1 * 0.3 + 0 + 0) / 6
    assert (count, ece) == (6, pytest.approx(expected))
    assert (mean, accuracy) == (pytest.approx(3.85 / 6), 0.5)
    assert brier == pytest.approx(sum((confidence - correct) ** 2 for confidence, correct in pairs) / 6)


def test_without_pairs_the_calibration_error_is_unknown_not_zero(empty: Store) -> None:
    assert ask(empty, "SELECT pairs, ece FROM calibration_ece") == [(0, None)]
    keep_nothing = Log()
    keep_nothing.append(OUTCOMES, outcome(correct=None).model_copy(update={"mode": Mode.DRY_RUN}))
    keep(empty, keep_nothing)
    assert ask(empty, "SELECT pairs, ece FROM calibration_ece") == [(0, None)]


def test_a_value_that_no_column_holds_costs_its_own_record_only(empty: Store) -> None:
    log = Log()
    log.append(OUTCOMES, outcome("act-1"))
    log.append(OUTCOMES, outcome("act-2").model_copy(update={"correct": 2**70}))
    log.append(OUTCOMES, outcome("act-3"))
    batch = keep(empty, log)
    assert ask(empty, "SELECT action FROM outcomes FINAL ORDER BY action") == [("act-1",), ("act-3",)]
    assert batch.fates == {(OUTCOMES.name, Fate.STORED): 2, (OUTCOMES.name, Fate.DEAD): 1}
    assert dict(batch.letters[0].headers)["airra.error.reason"] == b"unstorable"


def test_every_migration_has_a_number_of_its_own() -> None:
    assert [each.number for each in shipped()] == list(range(1, len(shipped()) + 1))


def test_the_policies_and_withdrawals_of_the_log_are_kept(empty: Store) -> None:
    keep(empty, whole_loop())
    ((held, of, content),) = ask(empty, "SELECT id, digest, content FROM policies FINAL")
    assert (held, of) == ("pol-1", digest(json.loads(content)))
    assert ask(empty, "SELECT incident, reason, ended_by FROM withdrawals FINAL") == [("inc-1", "resolved", f"{INCIDENTS.name}/0@5")]


def test_migrating_again_changes_nothing(store: Store) -> None:
    assert store.migrate() == ()
    assert ask(store, "SELECT count() FROM schema_migrations FINAL") == [(len(shipped()),)]


def test_a_changed_or_unknown_migration_stops_the_sink(store: Store) -> None:
    changed = (Migration(1, shipped()[0].name, "SELECT 2;"), *shipped()[1:])
    with pytest.raises(Fatal, match=r"001_incidents\.sql differs"):
        store.migrate(changed)
    with pytest.raises(Fatal, match="newer version"):
        store.migrate(shipped()[:-1])


def test_a_migration_cut_in_half_is_applied_again_from_its_start(store: Store) -> None:
    sql = "CREATE TABLE IF NOT EXISTS half (a UInt8) ENGINE = Memory;\nCREATE TABLE IF NOT EXISTS halves (a UInt8) ENGINE = Nonsense;\n"
    broken = Migration(999, "999_half.sql", sql)
    with pytest.raises(Retryable, match="Nonsense"):
        store.migrate((*shipped(), broken))
    mended = Migration(999, "999_half.sql", sql.replace("Nonsense", "Memory"))
    assert store.migrate((*shipped(), mended)) == ("999_half.sql",)
    store.client.command("DROP TABLE half, halves")
    store.client.command("ALTER TABLE schema_migrations DELETE WHERE number = 999 SETTINGS mutations_sync = 1")


def test_every_table_and_column_says_what_it_means(store: Store) -> None:
    own = "database = 'default' AND comment = ''"
    assert ask(store, f"SELECT name FROM system.tables WHERE {own}") == []
    assert ask(store, f"SELECT table, name FROM system.columns WHERE {own}") == []
    naive = "SELECT table, name FROM system.columns WHERE database = 'default' AND type LIKE '%DateTime%' AND type NOT LIKE '%UTC%'"
    assert ask(store, naive) == []


def test_the_reference_is_what_the_migrations_say(store: Store) -> None:
    assert DOCS.read_text(encoding="utf-8") == reference(store.client), "write streams.sink.store.reference.reference(store.client) to it"


def test_a_second_owner_of_the_directory_is_told_who_may_own_it(store: Store) -> None:
    program = (
        "import sys; from pathlib import Path; from streams.harness.errors import Fatal; from streams.sink.store import open_store\n"
        "try: open_store('', '', Path(sys.argv[1]))\nexcept Fatal as error: print(error); sys.exit(7)"
    )
    second = subprocess.run([sys.executable, "-c", program, str(store.directory)], capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 7, second.stderr
    assert "one owner" in second.stdout


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8123", "must look like"),
        ("ftp://host/db", "must look like"),
        ("http://", "must look like"),
        ("http://host:99999/", "no address"),
        ("http://ada:secret@host/", "store_password"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_a_password(url: str, says: str) -> None:
    with pytest.raises(Fatal, match=says) as refusal:
        connect(url)
    assert "secret" not in str(refusal.value)


def test_a_server_that_is_not_there_is_something_to_wait_for(tmp_path: Path, free_closed_port: int) -> None:
    away = open_store(f"http://127.0.0.1:{free_closed_port}/", "pw", tmp_path)
    with pytest.raises(Retryable, match=rf"http://127\.0\.0\.1:{free_closed_port}") as error:
        away.migrate()
    assert "pw" not in str(error.value)
    with pytest.raises(Retryable):
        away.insert(())
    away.close()


def test_a_row_of_an_unfit_type_is_poison(store: Store) -> None:
    batch = Batch()
    batch.add(Log().append(OUTCOMES, outcome().model_copy(update={"correct": 2**70})))
    with pytest.raises(Poison, match="unstorable"):
        store.insert(batch.entries[0][1])


@pytest.fixture
def free_closed_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
