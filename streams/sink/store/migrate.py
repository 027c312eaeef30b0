"""Bring the tables of the store up to this version: numbered SQL files, each applied once, none changed afterwards."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from streams.harness.errors import Fatal

TABLE = "schema_migrations"
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE}
(
    number     UInt32 COMMENT 'Number of the migration',
    name       String COMMENT 'Its file name',
    checksum   String COMMENT 'SHA-256 of the file as it was applied',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'When it was applied, UTC'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY number
COMMENT 'Which migrations this store has seen'
"""
_NAME = re.compile(r"(\d{3})_[a-z_]+\.sql")
_END_OF_STATEMENT = re.compile(r";\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in _END_OF_STATEMENT.split(self.sql) if _has_code(part))


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this version in order."""
    files = resources.files("streams.sink").joinpath("migrations").iterdir()
    numbered = ((_NAME.fullmatch(file.name), file) for file in files)
    found = [Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")) for match, file in numbered if match]
    return tuple(sorted(found, key=lambda each: each.number))


def migrate(client: Any, migrations: Sequence[Migration]) -> tuple[str, ...]:
    """Apply what is missing and return its names; raise Fatal where the store and this version contradict each other.

    A statement is idempotent (IF NOT EXISTS), so a migration that a crash cut in half is applied again from its start.
    """
    client.command(_CREATE)
    rows = client.query(f"SELECT number, name, checksum FROM {TABLE} FINAL").result_rows  # noqa: S608 - a constant
    applied = {number: (name, checksum) for number, name, checksum in rows}
    known = {each.number for each in migrations}
    if newer := sorted(set(applied) - known):
        raise Fatal(f"the store has migration {newer[-1]:03d}, which this version does not know: it was written by a newer version")
    for each in migrations:
        if each.number in applied and applied[each.number] != (each.name, each.checksum):
            raise Fatal(f"migration {each.name} differs from what was applied to this store: add a new file instead of changing one")
    todo = [each for each in migrations if each.number not in applied]
    for each in todo:
        for statement in each.statements:
            client.command(statement)
        client.insert(TABLE, [[each.number, each.name, each.checksum]], column_names=["number", "name", "checksum"])
    return tuple(each.name for each in todo)


def _has_code(part: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("--") for line in part.splitlines())
