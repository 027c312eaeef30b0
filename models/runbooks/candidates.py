"""Which actions of the runbooks apply to an incident: sized, with what they need and what takes them back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from models.ranking.causes import latest_change
from models.ranking.local import served_cost_ratio
from models.ranking.rank import Ranking
from models.runbooks.risk import blast_level, blast_radius, risk, urgency
from schemas.actions import ActionSpec, Preconditions
from schemas.approvals import Candidate, Hypothesis
from schemas.base import canonical
from schemas.config.runbooks import Cure, RunbookCatalogue
from schemas.incidents import Incident
from schemas.kinds import ActionName, ChangeType, Criticality
from schemas.signals import Change, ServiceNode

MAX_CANDIDATES = 8
REVERSIBLE = frozenset({ActionName.SCALE_UP, ActionName.SCALE_DOWN, ActionName.TOGGLE_FEATURE_FLAG})
ROUNDING = 0.1  # of a multiple that noise may add
FALSE = frozenset({"false", "off", "0", "no", "disabled"})


def candidates(incident: Incident, ranking: Ranking, catalogue: RunbookCatalogue) -> tuple[Candidate, ...]:
    """Return the applicable actions, best first: the top hypothesis's cures by risk, then the others', then doing nothing."""
    runbooks = {runbook.cause: runbook for runbook in catalogue.runbooks}
    found: list[Candidate] = []
    for hypothesis in ranking.hypotheses:
        runbook = runbooks.get(hypothesis.cause)
        for cure in runbook.cures if runbook else ():
            found.extend(_candidate(incident, ranking, hypothesis, cure, catalogue))
    found.sort(key=lambda c: (c.hypothesis, c.risk, c.spec.action, canonical(c.spec)))
    once: dict[bytes, Candidate] = {}
    for candidate in found:
        once.setdefault(canonical(candidate.spec), candidate)
    return (*list(once.values())[: MAX_CANDIDATES - 1], _nothing(incident, ranking, catalogue))


def criticality_of(incident: Incident, service: str) -> Criticality:
    node = node_of(incident, service)
    return node.criticality if node else Criticality.MEDIUM


def node_of(incident: Incident, service: str) -> ServiceNode | None:
    return next((node for node in incident.nodes if node.name == service), None)


def _candidate(
    incident: Incident, ranking: Ranking, hypothesis: Hypothesis, cure: Cure, catalogue: RunbookCatalogue
) -> Iterator[Candidate]:
    """Yield the cure as an action on the hypothesis's service, or nothing where it does not apply."""
    sized = _sized(incident, ranking, hypothesis, cure, catalogue)
    if sized is None:
        return
    spec, undo = sized.spec, sized.undo if cure.action in REVERSIBLE else None
    criticality = criticality_of(incident, spec.service)
    radius = blast_radius(ranking.graph, ranking.readings, [spec.service], criticality)
    yield Candidate(
        spec=spec,
        hypothesis=hypothesis.rank,
        cures=hypothesis.rank == 1,
        risk=risk(spec.action, criticality, catalogue),
        blast_radius=radius,
        blast_level=blast_level(radius),
        urgency=urgency(radius, incident.severity),
        expected_effect=cure.expected_effect,
        reversible=undo is not None,
        undo=undo,
        preconditions=sized.preconditions,
    )


@dataclass(frozen=True, slots=True)
class _Sized:
    """An action with its parameters, what the target must be for it, and what takes it back."""

    spec: ActionSpec
    preconditions: Preconditions
    undo: ActionSpec | None = None


