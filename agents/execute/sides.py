"""What execute reads besides its intents: the three logs folded to their ends, behind one barrier."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter

from agents.evictions import count_evicted
from models.approvals import ApprovalBook, fold
from models.evicted import Evicting
from models.execution import log as actions_log
from models.execution.log import ActionLog
from models.incidents.book import IncidentBook
from schemas.actions import ACTION_EVENTS
from schemas.approvals import APPROVAL_EVENTS
from schemas.config.policy import Policy
from schemas.incidents import INCIDENT_EVENTS
from schemas.topics import ACTIONS, APPROVALS, INCIDENTS
from streams.harness.emit import parse, position
from streams.harness.kafka import KafkaSettings
from streams.harness.stage import Record
from streams.harness.view import LogView

OPEN_WITHIN_S = 120.0
KEPT_ENDS = 100_000  # of actions: a grant repeated long after its end must find it; some 100 bytes each, and 400 of a live success


EVICTED = Counter("airra_execute_evicted_entries_total", "oldest entries of execute's folds dropped at a cap", ["fold", "table"])


@contextmanager
def counted(name: str, book: Evicting) -> Iterator[None]:
    """Count on the metric what folding a record drops."""
    yield
    count_evicted(EVICTED, book, of=(name,))


class View(Protocol):
    """A log that is read from its beginning; streams.harness.view.LogView is one."""

    async def start(self) -> None: ...

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once what stood on the log at the start is folded; Retryable after the time-out."""

    async def barrier(self, timeout_s: float) -> Mapping[int, int]:
        """Fold up to what is the end now and return it by partition; Retryable when it cannot be."""

    async def stop(self) -> None: ...


@dataclass
class Sides:
    """The folds of the three views; each `fold_*` is the function of one LogView."""

    policy: Policy  # its bounds of the last check; rulings are made by the policy on the log
    approvals: ApprovalBook = field(default_factory=ApprovalBook)
    incidents: IncidentBook = field(default_factory=IncidentBook)
    actions: ActionLog = field(default_factory=lambda: ActionLog(max_closed=KEPT_ENDS))

    def fold_approvals(self, record: Record) -> None:
        with counted("approvals", self.approvals):
            fold(self.approvals, parse(APPROVAL_EVENTS, record), record.timestamp, position(record))

    def fold_incidents(self, record: Record) -> None:
        with counted("incidents", self.incidents):
            self.incidents.apply(parse(INCIDENT_EVENTS, record), position(record), record.timestamp)

    def fold_actions(self, record: Record) -> None:
        with counted("actions", self.actions):
            actions_log.fold(self.actions, parse(ACTION_EVENTS, record), record.offset)


@dataclass
class Views:
    """The three views that feed the sides."""

    approvals: View
    incidents: View
    actions: View
    opened: bool = False

    async def open(self) -> None:
        """Start reading, once, and return when all three have caught up."""
        every = (self.approvals, self.incidents, self.actions)
        if not self.opened:
            for view in every:
                await view.start()
            self.opened = True
        await asyncio.gather(*(view.wait_ready(OPEN_WITHIN_S) for view in every))

    async def close(self) -> None:
        """Stop reading."""
        if self.opened:
            self.opened = False
            await asyncio.gather(*(view.stop() for view in (self.approvals, self.incidents, self.actions)))

    async def barrier(self, timeout_s: float) -> tuple[int, int]:
        """Read all three to their ends; return those of approvals and incidents. Retryable when one cannot be."""
        ends = await asyncio.gather(*(view.barrier(timeout_s) for view in (self.approvals, self.incidents, self.actions)))
        return ends[0].get(0, 0), ends[1].get(0, 0)


def live_views(kafka: KafkaSettings, sides: Sides) -> Views:
    """Return the views of this cluster's logs, not started yet: the effector opens them when it begins."""
    return Views(
        approvals=LogView(kafka, APPROVALS.name, sides.fold_approvals),
        incidents=LogView(kafka, INCIDENTS.name, sides.fold_incidents),
        actions=LogView(kafka, ACTIONS.name, sides.fold_actions),
    )
