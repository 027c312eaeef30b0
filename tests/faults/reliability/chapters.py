"""The chapters of the campaign, in the order of the report."""

from __future__ import annotations

from tests.faults.reliability.bite import CHAPTER as BITE
from tests.faults.reliability.broker import CHAPTER as BROKER
from tests.faults.reliability.case import Chapter
from tests.faults.reliability.control import CHAPTER as CONTROL
from tests.faults.reliability.harness import CHAPTER as HARNESS
from tests.faults.reliability.load import CHAPTER as LOAD
from tests.faults.reliability.moves import CHAPTER as MOVES
from tests.faults.reliability.network import CHAPTER as NETWORK
from tests.faults.reliability.points import CHAPTER as POINTS
from tests.faults.reliability.poison import CHAPTER as POISON
from tests.faults.reliability.replay import CHAPTER as REPLAY
from tests.faults.reliability.store import CHAPTER as STORE
from tests.faults.reliability.timing import CHAPTER as TIME
from tests.faults.reliability.versions import CHAPTER as VERSIONS

CHAPTERS: tuple[Chapter, ...] = (HARNESS, POINTS, MOVES, BROKER, NETWORK, STORE, TIME, POISON, REPLAY, LOAD, CONTROL, VERSIONS, BITE)