def _sized(incident: Incident, ranking: Ranking, hypothesis: Hypothesis, cure: Cure, catalogue: RunbookCatalogue) -> _Sized | None:
    """Give an action its parameters, preconditions and undo; None where what it needs is not there."""
    service = hypothesis.service
    node = node_of(incident, service)
    workers = node.workers if node else None
    as_it_is = Preconditions(workers=node.workers, release=node.release) if node else Preconditions()
    match cure.action:
        case ActionName.SCALE_UP | ActionName.SCALE_DOWN:
            if workers is None or workers < 1:
                return None  # an absolute number of workers needs to know how many there are
            wanted = _scaled_up(ranking, service, workers, catalogue) if cure.action is ActionName.SCALE_UP else max(1, workers // 2)
            if wanted == workers:
                return None
            back = _scale(cure.undo, service, workers) if cure.undo else None
            return _Sized(_scale(cure.action, service, wanted), as_it_is, back)
        case ActionName.ROLLBACK:
            return _rollback(incident, hypothesis, as_it_is)
        case ActionName.TOGGLE_FEATURE_FLAG:
            return _toggled(incident, hypothesis, cure, as_it_is)
        case _:
            return _Sized(ActionSpec(action=cure.action, service=service), as_it_is)


def _rollback(incident: Incident, hypothesis: Hypothesis, as_it_is: Preconditions) -> _Sized | None:
    """Return to the release before the blamed deploy, as long as what that deploy brought is what runs."""
    deploy = _blamed(incident, hypothesis, ChangeType.DEPLOY)
    if deploy is None or not deploy.before or deploy.before == deploy.after:
        return None
    runs = deploy.after or as_it_is.release
    if runs is None or as_it_is.release not in {None, runs}:
        return None  # nobody knows what runs there, or it is no longer what that deploy brought
    spec = ActionSpec(action=ActionName.ROLLBACK, service=hypothesis.service, params={"to": deploy.before})
    return _Sized(spec, as_it_is.model_copy(update={"release": runs}))


def _toggled(incident: Incident, hypothesis: Hypothesis, cure: Cure, as_it_is: Preconditions) -> _Sized | None:
    """Turn the blamed flag back, as long as it is as that change left it."""
    flag = _blamed(incident, hypothesis, ChangeType.FLAG)
    service = hypothesis.service
    if flag is None or not flag.name or not flag.after:
        return None
    if any((c.service, c.name) == (service, flag.name) and c.at > flag.at for c in incident.changes):
        return None  # somebody has moved that flag since
    enabled = flag.after.strip().lower() not in FALSE
    back = _toggle(service, flag.name, enabled) if cure.undo is cure.action else None
    return _Sized(_toggle(service, flag.name, not enabled), as_it_is.model_copy(update={"flags": {flag.name: enabled}}), back)


def _blamed(incident: Incident, hypothesis: Hypothesis, kind: ChangeType) -> Change | None:
    """Return the change that the hypothesis blames, or the newest one of its service where it blames none."""
    blamed = [change for change in incident.changes if change.id in hypothesis.changes and change.change is kind]
    return blamed[0] if blamed else latest_change(incident, hypothesis.service, kind)


def _scaled_up(ranking: Ranking, service: str, workers: int, catalogue: RunbookCatalogue) -> int:
    """Return workers times max(2, load, CPU a served request), against the service's own baseline, rounded up to whole multiples.

    Whole multiples, for a size that changes with every reading would be a new proposal each time.
    """
    found = ranking.locals.get(service)
    factor = max(2.0, found.request_ratio if found else 1.0, served_cost_ratio(ranking.readings, service))
    return workers * min(catalogue.scale_cap, math.ceil(factor - ROUNDING))


def _scale(action: ActionName, service: str, workers: int) -> ActionSpec:
    return ActionSpec(action=action, service=service, params={"workers": workers})


def _toggle(service: str, flag: str, enabled: bool) -> ActionSpec:
    return ActionSpec(action=ActionName.TOGGLE_FEATURE_FLAG, service=service, params={"flag": flag, "enabled": enabled})


def _nothing(incident: Incident, ranking: Ranking, catalogue: RunbookCatalogue) -> Candidate:
    """Return doing nothing: no risk of its own, and the harm reaches as far as the incident does."""
    service = ranking.hypotheses[0].service if ranking.hypotheses else next(iter(incident.services), "")
    criticality = max((criticality_of(incident, name) for name in incident.services), key=list(Criticality).index, default=Criticality.LOW)
    radius = blast_radius(ranking.graph, ranking.readings, incident.services, criticality)
    return Candidate(
        spec=ActionSpec(action=ActionName.NONE, service=service),
        hypothesis=0,
        cures=False,
        risk=risk(ActionName.NONE, criticality, catalogue),
        blast_radius=radius,
        blast_level=blast_level(radius),
        urgency=urgency(radius, incident.severity),
        expected_effect="the incident goes on as it is, or ends by itself",
        reversible=True,
    )
