"""What is kept of a producer: its messages, its own words, and how to have them again. Reading needs no producer."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

BYTES = Path(__file__).parent / "bytes"
MESSAGES = ".jsonl.xz"  # a message a line; bytes are base64 there


class Message(msgspec.Struct, frozen=True):
    """A Kafka record, or the body of a request with its headers' names in lower case."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    stamp: int = 0  # Kafka's, in milliseconds; 0: none


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one producer gave."""

    versions: Mapping[str, str]  # as each program tells its own
    commands: Sequence[str]  # that started them
    configs: Mapping[str, str]  # by file name
    messages: Mapping[str, Sequence[Message]]
    says: Mapping[str, str]  # by file name: the producer's own account of what it sent
    segments: Mapping[str, bytes] = field(default_factory=dict)  # by file name: a topic's log as Kafka keeps it
    notes: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, found: Recorded, command: str, day: str) -> None:
    """Replace what `folder` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, messages in found.messages.items():
        (folder / f"{name}{MESSAGES}").write_bytes(lzma.compress(b"\n".join(map(msgspec.json.encode, messages)), preset=9))
    for name, text in found.says.items():
        (folder / f"{name}.xz").write_bytes(lzma.compress(text.encode(), preset=9))
    for name, content in found.segments.items():
        (folder / name).write_bytes(content)
    for name, text in found.configs.items():
        (folder / name).write_text(text)
    manifest = {
        "recorded": day,
        "by": command,
        "versions": dict(found.versions),
        "commands": list(found.commands),
        "configs": sorted(found.configs),
        "messages": {name: len(messages) for name, messages in found.messages.items()},
        "says": sorted(found.says),
        **found.notes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def messages(producer: str, recording: str) -> list[Message]:
    lines = lzma.decompress((BYTES / producer / f"{recording}{MESSAGES}").read_bytes()).splitlines()
    return [msgspec.json.decode(line, type=Message) for line in lines]


def says(producer: str, name: str) -> str:
    return lzma.decompress((BYTES / producer / f"{name}.xz").read_bytes()).decode()
