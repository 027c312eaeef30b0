"""Decide: append a person's command, wait until the log has been folded up to it, and say what the fold made of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from prometheus_client import Counter

from api.ask import digest_of, promised_action, resolve
from api.deps import Dependencies, View
from api.errors import Refusal, already_decided, not_found
from models.approvals import CommandFate, CommandVerdict, verdict_on
from schemas import topics
from schemas.approvals import Command, CommandVerb, Decision, Proposal
from schemas.base import Position, derive_id
from schemas.http import DecisionReply
from schemas.kinds import Mode
from streams.harness.emit import emit
from streams.harness.errors import Fatal, Retryable
from streams.harness.stage import Output

log = structlog.get_logger()

DECISIONS = Counter("airra_api_decisions_total", "what came of approve and reject calls", ["verb", "result"])


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says about a proposal (or about the action that it would become)."""

    target: str
    verb: CommandVerb
    subject: str
    mode: Mode = Mode.DRY_RUN
    digest: str | None = None
    reason: str = ""
    request: str = ""  # the same request again is the same command


async def decide(deps: Dependencies, word: Word) -> DecisionReply:
    """Return the decision that this word has made; refuse with who and when where another was first."""
    try:
        reply = await _decide(deps, word)
    except Refusal as refusal:
        DECISIONS.labels(word.verb.value, refusal.problem.error).inc()
        log.info("word_refused", verb=word.verb.value, target=word.target, subject=word.subject, error=refusal.problem.error)
        raise
    DECISIONS.labels(word.verb.value, reply.decision.outcome.value).inc()
    log.info(
        "decided", verb=word.verb.value, proposal=reply.decision.proposal, incident=reply.decision.incident, subject=reply.decision.subject
    )
    return reply


async def find(deps: Dependencies, identifier: str) -> tuple[Proposal, Mode | None]:
    """Find a proposal; one that is newer than this view is waited for."""
    found = resolve(deps.model, identifier)
    if found is None:
        await reach(deps.approvals, deps.wait_s)
        found = resolve(deps.model, identifier)
    if found is None:
        raise not_found("proposal or action", identifier)
    return found


async def _decide(deps: Dependencies, word: Word) -> DecisionReply:
    proposal, mode = await find(deps, word.target)
    if word.verb is CommandVerb.APPROVE and mode not in (None, word.mode):
        raise Refusal(409, "changed", f"that action is the {mode} of the proposal", f"approve {proposal.id}, or name that mode")
    digest = (word.digest or digest_of(proposal, word.mode)) if word.verb is CommandVerb.APPROVE else None
    command = Command(
        id=derive_id("cmd", proposal.id, word.subject, word.verb.value, word.mode.value, word.request),
        proposal=proposal.id,
        verb=word.verb,
        mode=word.mode,
        digest=digest,
        subject=word.subject,
        reason=word.reason,
        at=deps.clock(),
    )
    verdict = verdict_on(deps.model.approvals, command.id)
    if verdict is None:
        _refuse_what_is_known(deps, proposal, command)
        await _record(deps, command)
        verdict = verdict_on(deps.model.approvals, command.id)
    return _told(deps, proposal, command, verdict)


def _refuse_what_is_known(deps: Dependencies, proposal: Proposal, command: Command) -> None:
    """Spare the log a command that cannot count; the fold would say the same."""
    if decision := deps.model.decisions.get(proposal.id):
        raise already_decided(decision, _newer(deps, proposal))
    if proposal.chosen is None or proposal.digests is None:
        raise _nothing_to_decide(proposal)
    if deps.model.approvals.newest > proposal.expires_at:  # the log's time: this host's clock may be wrong
        raise Refusal(
            410, "expired", "the proposal has expired", "a newer one follows while the incident lasts", newer=_newer(deps, proposal)
        )
    if command.verb is CommandVerb.APPROVE and command.digest != digest_of(proposal, command.mode):
        raise _wrong_digest(command.mode)


async def _record(deps: Dependencies, command: Command) -> Position:
    look = f"GET /api/v1/incidents/{{id}} shows the decision; sending this again with the same Idempotency-Key is safe ({command.id})"
    return await record(deps, deps.approvals, emit(topics.APPROVALS, command.proposal, command), command.id, look)


async def record(deps: Dependencies, view: View, output: Output, name: str, look: str) -> Position:
    """Append one record, acknowledged, and wait until it has been folded here; both bounded."""
    try:
        async with asyncio.timeout(deps.wait_s):
            where = await deps.said.say(name, output)
    except (Retryable, Fatal, TimeoutError) as error:
        log.warning("append_unacknowledged", topic=output.topic, record=name, error=str(error))
        raise Refusal(
            503, "not_acknowledged", "Kafka has not acknowledged it: it may or may not stand on the log", look, command=name
        ) from error
    try:
        await view.wait_for(where.partition, where.offset, deps.wait_s)
    except (Retryable, Fatal, TimeoutError) as error:
        log.warning("fold_behind", topic=output.topic, record=name, error=str(error))
        raise Refusal(
            503, "recorded_not_read", f"it is recorded at {where}, and this API has not read so far yet", look, command=name
        ) from error
    return where


async def reach(view: View, timeout_s: float) -> None:
    """Read a log to its present end, or refuse."""
    try:
        await view.barrier(timeout_s)
    except (Retryable, Fatal, TimeoutError) as error:
        raise Refusal(
            503, "log_unreadable", "the log cannot be read to its end now", "try again; /health/ready says what is wrong"
        ) from error


def _told(deps: Dependencies, proposal: Proposal, command: Command, verdict: CommandVerdict | None) -> DecisionReply:
    fate = verdict.fate if verdict else None
    decision = deps.model.decisions.get(proposal.id)
    match fate:
        case CommandFate.WON if decision is not None:
            return _reply(deps, proposal, decision)
        case CommandFate.LOST | CommandFate.EXPIRED | CommandFate.SUPERSEDED | CommandFate.WITHDRAWN | CommandFate.FORBIDDEN if (
            decision is not None
        ):
            raise already_decided(decision, _newer(deps, proposal))
        case CommandFate.WRONG_DIGEST:
            raise _wrong_digest(command.mode)
        case CommandFate.NO_ACTION:
            raise _nothing_to_decide(proposal)
        case CommandFate.NOT_A_PERSON:
            raise Refusal(403, "not_a_person", f"{command.subject} is what AIRRA itself decides under", "use a token of a person's name")
        case CommandFate.UNKNOWN_PROPOSAL:
            raise Refusal(410, "forgotten", "the proposal is too old to be decided", "decide on the incident's newest proposal")
        case _:
            raise Refusal(503, "unknown", "it is recorded, and its effect is not known here", "look at the incident", command=command.id)


def _reply(deps: Dependencies, proposal: Proposal, decision: Decision) -> DecisionReply:
    action = promised_action(deps.model, proposal)
    return DecisionReply(decision=decision, action=action.id if action else None)


def _newer(deps: Dependencies, proposal: Proposal) -> str | None:
    newest = (deps.model.of_incident.get(proposal.incident) or [proposal.id])[-1]
    return newest if newest != proposal.id else None


def _wrong_digest(mode: Mode) -> Refusal:
    return Refusal(
        409, "changed", f"the digest is not that of this proposal's {mode.value}", "read the proposal again and approve what it says now"
    )


def _nothing_to_decide(proposal: Proposal) -> Refusal:
    return Refusal(
        409,
        "nothing_to_decide",
        f"AIRRA abstains here ({proposal.reason.value}): no action is proposed",
        "look at the incident and act by hand",
    )
