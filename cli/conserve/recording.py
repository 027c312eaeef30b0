"""A recording: a folder with a file of JSON lines for each partition, and what is needed to fold them again.

manifest.json tells when it was made, how far each group had committed, and the settings that decide; config/ holds the files.
What a group had committed is asked first and the logs are read after it: the outputs of what is committed are then all there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cli.config import ConfigError
from cli.conserve.logs import Bounds, Logs, Place
from schemas import topics
from schemas.settings import Settings
from streams.harness.stage import Headers, Record

FILES = ("detect", "metrics", "correlate", "runbooks", "policy", "topology")
FORMATS = "formats"  # may be missing: then every record says itself what it is
DECIDING = ("metrics_topics", "alerts_topics", "changes_topics", "anomaly_threshold_sigma", "confidence_threshold_high", "llm_timeout_s")
FORMAT = 1


class Line(msgspec.Struct, array_like=True):
    """One record as it is written: offset, time stamp, key, value, headers; bytes as base64."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers


class Manifest(msgspec.Struct):
    format: int
    at: int
    bounds: dict[str, dict[int, tuple[int, int]]]  # by topic and partition: first offset, and the one after the last
    committed: dict[str, list[tuple[str, int, int]]]  # by group: topic, partition, offset
    settings: dict[str, Any]


_LINE = msgspec.json.Decoder(Line)


def named_topics(settings: Settings) -> list[str]:
    """Return the topics of the catalogue and the raw ones of the settings."""
    raw = {topics.RAW_METRICS.name, topics.RAW_ALERTS.name, topics.RAW_CHANGES.name}
    ours = [spec.name for spec in topics.CATALOGUE if spec.name not in raw]
    return list(dict.fromkeys([*settings.sample_topics, *settings.alerts_topics, *settings.changes_topics, *ours]))


def record(logs: Logs, settings: Settings, groups: Mapping[str, Sequence[str]], folder: Path, say: Callable[[str], None]) -> int:
    """Write everything that the logs hold now into an empty folder; return how many records. `groups`: the topics of each."""
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: a recording has a folder of its own")
    (folder / "config").mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(settings.file(name), folder / "config" / f"{name}.yaml")
    if settings.file(FORMATS).exists():
        shutil.copy(settings.file(FORMATS), folder / "config" / f"{FORMATS}.yaml")
    committed = {
        group: [(topic, number, offset) for (topic, number), offset in logs.taken(group, of).items()] for group, of in groups.items()
    }
    written = 0
    bounds: dict[str, dict[int, tuple[int, int]]] = {}
    for topic in named_topics(settings):
        bounds[topic] = {}
        for number, found in logs.bounds(topic).items():
            count, following = _write(folder / f"{topic}-{number}.jsonl", logs.records(topic, number))
            written += count
            bounds[topic][number] = (found.first, max(found.first, following))
        say(f"{topic}: {written} records so far")
    deciding = (
        {name: getattr(settings, name) for name in DECIDING}
        | {"metrics_topics": settings.sample_topics}
        | {"llm": bool(settings.llm_api_key.get_secret_value())}
    )
    manifest = Manifest(FORMAT, int(time.time() * 1000), bounds, committed, deciding)
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return written


def _write(path: Path, records: Iterator[Record]) -> tuple[int, int]:
    count = following = 0
    with path.open("wb") as file:
        for one in records:
            file.write(msgspec.json.encode(Line(one.offset, one.timestamp, one.key, one.value, one.headers)) + b"\n")
            count, following = count + 1, one.offset + 1
    return count, following


class Recording:
    """`Logs` of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{folder} is no recording: {error}; airra topics record DIR makes one") from error
        if self.manifest.format != FORMAT:
            raise ConfigError(f"{folder} was recorded in format {self.manifest.format}; this version reads {FORMAT}")

    @property
    def overrides(self) -> dict[str, Any]:
        """The settings that the recorded decisions were made with."""
        told = dict(self.manifest.settings)
        key = "recorded" if told.pop("llm") else ""
        named = [*FILES, FORMATS] if (self._folder / "config" / f"{FORMATS}.yaml").exists() else FILES
        files = {f"{name}_file": self._folder / "config" / f"{name}.yaml" for name in named}
        return {**told, **files, "llm_api_key": key}

    def bounds(self, topic: str) -> Mapping[int, Bounds]:
        return {number: Bounds(*found) for number, found in self.manifest.bounds.get(topic, {}).items()}

    def records(self, topic: str, partition: int, begin: int = 0, since: int | None = None) -> Iterator[Record]:
        del since  # a recording is read whole
        with (self._folder / f"{topic}-{partition}.jsonl").open("rb") as file:
            for text in file:
                line = _LINE.decode(text)
                if line.offset >= begin:
                    yield Record(topic, partition, line.offset, line.timestamp, line.key, line.value, line.headers)

    def taken(self, group: str, topics: Sequence[str]) -> Mapping[Place, int]:
        return {(topic, number): offset for topic, number, offset in self.manifest.committed.get(group, []) if topic in topics}
