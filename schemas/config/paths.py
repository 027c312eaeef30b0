r"""Paths into a producer's document, as a person writes them: the part of JSONPath that names one place.

    $            the sample: one of those that `each` names, else the record
    $.a.b        a member; any text without . [ ] ' " * and spaces is a name
    $['a b']     a member of any name; \' and \\ stand for ' and \
    $.a[0]       an element, counted from 0
    $.a[*]       every element, in `each` only
    $$.a         from the whole record, wherever `each` stands

What JSONPath has besides (filters, slices, wildcards over members, descent) picks several places, and a sample has one of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_STEPS = 32  # no document that a person can name is deeper
MOST_INDEX = 9_999_999  # a record of Kafka's usual megabyte holds fewer elements

Step = str | int | None  # a member, an element, or every element

_STEP = re.compile(r"""\.([^.\[\]'"*\s$]+)|\['((?:[^'\\]|\\['\\])+)'\]|\[(\d{1,7})\]|(\[\*\])""", re.ASCII)


@dataclass(frozen=True, slots=True)
class JsonPath:
    text: str
    steps: tuple[Step, ...]
    whole: bool = False  # from the record, not from the sample

    @property
    def every(self) -> bool:
        return None in self.steps


def is_path(text: str) -> bool:
    """Tell a path from a constant: no metric's name, unit or label begins with a dollar."""
    return text.startswith("$")


def parse_path(text: str) -> JsonPath:
    """Raise ValueError that names the first place which is not of the subset above."""
    if not is_path(text):
        raise ValueError(f"{text[:64]!r} is no path: one begins with $, like $.p95")
    start = 2 if text.startswith("$$") else 1
    steps: list[Step] = []
    at = start
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f"{text[:64]!r} is no path from {text[at : at + 16]!r} on: write $.a.b, $['a b'], $.a[0]; in `each` $.a[*]")
        name, quoted, index, _ = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(name or (re.sub(r"\\(.)", r"\1", quoted) if quoted else None))
        at = match.end()
    if len(steps) > MOST_STEPS:
        raise ValueError(f"{text[:64]!r} has {len(steps)} steps, at most {MOST_STEPS}")
    return JsonPath(text, tuple(steps), start == 2)


def parse_place(text: str) -> JsonPath:
    """Parse a path that names one place; raise ValueError."""
    path = parse_path(text)
    if path.every:
        raise ValueError(f"{text[:64]!r} names many places: [*] stands in `each` only")
    return path


def parse_each(text: str) -> JsonPath:
    """Parse a path that names every sample of a record; raise ValueError."""
    path = parse_path(text)
    if not path.every or path.whole:
        raise ValueError(f"{text[:64]!r} names one place: `each` names every sample of a record, like $.items[*]")
    return path
