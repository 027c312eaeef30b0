"""What an account of one stage says: each record taken has one fate, and what is not so is named."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SHOWN = 3  # examples of one fault


@dataclass(slots=True)
class Account:
    """taken = the sum of the fates; `faults` are what does not hold, by kind, with examples."""

    name: str
    taken: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    repeated: int = 0  # outputs that stand more than once, all alike: a crash repeats, and readers drop it
    lag: int = 0  # records that are there and not yet taken
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)

    def fault(self, kind: str, example: object) -> None:
        self.faults[kind] += 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(str(example))

    def settle(self) -> Account:
        """Hold the fates against the records taken."""
        if (told := self.fates.total()) != self.taken and not self.unchecked:
            self.fault("records without exactly one fate", f"{self.taken} taken, {told} fates")
        return self

    @property
    def holds(self) -> bool:
        return not self.faults.total()

    def __str__(self) -> str:
        fates = " + ".join(f"{count} {fate}" for fate, count in self.fates.most_common() if count)
        said = [f"{self.taken} taken = {fates or 'nothing'}"]
        if self.repeated:
            said.append(f"{self.repeated} outputs repeated alike")
        if self.lag:
            said.append(f"{self.lag} wait")
        said += [f"{count} {kind} ({'; '.join(self.examples[kind])})" for kind, count in self.faults.most_common() if count]
        return ", ".join([*said, *self.unchecked])
