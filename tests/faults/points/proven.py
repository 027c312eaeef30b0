"""Which points are proven: proven.txt, written by the campaign, a line a point with the strikes that it stood; and which need not be.

owed.txt holds, in the same form, strikes that the campaign has not come to yet. It only shrinks: the campaign takes out what it proves,
and a point that is new belongs into proven.txt, by a strike.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults.points.code import SOCKET_WRITE, all_points
from tests.faults.points.exempt import POINTS, SIDES

FILE = Path(__file__).with_name("proven.txt")
OWED = Path(__file__).with_name("owed.txt")
HEAD = "# Written by the campaign (make faults): what each crash point stood. k = SIGKILL, z = the zombie; b = before it, a = after it.\n"
OWED_HEAD = (
    "# Strikes that the campaign has not come to yet. Nothing is added here: what is new is struck, and then stands in proven.txt.\n"
)
MARKS = {("kill", "before"): "kb", ("kill", "after"): "ka", ("stop", "before"): "zb", ("stop", "after"): "za"}
# Between the last check and the effect: the two writes of the request that acts, its head and its body.
SOCKET_POINTS = (f"{SOCKET_WRITE}@head", f"{SOCKET_WRITE}@body")
COMMAND = ".venv/bin/python -m tests.faults.points --note --only"

Proven = dict[str, frozenset[str]]


def names() -> list[str]:
    """Return every point that must be proven: those of the code that are not exempt, and the writes to the socket."""
    return [*(point.name for point in all_points() if point.name not in POINTS), *SOCKET_POINTS]


def sides(name: str) -> tuple[str, ...]:
    """Return the sides on which a point can be struck."""
    return tuple(side for side in ("before", "after") if f"{name} {side}" not in SIDES)


def read(path: Path = FILE) -> Proven:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    parts = (line.rsplit("  ", 1) for line in lines if line and not line.startswith("#"))
    return {name.strip(): frozenset(marks.split()) for name, marks in parts}


def note(name: str, marks: Iterable[str], path: Path = FILE, owed: Path = OWED) -> None:
    """Add what a point stood; points that are gone are dropped. Campaigns that run side by side take turns."""
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = read(path)
        known[name] = known.get(name, frozenset()) | frozenset(marks)
        path.write_text(HEAD + rendered({each: known[each] for each in names() if each in known}), encoding="utf-8")
        left = {each: missing for each, needed in read(owed).items() if (missing := needed - known.get(each, frozenset()))}
        if left:
            owed.write_text(OWED_HEAD + rendered(left), encoding="utf-8")
        else:
            owed.unlink(missing_ok=True)


def rendered(marks: Mapping[str, frozenset[str]]) -> str:
    return "".join(f"{name}  {' '.join(mark for mark in MARKS.values() if mark in found)}\n" for name, found in marks.items())


def problems(proven: Mapping[str, frozenset[str]], wanted: Iterable[str], owed: Mapping[str, frozenset[str]]) -> list[str]:
    """Say what is neither proven nor owed, and what is proven or owed that should not be; empty when every point is accounted for."""
    every = list(wanted)
    found = [f"{name} is in {FILE.name} and no longer in the code: remove the line" for name in proven if name not in set(every)]
    found += [f"{name} is in {OWED.name} and no longer in the code: remove the line" for name in owed if name not in set(every)]
    found += [f"{name} is owed and proven: take it out of {OWED.name}" for name in owed if owed[name] & proven.get(name, frozenset())]
    for name in every:
        needed = {MARKS[how, side] for how in ("kill", "stop") for side in sides(name)}
        if missing := sorted(needed - proven.get(name, frozenset()) - owed.get(name, frozenset())):
            found.append(f"{name} is not proven ({', '.join(missing)}): run {COMMAND} '{name}', or exempt it with a reason in exempt.py")
    return found
