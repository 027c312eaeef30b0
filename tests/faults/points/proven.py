"""Which points are proven: proven.txt, written by the campaign, a line a point with the strikes that it stood; and which need not be.

- owed.txt, in the same form, is the list of strikes that the campaign had not come to when the list was closed. A unit test holds its
  digest: nothing is added, and what of it stands in proven.txt is owed no more. How many strikes are owed stands in proven.txt too, and
  that number only falls: what was proven once cannot become owed again.
- order.txt is every point in the order of the code as it was when a point of its function was struck last. Two awaits that change
  places keep their names, and what was proven of them (an intent on the log *before* the act) is proven no more.
- Both files that are written here end with a seal, the digest of all above it: a line that no strike wrote breaks it.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from tests.faults.points.code import SOCKET_WRITE, STAGE_COMMIT, all_points, function_of
from tests.faults.points.exempt import POINTS, SIDES

FILE = Path(__file__).with_name("proven.txt")
OWED = Path(__file__).with_name("owed.txt")
ORDER = Path(__file__).with_name("order.txt")
HEAD = "# Written by the campaign (make faults): what each crash point stood. k = SIGKILL, z = the zombie; b = before it, a = after it.\n"
ORDER_HEAD = "# Written by the campaign: the points in the order of the code in which they were struck.\n"
LEFT, SEAL = "# still owed: ", "# seal: "
MARKS = {("kill", "before"): "kb", ("kill", "after"): "ka", ("stop", "before"): "zb", ("stop", "after"): "za"}
# Between the last check and the effect: the two writes of the request that acts, its head and its body.
SOCKET_POINTS = (f"{SOCKET_WRITE}@head", f"{SOCKET_WRITE}@body")
COMMAND = ".venv/bin/python -m tests.faults.points"
STRIKE = f"{COMMAND} --note --only"

Proven = dict[str, frozenset[str]]


def names() -> list[str]:
    """Return every point that must be proven: those of the code that are not exempt, and those inside of libraries."""
    return [*(point.name for point in all_points() if point.name not in POINTS), *SOCKET_POINTS, STAGE_COMMIT]


def in_code() -> list[str]:
    """Return every point of the code in its order."""
    return [point.name for point in all_points()]


def sides(name: str) -> tuple[str, ...]:
    """Return the sides on which a point can be struck."""
    return tuple(side for side in ("before", "after") if f"{name} {side}" not in SIDES)


def read(path: Path = FILE) -> Proven:
    parts = (line.rsplit("  ", 1) for line in _lines(path))
    return {name.strip(): frozenset(marks.split()) for name, marks in parts}


def order(path: Path = ORDER) -> list[str]:
    return _lines(path)


def left(path: Path = FILE) -> int | None:
    """Return how many strikes proven.txt says are owed; None where it says nothing."""
    said = [line for line in _text(path).splitlines() if line.startswith(LEFT)]
    return int(said[0].removeprefix(LEFT)) if said else None


def unsealed(path: Path) -> bool:
    """Say whether a file is not as it was written."""
    above, _, seal = _text(path).rpartition(SEAL)
    return seal.strip() != _digest(above)


def owed(closed: Mapping[str, frozenset[str]], proven: Mapping[str, frozenset[str]], wanted: Iterable[str]) -> Proven:
    """Return what of the closed list is still owed."""
    rest = {name: closed.get(name, frozenset()) - proven.get(name, frozenset()) for name in wanted}
    return {name: marks for name, marks in rest.items() if marks}


def reordered(struck: Iterable[str], now: Iterable[str]) -> list[str]:
    """Return the functions whose points stand in another order than when they were struck; one that came in between changes none."""
    before, after = _by_function(struck), _by_function(now)
    return [
        function
        for function, points in before.items()
        if [name for name in points if name in after.get(function, ())] != [name for name in after.get(function, ()) if name in points]
    ]


def note(name: str, marks: Iterable[str], path: Path = FILE, closed: Path = OWED, ordered: Path = ORDER) -> None:
    """Add what a point stood, and the order of its function, unless that has changed; what is gone is dropped."""
    with path.open("a+", encoding="utf-8") as file:  # campaigns that run side by side take turns
        fcntl.flock(file, fcntl.LOCK_EX)
        known, struck = read(path), order(ordered)
        known[name] = known.get(name, frozenset()) | frozenset(marks)
        _write(known, _with_order_of(function_of(name), struck), path, closed, ordered)


def tidy(path: Path = FILE, closed: Path = OWED, ordered: Path = ORDER) -> list[str]:
    """Drop what is gone, and what was proven of functions whose points stand in another order by now; return these functions."""
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        changed = reordered(order(ordered), in_code())
        known = {name: marks for name, marks in read(path).items() if function_of(name) not in changed}
        _write(known, [name for name in order(ordered) if function_of(name) not in changed], path, closed, ordered)
    return changed


def _write(known: Mapping[str, frozenset[str]], struck: list[str], path: Path, closed: Path, ordered: Path) -> None:
    for each in (path, ordered):
        if _text(each) and unsealed(each):
            raise RuntimeError(f"{each.name} was changed by hand: take back what no strike wrote")
    wanted = names()
    owing = _count(owed(read(closed), known, wanted))
    said = left(path)
    text = HEAD + f"{LEFT}{owing if said is None else min(said, owing)}\n"
    _sealed(path, text + rendered({each: known[each] for each in wanted if known.get(each)}))
    here = set(in_code())
    _sealed(ordered, ORDER_HEAD + "".join(f"{each}\n" for each in struck if each in here))


def _with_order_of(function: str, struck: list[str]) -> list[str]:
    """Return the points as they were struck, those of this function as they stand now; nothing changes where their order has."""
    now = in_code()
    if function in reordered(struck, now):
        return struck
    before = {**_by_function(struck), function: _by_function(now).get(function, [])}
    return [name for each in _by_function(now) for name in before.get(each, ())]


def rendered(marks: Mapping[str, frozenset[str]]) -> str:
    return "".join(f"{name}  {' '.join(mark for mark in MARKS.values() if mark in found)}\n" for name, found in marks.items())


def problems(proven: Mapping[str, frozenset[str]], wanted: Iterable[str], closed: Mapping[str, frozenset[str]], most: int) -> list[str]:
    """Say what is neither proven nor owed, and what should not be; empty when every point is accounted for. `most` strikes may be owed."""
    every = list(wanted)
    found = [f"{name} is in {FILE.name} and no longer in the code: run {COMMAND} --tidy" for name in proven if name not in set(every)]
    for name in every:
        needed = {MARKS[how, side] for how in ("kill", "stop") for side in sides(name)}
        if missing := sorted(needed - proven.get(name, frozenset()) - closed.get(name, frozenset())):
            found.append(f"{name} is not proven ({', '.join(missing)}): run {STRIKE} '{name}', or exempt it with a reason in exempt.py")
    if (owing := _count(owed(closed, proven, every))) > most:
        found.append(f"{owing} strikes are owed, and {most} were: what was proven is no more; run {STRIKE} for what was taken out")
    return found


def disordered(struck: Iterable[str], now: Iterable[str]) -> list[str]:
    """Say which functions were proven in another order than theirs, and what to do."""
    return [
        f"the points of {function} stand in another order than when they were struck: run {COMMAND} --tidy, then {STRIKE} '{function}:'"
        for function in reordered(struck, now)
    ]


def _count(marks: Mapping[str, frozenset[str]]) -> int:
    return sum(len(each) for each in marks.values())


def _by_function(points: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for function, group in groupby(points, function_of):
        found.setdefault(function, []).extend(group)
    return found


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _lines(path: Path) -> list[str]:
    return [line for line in _text(path).splitlines() if line and not line.startswith("#")]


def _sealed(path: Path, text: str) -> None:
    path.write_text(f"{text}{SEAL}{_digest(text)}\n", encoding="utf-8")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
