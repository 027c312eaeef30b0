"""What a chapter of the campaign is made of: cases, the ground they stand on, and what they find."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.kafka.broker import KafkaBroker


class NotRun(Exception):
    """What this machine lacks for a case, in words: the case is listed as not run, which is no finding."""


@dataclass(frozen=True)
class Finding:
    """What one item of a case showed; a line of the ledger.

    `injected` counts the faults; `lost`, `doubled` (a second effect, a second row), `wrong` count records or effects; `repeated` counts
    records that stand again under the same id, which is allowed; `rereads` and `guards` count holes that a worker read again, and ends by
    the guard against them. None: not measured. `equal` says whether state equals a linear replay (None: not compared); `recovery_s` are
    the times from fault to caught up; `failed` says in words what else did not hold.
    """

    item: str
    injected: int
    lost: int | None = None
    doubled: int | None = None
    wrong: int | None = None
    equal: bool | None = None
    recovery_s: tuple[float, ...] = ()
    notes: str = ""
    failed: tuple[str, ...] = ()
    repeated: int | None = None
    rereads: int | None = None
    guards: int | None = None

    @property
    def passed(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.failed) and self.equal is not False


@dataclass
class Ground:
    """Where a case runs: a folder of its own, a broker shared with the other cases of a run, a way to say how far it is."""

    folder: Path
    say: Callable[[str], None]
    sample: bool = False  # a short form: what CI has time for
    _exit: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _shared: KafkaBroker | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def kafka(self) -> KafkaBroker:
        """Return the shared Apache Kafka, started at the first call; a case that harms its broker takes one of its own."""
        if self._shared is None:
            self._shared = self._exit.enter_context(KafkaBroker(self.new_folder("kafka")))
        return self._shared

    def own_kafka(self, **options: Any) -> KafkaBroker:
        """Return an Apache Kafka of this case alone, not yet started: use it as a context."""
        return KafkaBroker(self.new_folder("kafka"), **options)

    def new_folder(self, stem: str) -> Path:
        """Make a folder that no other case has, nor an earlier run that was kept."""
        while True:
            path = self.folder / f"{stem}-{next(self._numbers)}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()


Run = Callable[[Ground, frozenset[str]], Iterator[Finding]]


@dataclass(frozen=True)
class Listed:
    """A run that knows its items before it is run."""

    items: tuple[str, ...]
    run: Run

    def __call__(self, ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        return self.run(ground, done)


@dataclass(frozen=True)
class Case:
    """`run(ground, done)` yields a finding for each item, as it is found; items named in `done` were proven before and are left out.

    A run that is `Listed` names its items. Of any other the ledger notes, once it has come to its end, how many it had.
    """

    name: str
    shows: str  # what is injected and what must hold, as the report says it
    run: Run
    minutes: float  # about how long, on two cores
    in_sample: bool = False

    @property
    def items(self) -> tuple[str, ...] | None:
        return self.run.items if isinstance(self.run, Listed) else None


def single(item: str, find: Callable[[Ground], Finding]) -> Run:
    """Return the run of a case that has one item."""

    def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
        if item not in done:
            yield find(ground)

    return Listed((item,), run)


@dataclass(frozen=True)
class Chapter:
    name: str
    title: str
    cases: tuple[Case, ...]
