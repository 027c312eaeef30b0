"""execute: grants in; write-ahead, act once, result out. Only what is approved, armed and still true is ever done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from agents.execute.executors.base import Answer, Executor, Status, Unreachable
from agents.execute.records import finished_of, refused_of, started_of
from agents.execute.sides import Sides, Views, counted
from models.execution import log as actions_log
from models.execution.check import PASSING, Checked, Sight, TargetView, check, seen_by
from models.execution.log import ActionLog
from schemas import topics
from schemas.actions import ACTION_EVENTS, Epoch, FinishStatus, Grant, RefusalReason, Seen, Started
from schemas.base import Millis, derive_id
from schemas.config.policy import Acting
from schemas.kinds import Mode
from streams.harness.emit import emit, parse
from streams.harness.errors import Fatal, Retryable
from streams.harness.stage import Append, Intent, Record

RESULTS = Counter("airra_execute_results_total", "grants ended", ["mode", "result"])
WAITS = Counter("airra_execute_waits_total", "attempts put off", ["reason"])

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Who and where this executor is, and what it may."""

    owner: str  # of this run: two runs never share it
    cluster: str  # the Kafka cluster's id: an arming counts on its own cluster alone
    dry_run_mode: bool
    call_timeout_s: float  # of one call to the target


class Execute:
    """The one effector that touches targets. `clock` is the host's, in milliseconds; `elapsed` goes on evenly, however that is set."""

    name = "execute"
    topic = topics.ACTIONS.name
    concurrency = 4
    armed_start = True

    def __init__(
        self,
        sides: Sides,
        views: Views,
        executors: Mapping[Mode, Executor | None],
        standing: Standing,
        clock: Callable[[], Millis],
        elapsed: Callable[[], Millis],
    ) -> None:
        self._sides = sides
        self._views = views
        self._executors = executors
        self._standing = standing
        self._clock = clock
        self._elapsed = elapsed
        self._bounds: Acting = sides.policy.acting
        self._log = ActionLog()  # what the harness has folded; the truth before acting is the view's
        self._epoch: int | None = None
        # By action, as `elapsed` tells: the first attempt in this run, what patience is counted from, and its newest call of the target.
        self._since: dict[str, Millis] = {}
        self._called: dict[str, Millis] = {}

    def fold(self, record: Record) -> None:
        with counted("intents", self._log):
            actions_log.fold(self._log, parse(ACTION_EVENTS, record), record.offset)

    def pending(self) -> Sequence[Intent]:
        return [Intent(granted.grant.id, granted.offset, granted.grant) for granted in self._log.pending()]

    async def begin(self, append: Append) -> None:
        """Take the log over: the offset of this record is the fencing token of everything done from here."""
        await self._views.open()
        now = self._clock()
        epoch = Epoch(id=derive_id("epo", self._standing.owner, now), owner=self._standing.owner, at=now)
        (position,) = await append([emit(topics.ACTIONS, epoch.id, epoch)])
        self._epoch = position.offset
        self._since.clear()
        self._called.clear()
        log.info("execute_began", epoch=self._epoch, owner=self._standing.owner)

    async def end(self) -> None:
        await self._views.close()

    async def perform(self, intent: Intent, append: Append) -> None:
        grant = intent.value
        if not isinstance(grant, Grant) or self._epoch is None:
            raise Fatal("execute was handed what is no grant, or before it began")
        task = _Task(grant, self._epoch, append, self._since.setdefault(grant.id, self._elapsed()))
        try:
            await self._perform(task)
        except Retryable as error:
            WAITS.labels(type(error).__name__).inc()
            raise
        self._since.pop(grant.id, None)
        self._called.pop(grant.id, None)

    async def _perform(self, task: _Task) -> None:
        try:
            ends = await self._views.barrier(self._bounds.barrier_s)
        except Retryable as error:
            await self._unreadable(task, str(error))
            return
        self._own(task)
        actions = self._sides.actions
        if (end := actions.closed.get(task.grant.id)) is not None:
            self._log.close(task.grant.id, end)
            return
        executor = self._executors.get(task.grant.mode)
        started = actions.started.get(task.grant.id)
        if started is not None and not await self._looked_up(task, started, executor):
            return
        await self._act(task, started, executor, ends)

    async def _looked_up(self, task: _Task, started: Started, executor: Executor | None) -> bool:
        """Ask the target what became of a begun action; say whether it was definitely not done, and may be sent again."""
        answer = await _asked(executor, task)
        if answer.status is Status.NOT_DONE:
            return True
        if answer.status is Status.IN_PROGRESS or answer.status is Status.FENCED:
            if self._elapsed() - task.since < self._bounds.look_up_s * 1000:
                raise Retryable(f"{task.grant.id} was begun and is looked up: {answer.detail or answer.status}")
            unknown = f"begun at {started.at}; no definite word within {self._bounds.look_up_s:g} s: {answer.detail}"
            await self._finish(task, FinishStatus.UNKNOWN, Answer(answer.status, detail=unknown), looked_up=True)
            return False
        status = FinishStatus.SUCCEEDED if answer.status is Status.DONE else FinishStatus.FAILED
        await self._finish(task, status, answer, looked_up=True)
        return False

    async def _act(self, task: _Task, started: Started | None, executor: Executor | None, ends: tuple[int, int]) -> None:
        checked = await self._check(task.grant, executor, ends)
        if checked.reason is not None or executor is None:
            await self._refuse(task, started, checked)
            return
        at, checked_at = self._clock(), self._elapsed()
        await task.append([emit(topics.ACTIONS, task.grant.id, started_of(task.grant, task.epoch, checked.seen, at))])
        log.info("started", incident=task.grant.incident, action=task.grant.id, mode=task.grant.mode, epoch=task.epoch)
        await self._views.actions.barrier(self._bounds.barrier_s)
        self._own(task)
        passed = self._elapsed() - checked_at
        if max(passed, abs(self._clock() - at)) > self._bounds.skew_s * 1000:  # stopped in between, or the clock was set
            raise Retryable(f"{task.grant.id}: too long from the check to the act")
        self._called[task.grant.id] = self._elapsed()
        answer = await executor.act(task.grant.id, task.epoch, task.grant.spec)
        if answer.status is Status.FENCED:
            await self._fenced(task)
        if answer.status not in {Status.DONE, Status.FAILED, Status.FENCED}:
            raise Retryable(f"{task.grant.id} is not done yet: {answer.status}")
        await self._finish(task, FinishStatus.SUCCEEDED if answer.status is Status.DONE else FinishStatus.FAILED, answer, looked_up=False)

    async def _fenced(self, task: _Task) -> None:
        """Stop where a newer executor fenced us out; otherwise the target has seen a higher token from elsewhere, and it failed."""
        await self._views.actions.barrier(self._bounds.barrier_s)
        self._own(task)

    def _own(self, task: _Task) -> None:
        """Stop where the log, read to its end, has a newer owner: what this one wrote since does not count."""
        if self._sides.actions.epoch > task.epoch:
            raise Fatal(f"a newer executor owns the log since offset {self._sides.actions.epoch}")

    async def _check(self, grant: Grant, executor: Executor | None, ends: tuple[int, int]) -> Checked:
        try:
            target = await _described(executor, grant)
        except Unreachable as error:
            return Checked(RefusalReason.TARGET_UNREADABLE, str(error), seen_by(grant, self._sight(None, ends), self._bounds))
        return check(grant, self._sight(target, ends), self._bounds)

    def _sight(self, target: TargetView | None, ends: tuple[int, int]) -> Sight:
        sides, standing = self._sides, self._standing
        return Sight(
            approvals=sides.approvals,
            incidents=sides.incidents,
            actions=sides.actions,
            target=target,
            cluster=standing.cluster,
            dry_run_mode=standing.dry_run_mode,
            now=self._clock(),
            approvals_end=ends[0],
            incidents_end=ends[1],
        )

    async def _unreadable(self, task: _Task, detail: str) -> None:
        """Wait for the logs; a grant that nothing was begun of is refused when patience ends, a begun one is never given up blindly."""
        begun = task.grant.id in self._log.started or task.grant.id in self._sides.actions.started
        if begun:
            raise Retryable(f"{task.grant.id} was begun, and its log cannot be read: {detail}")
        await self._refuse(task, None, Checked(RefusalReason.VIEW_UNREADABLE, detail, Seen()))

    async def _refuse(self, task: _Task, started: Started | None, checked: Checked) -> None:
        reason = checked.reason or RefusalReason.NO_EXECUTOR
        now = self._elapsed()
        if reason in PASSING and now - task.since < self._bounds.patience_s * 1000:
            raise Retryable(f"{task.grant.id} waits: {reason.value}: {checked.detail}")
        if started is not None and now - self._called.get(task.grant.id, task.since) <= self._standing.call_timeout_s * 1000:
            raise Retryable(f"{task.grant.id} is refused once no earlier call can be under way: {reason.value}")
        record = refused_of(task.grant, task.epoch, reason, checked.detail, checked.seen, self._clock())
        await task.append([emit(topics.ACTIONS, task.grant.id, record)])
        RESULTS.labels(task.grant.mode, reason).inc()
        log.warning("refused", incident=task.grant.incident, action=task.grant.id, reason=reason, detail=checked.detail)

    async def _finish(self, task: _Task, status: FinishStatus, answer: Answer, *, looked_up: bool) -> None:
        record = finished_of(task.grant, task.epoch, status, answer, self._clock(), looked_up=looked_up)
        await task.append([emit(topics.ACTIONS, task.grant.id, record)])
        RESULTS.labels(task.grant.mode, status).inc()
        log.info("finished", incident=task.grant.incident, action=task.grant.id, status=status, looked_up=looked_up)


@dataclass(frozen=True, slots=True)
class _Task:
    """One attempt at a grant."""

    grant: Grant
    epoch: int
    append: Append
    since: Millis


async def _asked(executor: Executor | None, task: _Task) -> Answer:
    """Return the target's word on a begun action; without one it counts as under way, for it may be."""
    if executor is None:
        return Answer(Status.IN_PROGRESS, detail="no executor is configured to ask: AIRRA_EXECUTOR")
    try:
        return await executor.look_up(task.grant.id, task.epoch)
    except Unreachable as error:
        return Answer(Status.IN_PROGRESS, detail=str(error))


async def _described(executor: Executor | None, grant: Grant) -> TargetView | None:
    described = await executor.describe(grant.spec.service) if executor else None
    return TargetView(described.known, described.facts) if described else None
