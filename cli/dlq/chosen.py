"""Which dead letters there are, which were brought in already, and which are meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from streams.harness.redelivery import Letter, letter_of, marked
from streams.harness.stage import Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for; what is left empty selects nothing away."""

    numbers: frozenset[int] = frozenset()
    stages: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    def holds(self, letter: Letter) -> bool:
        return (
            (not self.numbers or letter.number in self.numbers)
            and (not self.stages or letter.stage in self.stages)
            and (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
        )


@dataclass(slots=True)
class Box:
    """What the dead-letter topic holds, without the letters' values."""

    numbers: dict[str, int] = field(default_factory=dict)  # of the first letter of each id: a stage that died wrote some twice
    replayed: set[str] = field(default_factory=set)  # ids
    repeats: int = 0
    foreign: int = 0  # records that no stage of ours has written


def letters(records: Iterable[Record], box: Box) -> Iterator[Letter]:
    """Yield each letter once, and note in `box` what passes by; whether one was replayed is known only at the end."""
    for record in records:
        if (done := marked(record)) is not None:
            box.replayed.add(done)
            continue
        letter = letter_of(record)
        if letter is None:
            box.foreign += 1
        elif letter.id in box.numbers:
            box.repeats += 1
        else:
            box.numbers[letter.id] = letter.number
            yield letter
