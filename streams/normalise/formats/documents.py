"""Find places in a decoded document (dicts, lists, texts, numbers), and say what stands there instead."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Literal

from schemas.config.paths import JsonPath, Step
from streams.normalise.fates import Reason, Rejected, Rejection

SHOWN_CHARS = 64  # of what a producer wrote, in a reason
SHOWN_MEMBERS = 8


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING  # nothing stands there; null is something
Missing = Literal[_Missing.MISSING]


def find(steps: tuple[Step, ...], document: Any) -> Any | Missing:
    """Return what stands at a place, or MISSING."""
    found = document
    for step in steps:
        found = _child(step, found)
    return found


def expand(path: JsonPath, document: Any, most: int) -> list[Any]:
    """Return every sample that `each` names, in order, a Rejection for one whose way is broken.

    Raises Rejected where the record has no samples there at all, or more than `most`: their number is what costs.
    """
    found: list[Any] = [document]
    for at, step in enumerate(path.steps):
        if step is not None:
            found = [one if isinstance(one, Rejection) else _child(step, one) for one in found]
            continue
        every: list[Any] = []
        for one in found:
            if type(one) is list:
                every += one
            elif isinstance(one, Rejection):
                every.append(one)
            elif one is not None:  # null is an empty list in many languages
                every.append(_no_list(path, at, one, document))
            if len(every) > most:
                raise Rejected(Reason.TOO_LARGE, f"each {path.text}: more than {most} samples")
        found = every
    if len(found) == 1 and isinstance(found[0], Rejection):
        raise Rejected(found[0].reason, found[0].detail)
    return found


def absence(path: JsonPath, document: Any) -> str:
    """Say how far a path leads, for a person to see the misspelt step. Slow: only for what is refused."""
    found = document
    for at, step in enumerate(path.steps):
        child = _child(step, found)
        if child is MISSING:
            return f"{path.text}: nothing stands there; at its step {at + 1} there is {shown(found)}"
        found = child
    return f"{path.text}: {shown(found)}"


def shown(value: Any) -> str:
    """Describe what stands at a place, in bounded length."""
    if value is MISSING:
        return "nothing"
    if isinstance(value, dict):
        names = [repr(str(name)[:SHOWN_CHARS]) for name, _ in zip(value, range(SHOWN_MEMBERS), strict=False)]
        more = ", …" if len(value) > SHOWN_MEMBERS else ""
        return f"an object of {', '.join(names)}{more}" if names else "an empty object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value[:SHOWN_CHARS]) if isinstance(value, str) else format(value)[:SHOWN_CHARS]


def _child(step: Step, value: Any) -> Any | Missing:
    if type(step) is str:
        return value.get(step, MISSING) if type(value) is dict else MISSING
    if type(step) is int and type(value) is list and step < len(value):
        return value[step]
    return MISSING


def _no_list(path: JsonPath, at: int, one: Any, document: Any) -> Rejection:
    if one is not MISSING:
        return Rejection(Reason.WRONG_TYPE, f"each {path.text}: {shown(one)} is no array")
    way = absence(path, document) if None not in path.steps[:at] else f"{path.text}: nothing stands at step {at + 1}"
    return Rejection(Reason.MISSING_FIELD, f"each {way}")
