"""Fold the incidents log: watch what actions do to the evidence, and say what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.verification.deadline import wait_s
from models.verification.feedback import answers, heard, overridden
from models.verification.judge import Judgement, judge, series_at
from models.verification.notices import escalated, executed, refused, undone, verified
from models.verification.state import MAX_INCIDENTS, MAX_OUTCOMES, MAX_WATCHES, Picture, Verification, Watch, cap
from schemas.actions import Finished, FinishStatus, Refused, Seen, Started
from schemas.approvals import UndoRequest
from schemas.base import Millis, Position, derive_id
from schemas.config.policy import Verification as Bounds
from schemas.incidents import Feedback, Incident, IncidentEvent
from schemas.kinds import Cause, Mode, Severity, Verdict
from schemas.outcomes import Notice, Outcome


@dataclass(slots=True)
class Taken:
    """What one record made verify say."""

    outcomes: list[Outcome] = field(default_factory=list)
    undos: list[UndoRequest] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def take(state: Verification, event: IncidentEvent, now: Millis, position: Position, bounds: Bounds) -> Taken:
    """Fold one record in place; `now` is its append time in ms. A record at or below the last offset changes nothing."""
    taken = Taken()
    if position.offset <= state.offset:
        return taken
    state.offset = position.offset
    match event:
        case Incident():
            _incident(state, event, now, position, bounds, taken)
        case Started():
            _started(state, event)
        case Finished():
            _finished(state, event, now, position, bounds, taken)
        case Refused():
            _refused(state, event, now, taken)
        case Feedback():
            taken.outcomes.extend(heard(state, event, now))
        case _:
            pass
    for watch in [watch for watch in state.watches.values() if watch.deadline is not None and now >= watch.deadline]:
        _conclude(state, watch, _judged(watch, bounds), now, taken)
    return taken


def _incident(state: Verification, event: Incident, now: Millis, position: Position, bounds: Bounds, taken: Taken) -> None:
    known = state.pictures.pop(event.incident, None)
    if known is not None and known.version >= event.version:
        state.pictures[event.incident] = known
        return
    state.pictures[event.incident] = Picture.of(event, position, None)
    cap(state, "pictures", state.pictures, MAX_INCIDENTS)
    for watch in [watch for watch in state.watches.values() if watch.started.incident == event.incident and watch.finished]:
        openers = watch.before.openers if watch.before else ()
        alike = frozenset((opener.service, opener.metric) for opener in openers)
        _after(state, watch, Picture.of(event, position, alike), now, bounds, taken)


def _after(state: Verification, watch: Watch, picture: Picture, now: Millis, bounds: Bounds, taken: Taken) -> None:
    """Take a picture as the newest of after the action; a success in it is said at once."""
    watch.after = picture
    watch.there = _there(watch)
    judgement = _judged(watch, bounds)
    if judgement.verdict is Verdict.SUCCESS:
        _conclude(state, watch, judgement, now, taken)


def _started(state: Verification, event: Started) -> None:
    """Keep the newest evidence before it. A later start of the same action means that the earlier one never reached its target.

    One that is not later is a copy that a crash of report repeated: what was seen since may be of after the action.
    """
    known = state.watches.get(event.action)
    if _over(state, event.action) or (known is not None and (known.finished is not None or not _later(event, known.started))):
        return
    state.watches[event.action] = Watch(event, state.pictures.get(event.incident))
    cap(state, "watches", state.watches, MAX_WATCHES)


def _later(event: Started, known: Started) -> bool:
    """Say whether a start is a new one: of a newer owner, or of the same owner at a later time. Then its id is another, too."""
    return (event.epoch, event.at) > (known.epoch, known.at)


def _finished(state: Verification, event: Finished, now: Millis, position: Position, bounds: Bounds, taken: Taken) -> None:
    watch = state.watches.get(event.action)
    if _over(state, event.action) or (watch is not None and watch.finished is not None):
        return
    if watch is None:  # its start is not in what is kept: what is known now is the picture before it
        watch = state.watches[event.action] = Watch(_start_of(event), state.pictures.get(event.incident))
    event = _dated(event, watch.started.at, now)
    severity = _severity(state, event.incident)
    succeeded = event.status is FinishStatus.SUCCEEDED
    watch.finished, watch.finished_source = event, position
    if event.undo_of is not None:
        taken.notices.append(undone(event, severity, now))
        if not succeeded:
            taken.notices.append(escalated(event, severity, now, f"the undo ended {event.status.value}"))
        _end(state, event.action)
        return
    taken.notices.append(executed(event, severity, now))
    if not succeeded:
        _conclude(state, watch, Judgement(Verdict.INCONCLUSIVE, ()), now, taken)
        return
    watch.deadline = now + int(wait_s(watch.before.openers if watch.before else (), bounds) * 1000)
    newest = state.pictures.get(event.incident)
    if newest is not None and newest.resolved and watch.before is not None and newest.version > watch.before.version:
        _after(state, watch, newest, now, bounds, taken)  # resolved while it ran: no later record comes


def _dated(event: Finished, started_at: Millis, now: Millis) -> Finished:
    """Take the host's word for when it finished where that lies between its start and the log's time; else its clock is wrong."""
    return event if started_at <= event.at <= now else event.model_copy(update={"at": now})


def _refused(state: Verification, event: Refused, now: Millis, taken: Taken) -> None:
    watch = state.watches.get(event.action)
    if _over(state, event.action) or (watch is not None and watch.finished is not None):
        return
    severity = _severity(state, event.incident)
    taken.notices.append(refused(event, severity, now))
    if event.undo_of is not None:
        taken.notices.append(escalated(event, severity, now, f"the undo was refused: {event.reason.value}"))
    _end(state, event.action)


def _judged(watch: Watch, bounds: Bounds) -> Judgement:
    """Judge the newest record since the action, once its readings have settled.

    A resolved one is the last, and may be earlier: then the readings since the finish count, or else those since the start. What
    was read while the action ran can say that it helped, not that it did not: the rest of its effect may have been to come.
    """
    if watch.before is None or watch.after is None or watch.finished is None:
        return Judgement(Verdict.INCONCLUSIVE, ())
    openers, readings = watch.before.openers, watch.after.readings
    started_at, settled = watch.started.at, watch.finished.at + int(bounds.settle_s * 1000)
    judgement = judge(openers, readings, started_at=started_at, after_at=settled, bounds=bounds, there=watch.there)
    if judgement.verdict is not Verdict.INCONCLUSIVE or not watch.after.resolved:
        return judgement
    judgement = judge(openers, readings, started_at=started_at, after_at=watch.finished.at, bounds=bounds, there=watch.there)
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        return judgement
    ran = judge(openers, readings, started_at=started_at, after_at=started_at + 1, bounds=bounds, there=watch.there)
    return ran if ran.verdict in {Verdict.SUCCESS, Verdict.PARTIAL} else judgement


def _there(watch: Watch) -> tuple[str, ...]:
    """Return the series known before the action: records keep the newest points only, so a later one need not show it any more."""
    before = [reading.series for reading in watch.before.readings] if watch.before else []
    after = series_at(watch.after.readings, watch.started.at) if watch.after else ()
    return tuple(sorted({*watch.there, *before, *after}))


def _conclude(state: Verification, watch: Watch, judgement: Judgement, now: Millis, taken: Taken) -> None:
    if watch.started.confidence is None:
        state.unasked[watch.started.action] = None
        cap(state, "unasked", state.unasked, MAX_OUTCOMES)
    outcome = _outcome(state, watch, judgement, now)
    _end(state, outcome.action, over=False)
    state.outcomes[outcome.action] = outcome
    cap(state, "outcomes", state.outcomes, MAX_OUTCOMES)
    taken.outcomes.append(outcome)
    severity = _severity(state, outcome.incident)
    taken.notices.append(verified(outcome, severity, now))
    if outcome.mode is Mode.DRY_RUN or outcome.verdict is Verdict.SUCCESS or watch.finished is None:
        return
    if outcome.verdict is Verdict.WORSE and watch.started.undo is not None:
        taken.undos.append(
            UndoRequest(
                id=derive_id("undo", outcome.action),
                action=outcome.action,
                proposal=outcome.proposal,
                incident=outcome.incident,
                reason="verification found it worse than before",
                at=now,
            )
        )
        return
    taken.notices.append(escalated(watch.finished, severity, now, f"the verdict is {outcome.verdict.value}"))


def _outcome(state: Verification, watch: Watch, judgement: Judgement, now: Millis) -> Outcome:
    started, finished = watch.started, watch.finished
    if finished is None or watch.finished_source is None:
        raise ValueError(f"{started.action} has not finished")
    correct = {Verdict.SUCCESS: 1, Verdict.NONE: 0, Verdict.WORSE: 0}.get(judgement.verdict)
    outcome = Outcome(
        id=derive_id("out", started.action),
        action=started.action,
        proposal=started.proposal,
        incident=started.incident,
        mode=started.mode,
        service=started.hypothesis_service or started.spec.service,
        cause=started.cause or Cause.OTHER,
        action_name=started.spec.action,
        verdict=judgement.verdict,
        confidence=started.confidence or 0.0,
        correct=correct if answers(state, started.action, started.mode) else None,
        metrics=judgement.metrics,
        started_at=started.at,
        finished_at=finished.at,
        at=now,
        source=watch.after.source if watch.after else watch.finished_source,
    )
    feedback = state.feedback.get(started.incident)
    return overridden(state, outcome, feedback) if feedback else outcome


def _start_of(event: Finished) -> Started:
    return Started(
        id=derive_id("sta", event.action),
        action=event.action,
        proposal=event.proposal,
        incident=event.incident,
        mode=event.mode,
        spec=event.spec,
        undo_of=event.undo_of,
        epoch=-1 if event.epoch is None else event.epoch,
        seen=Seen(),
        at=event.at,
    )


def _over(state: Verification, action: str) -> bool:
    return action in state.outcomes or action in state.over


def _end(state: Verification, action: str, *, over: bool = True) -> None:
    state.watches.pop(action, None)
    if over:
        state.over[action] = None
        cap(state, "over", state.over, MAX_OUTCOMES)


def _severity(state: Verification, incident: str) -> Severity:
    picture = state.pictures.get(incident)
    return picture.severity if picture else Severity.WARNING
