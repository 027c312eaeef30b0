"""Who decides in a demo: everybody's yes, or the person at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console

from cli.output import err, say
from schemas.approvals import Proposal
from schemas.kinds import Mode

if TYPE_CHECKING:
    from cli.demo.run import Approver, Run


def approve_all(run: Run, proposal: Proposal) -> Mode | None:
    del run, proposal
    return Mode.LIVE


def leave_it(run: Run, proposal: Proposal) -> None:
    """Decide nothing: there is no terminal to ask in, and no fault that a cure is expected for."""
    del run, proposal


def asking(console: Console) -> Approver:
    """Return an approver that asks on this console: standard output may be somebody's JSON."""

    def ask(run: Run, proposal: Proposal) -> Mode | None:
        assert run.stack is not None  # noqa: S101 - asked within a run
        chosen = proposal.chosen
        assert chosen is not None  # noqa: S101 - only proposals with an action are pending
        for line in _question(proposal):
            say(line, console)
        say(f"  page: http://127.0.0.1:{run.stack.address('api', 'api_port')}/ (token: {run.stack.operator_token})", console)
        question = f"  {chosen.spec.action} {chosen.spec.service}? [y]es, live / [d]ry run / [p]age decides"
        answer = typer.prompt(question, default="p", err=console is err)
        return {"y": Mode.LIVE, "d": Mode.DRY_RUN}.get(answer[:1].lower())

    return ask


def _question(proposal: Proposal) -> list[str]:
    chosen = proposal.chosen
    assert chosen is not None  # noqa: S101 - only proposals with an action are pending
    lines = [f"\n  {proposal.title}"]
    for hypothesis in proposal.hypotheses[:3]:
        why = "; ".join(hypothesis.reasons[:2])
        lines.append(f"  {hypothesis.rank}. {hypothesis.service}: {hypothesis.cause} ({hypothesis.confidence:.2f}) – {why}")
    reversible = "reversible" if chosen.reversible else "not reversible"
    return [*lines, f"  risk {chosen.risk:.2f}, blast radius {chosen.blast_level}, {reversible}"]
