"""Fold the actions log: what was granted, begun and ended; records of an older owner than the newest epoch do not count."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import TypeAdapter

from models.evicted import ByTable, count
from models.execution.params import left_by
from schemas.actions import ActionEvent, Epoch, Finished, FinishStatus, Grant, Preconditions, Refused, Started
from schemas.kinds import Mode

MAX_CLOSED = 2_000
MAX_OPEN = 10_000  # grants without an end; each may be started for the lease's two minutes, so one that is dropped is long over


@dataclass(slots=True)
class Granted:
    grant: Grant
    offset: int


@dataclass(slots=True)
class Ended:
    """How an action ended: enough to know that it did, and whether it can be undone."""

    mode: Mode
    status: FinishStatus | None = None  # None: refused
    left: Preconditions | None = None  # the target as a live success left it: what its undo must find


@dataclass(slots=True)
class ActionLog:
    """The newest `max_open` open grants with what was begun of them, and the newest `max_closed` ends."""

    max_closed: int = MAX_CLOSED
    max_open: int = MAX_OPEN
    epoch: int = -1  # offset of the newest owner's record: the fencing token
    open: dict[str, Granted] = field(default_factory=dict)  # by action, in log order
    started: dict[str, Started] = field(default_factory=dict)  # of open ones, the newest
    closed: dict[str, Ended] = field(default_factory=dict)
    offset: int = -1
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)

    def pending(self) -> list[Granted]:
        """Return what was granted and has no end, in log order."""
        return list(self.open.values())

    def close(self, action: str, end: Ended) -> None:
        """Forget an open grant that has ended."""
        self.open.pop(action, None)
        self.started.pop(action, None)
        self.closed[action] = end
        while len(self.closed) > self.max_closed:
            del self.closed[next(iter(self.closed))]
            count(self, "closed")

    def bound(self) -> None:
        """Drop the oldest open grants over the cap, those that nothing was begun of first; a begun one can be looked up."""
        while len(self.open) > self.max_open:
            del self.open[next((action for action in self.open if action not in self.started), next(iter(self.open)))]
            count(self, "open")
        while len(self.started) > self.max_open:
            del self.started[next((action for action in self.started if action not in self.open), next(iter(self.started)))]
            count(self, "started")


_LOG: TypeAdapter[ActionLog] = TypeAdapter(ActionLog)


def snapshot(log: ActionLog) -> bytes:
    return _LOG.dump_json(log)


def restore(data: bytes | None) -> ActionLog:
    return _LOG.validate_json(data) if data else ActionLog()


def fold(log: ActionLog, event: ActionEvent, offset: int) -> bool:
    """Fold one record in place and return whether it counts: repeats, zombies' words and second ends do not."""
    if offset <= log.offset:
        return False
    log.offset = offset
    match event:
        case Epoch():
            log.epoch = offset
            return True
        case Grant():
            if event.id in log.open or event.id in log.closed:
                return False
            log.open[event.id] = Granted(event, offset)
            log.bound()
            return True
        case Started():
            return _started(log, event)
        case Refused() | Finished():
            return _ended(log, event)


def _current(log: ActionLog, epoch: int) -> bool:
    """Say whether this owner is the newest known. One above it was met before the part of the log that is read here."""
    if epoch < log.epoch:
        return False
    log.epoch = epoch
    return True


def _started(log: ActionLog, event: Started) -> bool:
    if not _current(log, event.epoch) or event.action in log.closed:
        return False
    known = log.started.get(event.action)
    if known is not None and known.id == event.id:
        return False
    log.started[event.action] = event
    log.bound()
    return True


def _ended(log: ActionLog, event: Refused | Finished) -> bool:
    if (event.epoch is not None and not _current(log, event.epoch)) or event.action in log.closed:
        return False
    if event.epoch is None and event.action in log.open:
        return False  # admit refuses instead of granting, never after
    log.close(event.action, _end(event))
    return True


def _end(event: Refused | Finished) -> Ended:
    if isinstance(event, Refused):
        return Ended(event.mode)
    done = event.mode is Mode.LIVE and event.status is FinishStatus.SUCCEEDED
    return Ended(event.mode, event.status, left_by(event.spec, event.after) if done else None)
