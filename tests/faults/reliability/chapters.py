"""The chapters of the campaign, in the order of the report."""

from __future__ import annotations

from tests.faults.reliability.case import Chapter
from tests.faults.reliability.harness import CHAPTER as HARNESS
from tests.faults.reliability.load import CHAPTER as LOAD

CHAPTERS: tuple[Chapter, ...] = (HARNESS, LOAD)
