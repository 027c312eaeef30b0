"""What the page can do, in a terminal: incidents and approvals, through the API."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from api.client import ApiClient, ApiError
from cli import runfile
from cli.config import ConfigError
from cli.output import JsonTo, err, rows, say, show, write_json
from cli.settings import read_settings
from schemas.http import IncidentStatus, ProposalView
from schemas.kinds import Mode

incident = typer.Typer(no_args_is_help=True, help="Incidents: what is or was wrong.")
approvals = typer.Typer(no_args_is_help=True, help="Proposals: look, approve, reject.")


@contextmanager
def client() -> Iterator[ApiClient]:
    """Reach the API with the operator's token; what it refuses is one line and exit 1."""
    settings = read_settings()
    url = settings.api_url
    if not url:
        running = runfile.read(settings.data_dir, "api")
        if running is None:
            raise ConfigError("no API runs on this machine: start it with airra api, or set AIRRA_API_URL")
        url = f"http://127.0.0.1:{running['api_port']}"
    try:
        with ApiClient(url, settings.token.get_secret_value()) as opened:
            yield opened
    except ApiError as error:
        by = error.problem.decided_by
        say(f"airra: {error}" + (f" (decided by {by})" if by else ""), err)
        raise typer.Exit(1) from error


@incident.command("ls")
def incident_ls(
    status: Annotated[IncidentStatus | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(help="The newest this many.")] = 50,
    json_to: JsonTo = None,
) -> None:
    """List incidents, newest first.

    Example:  airra incident ls --status pending_approval
    """
    with client() as api:
        found = [item.model_dump(mode="json") for item in api.incidents(status, limit).items]
    for item in found:
        item["opened"] = clock(item["opened_at"])
    rows(json_to, "incidents", ["id", "status", "severity", "opened", "title"], found)


@incident.command("show")
def incident_show(number: Annotated[str, typer.Argument(metavar="ID")], json_to: JsonTo = None) -> None:
    """Show one incident: its evidence, proposals, actions and outcome.

    Example:  airra incident show inc-…
    """
    with client() as api:
        detail = api.incident(number)
    if json_to is not None:
        write_json(json_to, detail.model_dump(mode="json"))
    if json_to == "-":
        return
    say(f"{detail.summary.title}  [{detail.summary.severity}, {detail.summary.status}]")
    evidence = [
        {
            "service": suspect.evidence.service,
            "metric": suspect.evidence.metric,
            "now": f"{suspect.evidence.value:.4g}",
            "ordinary": f"{suspect.evidence.low:.4g} to {suspect.evidence.high:.4g}",
            "sigma": f"{suspect.evidence.z:+.1f}",
            "since": clock(suspect.opened_at),
            "open": "yes" if suspect.open else "back",
        }
        for suspect in detail.incident.suspects
    ]
    rows(None, "evidence", ["service", "metric", "now", "ordinary", "sigma", "since", "open"], evidence)
    for view in detail.proposals:
        _tell(view)


@approvals.command("ls")
def approvals_ls(json_to: JsonTo = None) -> None:
    """List what waits for a person, the next to expire first.

    Example:  airra approvals ls
    """
    with client() as api:
        items = api.pending().items
    listed = []
    for view in items:
        chosen = view.proposal.chosen
        doing = f"{chosen.spec.action} {chosen.spec.service}" if chosen else "none"
        confidence = f"{view.proposal.confidence:.2f}" if view.proposal.confidence is not None else ""
        left = max(0, view.proposal.expires_at // 1000 - int(time.time()))
        listed.append(
            {"id": view.proposal.id, "action": doing, "confidence": confidence, "seconds left": left, "title": view.proposal.title}
        )
    rows(json_to, "waiting for a person", ["id", "action", "confidence", "seconds left", "title"], listed)


@approvals.command("show")
def approvals_show(number: Annotated[str, typer.Argument(metavar="ID")], json_to: JsonTo = None) -> None:
    """Show one proposal: causes, alternatives, risk, digests.

    Example:  airra approvals show prp-…
    """
    with client() as api:
        view = api.proposal(number)
    if json_to is not None:
        write_json(json_to, view.model_dump(mode="json"))
    if json_to != "-":
        _tell(view)


@approvals.command("approve")
def approvals_approve(
    number: Annotated[str, typer.Argument(metavar="ID")],
    live: Annotated[bool, typer.Option("--live", help="Approve the live digest; without it the dry run.")] = False,
    by: Annotated[str, typer.Option("--as", help="The subject of your token.")] = "",
    json_to: JsonTo = None,
) -> None:
    """Approve a proposal; the loser of a race is told who won, and exits 1.

    Example:  AIRRA_TOKEN=… airra approvals approve prp-… --live --as alice
    """
    with client() as api:
        reply = api.approve(number, by or getpass.getuser(), Mode.LIVE if live else Mode.DRY_RUN)
    decided = reply.decision
    show(json_to, reply.model_dump(mode="json"), [f"{decided.outcome} by {decided.subject} ({decided.mode}); action {reply.action}"])


@approvals.command("reject")
def approvals_reject(
    number: Annotated[str, typer.Argument(metavar="ID")],
    reason: Annotated[str, typer.Option(help="Why: it is kept, and what AIRRA learns from.")],
    json_to: JsonTo = None,
) -> None:
    """Reject a proposal with a reason.

    Example:  airra approvals reject prp-… --reason "the deploy is being rolled back by hand"
    """
    with client() as api:
        reply = api.reject(number, reason)
    show(json_to, reply.model_dump(mode="json"), [f"{reply.decision.outcome} by {reply.decision.subject}"])


def clock(millis: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(millis / 1000))


def _tell(view: ProposalView) -> None:
    proposal = view.proposal
    say(f"\n{proposal.id}  {view.status}  {proposal.title}")
    causes = [
        {"rank": h.rank, "service": h.service, "cause": h.cause, "confidence": f"{h.confidence:.2f}", "why": "; ".join(h.reasons)}
        for h in proposal.hypotheses
    ]
    rows(None, "causes", ["rank", "service", "cause", "confidence", "why"], causes)
    choices = [
        {
            "action": f"{c.spec.action} {c.spec.service} {c.spec.params or ''}",
            "chosen": "yes" if proposal.chosen is not None and c.spec == proposal.chosen.spec else "",
            "risk": f"{c.risk:.2f}",
            "blast radius": c.blast_level,
            "effect": c.expected_effect,
            "undo": c.undo.action if c.undo else "none",
        }
        for c in proposal.candidates
    ]
    rows(None, "candidates", ["action", "chosen", "risk", "blast radius", "effect", "undo"], choices)
    if view.decision is not None:
        say(f"{view.decision.outcome} by {view.decision.subject} at {clock(view.decision.at)} UTC")
    for action in view.actions:
        verdict = action.outcome.verdict if action.outcome else "not yet verified"
        say(f"{action.id}  {action.spec.action} ({action.mode}): {action.status}, {verdict} {action.detail}")
