"""Read a series from a CSV of `timestamp,value`, and write what was said of it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cli.config import ConfigError
from streams.harness.errors import Fatal

COLUMNS = ("timestamp", "value")
_MOST_PLAIN = 1e11  # a number below it counts seconds, one above it milliseconds,
_MOST_MS = 1e14  # and from here on it is no time: the year 5138 is over,
_FIRST_MS = -30_610_224_000_000  # or the year 1000 has not begun: no picture has room for the year 1
NO_TIME = "no time of the years 1000 to 5138: ISO 8601, or seconds or milliseconds since 1970"
_GZIP, _UTF_16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")  # how such a file begins


@dataclass(frozen=True)
class Series:
    name: str
    stamps: list[str]  # as they stand in the file
    at: NDArray[np.int64]  # ms
    value: NDArray[np.float64]
    kept: NDArray[np.bool_]  # rows that the detector takes: finite, and later than the one before


def read_rows(path: Path) -> list[list[str]]:
    """Read a CSV file; raise ConfigError where it cannot be read, or is none."""
    try:
        return list(csv.reader(io.StringIO(_text(path), newline="")))
    except (OSError, csv.Error) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith(_GZIP):
        raise ConfigError(f"{path} is compressed, and is to be UTF-8 text: run gunzip on it first")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        coding = "UTF-16" if data.startswith(_UTF_16) else "LATIN1"
        raise ConfigError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is no UTF-8 text: "
            f"convert the file (iconv -f {coding} -t UTF-8), or unpack it where it is an archive"
        ) from error


def read_series(path: Path) -> Series:
    """Read a file. A row without a finite value, or no later than the one before, is kept as a row and not judged."""
    rows = read_rows(path)
    if not rows or [name.strip().lower() for name in rows[0][:2]] != list(COLUMNS):
        raise ConfigError(f"{path}: the first line is {','.join(COLUMNS)}, and here it is {','.join(rows[0]) if rows else 'missing'}")
    stamps, at, value = [], [], []
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) < len(COLUMNS):
            raise ConfigError(f"{path}, line {number}: a timestamp and a value, and here it is {','.join(row)!r}")
        stamps.append(row[0])
        at.append(_time(row[0], path, number))
        value.append(_number(row[1], path, number))
    times, values = np.array(at, np.int64), np.array(value)
    newest = np.concatenate([np.full(min(1, len(times)), np.iinfo(np.int64).min), np.maximum.accumulate(times)[:-1]])
    return Series(path.stem, stamps, times, values, np.isfinite(values) & (times > newest))


def time_of(text: str) -> int | None:
    """Return a time in ms; None where it is none, or in no year from 1000 to 5138. Without a zone it is UTC."""
    text = text.strip()
    try:
        plain = float(text)
    except ValueError:
        pass
    else:
        return _within(plain if abs(plain) >= _MOST_PLAIN else plain * 1000)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _within((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _within(ms: float) -> int | None:
    return round(ms) if _FIRST_MS <= ms < _MOST_MS else None


def _time(text: str, path: Path, number: int) -> int:
    found = time_of(text)
    if found is None:
        raise ConfigError(f"{path}, line {number}: {text!r} is {NO_TIME}")
    return found


def _number(text: str, path: Path, number: int) -> float:
    text = text.strip()
    if not text:
        return np.nan
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: {text!r} is no number") from error


def write_scores(path: Path, series: Series, readings: Any) -> None:
    """Write a row for each of the file's, in its order: what the detector does not take has the score 0."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow((*COLUMNS, "anomaly_score", "is_anomaly"))
            rows = zip(series.stamps, series.value.tolist(), readings["score"].tolist(), readings["alarmed"].tolist(), strict=True)
            writer.writerows((stamp, repr(value), f"{score:.6f}", int(alarmed)) for stamp, value, score, alarmed in rows)
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror or error}") from error
