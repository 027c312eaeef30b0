"""A safeguard as an edit of the source that takes it out, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[3]


@dataclass(frozen=True)
class Safeguard:
    """`old` stands exactly once in `file`; with `new` in its place the safeguard is gone, and at least one of `bites` fails."""

    name: str
    file: str
    old: str
    new: str
    bites: tuple[str, ...]

    def taken_out(self, source: str) -> str:
        """Return the source without the safeguard; raise ValueError where it is not where the list says."""
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {found} times in {self.file}")
        return source.replace(self.old, self.new)


def unit(file: str, *tests: str) -> tuple[str, ...]:
    """Name tests of a file of tests/unit; without names the whole file."""
    return tuple(f"tests/unit/test_{file}.py::test_{test}" for test in tests) or (f"tests/unit/test_{file}.py",)


def prop(file: str, *tests: str) -> tuple[str, ...]:
    """Name tests of a file of tests/property; without names the whole file."""
    return tuple(f"tests/property/test_{file}.py::test_{test}" for test in tests) or (f"tests/property/test_{file}.py",)
