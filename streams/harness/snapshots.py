"""A packed state as records of a changelog: chunks and a manifest, in slots that alternate, so that one whole snapshot always stands.

Keys carry the partition (a Faust memory table is one dict for all partitions of the process), the slot of the owner's group
generation, and the slot of the snapshot. A writer that has lost its partition and does not know it yet writes into slots of its
own, and what it writes is an older state of the same log: a reader takes the valid snapshot of the highest offset.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streams.harness.errors import Unfit

FORMAT = 1  # of keys, chunks and manifest; a manifest that does not say is of the first
CHUNK_BYTES = 500_000  # 20 MB in chunks of 500 kB cost 30 to 90 ms of CPU, in chunks of 20 kB ten times that; 1 MB is refused
OWNER_SLOTS = 8  # group generations told apart
WRITE_SLOTS = 2  # the snapshot being written never overwrites the one that stands


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state as of the end of one record."""

    offset: int  # the last record that the state holds
    generation: int  # counts the snapshots of this partition
    data: bytes
    format: int = 1  # of the data: Stage.format of the release that wrote it
    log: str = ""  # id of the log that `offset` counts in; "": nobody told


def _prefix(partition: int, owner: int, generation: int) -> bytes:
    return b"%d/%d/%d/" % (partition, owner % OWNER_SLOTS, generation % WRITE_SLOTS)


def encode(partition: int, owner: int, snapshot: Snapshot) -> list[tuple[bytes, bytes]]:
    """Return the changelog records of a snapshot, to be acknowledged in this order: the manifest is the last."""
    prefix = _prefix(partition, owner, snapshot.generation)
    chunks = [snapshot.data[start : start + CHUNK_BYTES] for start in range(0, len(snapshot.data), CHUNK_BYTES)]
    manifest: dict[str, int | str] = {"format": FORMAT, "state": snapshot.format, "generation": snapshot.generation}
    manifest |= {"offset": snapshot.offset, "chunks": len(chunks), "crc": zlib.crc32(snapshot.data), "log": snapshot.log}
    records = [(prefix + b"%d" % index, chunk) for index, chunk in enumerate(chunks)]
    return [*records, (prefix + b"manifest", json.dumps(manifest).encode())]


def decode(table: Mapping[bytes, bytes], partition: int, log: str = "") -> Snapshot | None:
    """Return the whole snapshot of the highest offset, one of this very log before any of another; None where there is none.

    Unfit: one is laid out as this release cannot read.
    """
    found = (_read(table, key) for key in _manifests(table, partition))
    whole = [snapshot for snapshot in found if snapshot is not None]
    return max(whole, key=lambda one: (one.log == log, one.offset, one.generation), default=None)


def superseded(table: Mapping[bytes, bytes], partition: int, owner: int) -> Sequence[bytes]:
    """Return the keys of this partition that other owners wrote: once this owner has a snapshot, they are waste."""
    mine = b"%d/%d/" % (partition, owner % OWNER_SLOTS)
    return [key for key in of(table, partition) if not key.startswith(mine)]


def of(table: Mapping[bytes, bytes], partition: int) -> Sequence[bytes]:
    """Return the keys of this partition."""
    return [key for key in table if key.startswith(b"%d/" % partition)]


def _manifests(table: Mapping[bytes, bytes], partition: int) -> list[bytes]:
    """Return the keys of manifests, whatever slots a later release writes into."""
    return [key for key in of(table, partition) if key.endswith(b"/manifest") and table.get(key)]


def _read(table: Mapping[bytes, bytes], key: bytes) -> Snapshot | None:
    prefix = key.removesuffix(b"manifest")
    try:
        manifest = json.loads(table[key])
        if (layout := manifest.get("format", 1)) != FORMAT:
            raise Unfit(f"a snapshot is laid out in format {layout}, and this release reads {FORMAT}: run the release that wrote it")
        chunks = [table[prefix + b"%d" % index] for index in range(manifest["chunks"])]
        data = b"".join(chunks)
        whole = zlib.crc32(data) == manifest["crc"]
        told = int(manifest["offset"]), int(manifest["generation"]), data, int(manifest.get("state", 1)), str(manifest.get("log", ""))
        return Snapshot(*told) if whole else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # a write was cut off half way: the other slot holds the one before
