"""The ledger: one JSON line a finding, the newest of an item counts.

What was found with other code, of the product or of the case itself, is not taken as proven.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.reliability.case import Finding

REPO = Path(__file__).parents[3]
LEDGER = REPO / "docs" / "reliability.jsonl"
ITSELF = "the case itself"  # the item of a case that broke before it was through
WHOLE = "the whole case"  # the item of a case that does not list its items, and has come to its end; `injected` is their number
PRODUCT = ("schemas", "models", "streams", "agents", "api", "cli", "sandbox", "config")


@dataclass(frozen=True)
class Entry:
    chapter: str
    case: str
    finding: Finding
    code: str  # digest of the product's code it was found with
    commit: str
    on: str  # the day
    seconds: float
    cases: str = ""  # digest of the chapter's own code (sources.py); an entry without one is an older one

    @property
    def key(self) -> tuple[str, str, str]:
        return self.chapter, self.case, self.finding.item


@functools.cache
def code_digest() -> str:
    """Return a digest of the product's code and configuration as they stand in the working folder."""
    files = sorted(path for folder in PRODUCT for path in (REPO / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    sums = hashlib.sha256()
    for path in files:
        sums.update(str(path.relative_to(REPO)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sums.hexdigest()[:16]


@functools.cache
def commit() -> str:
    said = subprocess.run(["git", "-C", str(REPO), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def entry(chapter: str, case: str, finding: Finding, seconds: float, cases: str = "") -> Entry:
    return Entry(chapter, case, finding, code_digest(), commit(), time.strftime("%Y-%m-%d", time.gmtime()), round(seconds, 1), cases)


def read(path: Path = LEDGER) -> dict[tuple[str, str, str], Entry]:
    """Return the newest entry of each item; that a case broke, or came to its end, counts until it is run again."""
    if not path.exists():
        return {}
    entries: dict[tuple[str, str, str], Entry] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line:
            found = _parsed(line)
            for item in (ITSELF, WHOLE):
                entries.pop((found.chapter, found.case, item), None)
            entries[found.key] = found
    return entries


def append(found: Entry, path: Path = LEDGER) -> None:
    """Append a line; campaigns that run side by side take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(_line(found))


def tidy(path: Path = LEDGER) -> dict[tuple[str, str, str], Entry]:
    """Keep the newest entry of each item, in order, so that the file does not grow with every campaign; return them."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        entries = dict(sorted(read(path).items(), key=lambda one: (*one[0][:2], one[0][2] in {ITSELF, WHOLE}, one[0][2])))
        path.write_text("".join(map(_line, entries.values())), encoding="utf-8")
    return entries


def proven(chapter: str, case: str, path: Path = LEDGER, cases: str = "", *, older: bool = False) -> frozenset[str]:
    """Return the items of a case that were found to hold with the product and the case as they are, or with `older` ones, too."""
    now = code_digest(), cases
    return frozenset(
        found.finding.item
        for found in read(path).values()
        if (found.chapter, found.case) == (chapter, case) and found.finding.passed and (older or (found.code, found.cases) == now)
        if found.finding.item != WHOLE
    )


def _line(found: Entry) -> str:
    return json.dumps(asdict(found), separators=(",", ":")) + "\n"


def _parsed(line: str) -> Entry:
    fields = json.loads(line)
    finding = fields.pop("finding")
    for name in ("recovery_s", "failed"):
        finding[name] = tuple(finding[name])
    if "cases" not in fields:
        finding["doubled"] = finding["doubled"] or None  # older entries have a 0 also where nothing was counted
    return Entry(finding=Finding(**finding), **fields)
