"""Which offset each partition must deliver next."""

from __future__ import annotations


class Contiguous:
    """Which offset each partition must deliver next; pure."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def open(self, partition: int, offset: int) -> None:
        self._next[partition] = offset

    def close(self) -> None:
        """Forget everything: nothing is delivered until partitions are opened again."""
        self._next.clear()

    def expected(self, partition: int) -> int | None:
        return self._next.get(partition)

    def take(self, partition: int, offset: int) -> bool:
        """Say whether this is the record that comes next; then the one after it comes next."""
        if self._next.get(partition) != offset:
            return False
        self._next[partition] = offset + 1
        return True

    def beyond(self, partition: int, offset: int) -> bool:
        """Say whether records are missing before this one."""
        expected = self._next.get(partition)
        return expected is not None and offset > expected
