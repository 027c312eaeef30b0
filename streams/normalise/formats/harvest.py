"""What one record gives, collected within bounds: what is small on the wire may be large in memory."""

from __future__ import annotations

from collections.abc import Iterable

from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats.port import Sample

MAX_ITEMS = (
    100_000  # samples of one record: agents send 2,000 to 10,000; what of it goes to one partition is one record again, of 33 bytes each
)
MAX_KEY_BYTES = 65_536  # of one series; Prometheus' own limit on a label set is far below it
MAX_ALL_KEYS_BYTES = 128 * 1024 * 1024  # a resource of 60 kB is part of the key of every one of its points


def too_many() -> Rejected:
    return Rejected(Reason.TOO_LARGE, f"more than {MAX_ITEMS} samples in one record")


class Harvest:
    def __init__(self) -> None:
        self.items: list[Sample | Rejection] = []
        self._room = MAX_ALL_KEYS_BYTES

    def take(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            size = len(sample.key)
            if size > MAX_KEY_BYTES:
                self.reject(Rejection(Reason.TOO_LARGE, f"labels of {size} bytes, at most {MAX_KEY_BYTES}"))
                continue
            self.spend(size)
            self._add(sample)

    def spend(self, size: int) -> None:
        """Account for bytes of keys; raise Rejected for the whole record where they are more than any honest one's."""
        self._room -= size
        if self._room < 0:
            raise Rejected(Reason.TOO_LARGE, f"labels of all series together of more than {MAX_ALL_KEYS_BYTES} bytes")

    def reject(self, rejection: Rejection, where: str = "") -> None:
        self._add(Rejection(rejection.reason, f"{where}: {rejection.detail}") if where else rejection)

    def _add(self, item: Sample | Rejection) -> None:
        if len(self.items) >= MAX_ITEMS:
            raise too_many()
        self.items.append(item)
