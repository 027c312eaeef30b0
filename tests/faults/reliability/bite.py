"""Does the suite bite? Each safeguard of the harness and the loop is taken out, one at a time: some test must fail."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.faults.mutations.every import SAFEGUARDS
from tests.faults.mutations.safeguard import Safeguard
from tests.faults.mutations.workshop import Workshop
from tests.faults.reliability.case import Case, Chapter, Finding, Ground

SAMPLE = 2  # safeguards in the short form, others each time


def bitten(workshop: Workshop, safeguard: Safeguard) -> Finding:
    told = workshop.without(safeguard)
    failed = []
    if told.errors:
        failed.append(f"tests could not be run: {', '.join(told.errors)}")
    elif not told.failed:
        failed.append(f"no test noticed; asked were {', '.join(safeguard.bites)}")
    return Finding(safeguard.name, 1, notes=", ".join(told.failed), failed=tuple(failed))


def untouched(workshop: Workshop, safeguards: list[Safeguard]) -> Finding:
    """Run the same tests with every safeguard in its place: they must pass, or their failing says nothing."""
    told = workshop.run(sorted({test for safeguard in safeguards for test in safeguard.bites}))
    foreign = workshop.foreign()
    failed = [f"{name} fails although nothing was taken out" for name in (*told.failed, *told.errors)][:10]
    failed += [f"{path} is not of the copy" for path in foreign]
    if not told.clean and not failed:
        failed.append(f"no test was run: {told.words[-200:]}")
    return Finding("nothing taken out", 0, notes=f"{len(told.passed)} tests pass", failed=tuple(failed))


def run(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    todo = [safeguard for safeguard in SAFEGUARDS if safeguard.name not in done]
    if ground.sample:
        todo = random.SystemRandom().sample(todo, SAMPLE)
    if not todo:
        return
    workshop = Workshop(ground.new_folder("copy"))
    whole = untouched(workshop, todo)
    yield whole
    if whole.passed:
        for safeguard in todo:
            yield bitten(workshop, safeguard)


CHAPTER = Chapter(
    "bite",
    "Does the suite bite",
    (
        Case(
            "mutations",
            f"{len(SAFEGUARDS)} safeguards are taken out of a copy of the code, one at a time: a test must fail, and none without that",
            run,
            minutes=12,
            in_sample=True,
        ),
    ),
)
