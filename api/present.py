"""Turn a proposal and its incident into what a person reads in thirty seconds; templates only lay it out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.actions import ActionSpec
from schemas.approvals import Candidate, Hypothesis, Proposal
from schemas.incidents import Incident
from schemas.kinds import ActionName
from schemas.signals import Season, SeriesEvidence

WIDTH, HEIGHT, EDGE = 160, 36, 2  # of a sparkline, in pixels
SHOWN = 8  # series on the page; the others are in the incident
AT_THIS_TIME = {
    Season.HOUR: "is usual in these five minutes of other hours",
    Season.DAY: "is usual in this hour of other days",
    Season.WEEK: "is usual in this hour of other weeks",
}

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def utc(at: int | None) -> str:
    """Write a time in full: at three in the morning nobody adds time zones."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at is not None else "–"


def span(ms: int) -> str:
    """Write a duration in its two largest units."""
    seconds = max(0, ms) // 1000
    hours, minutes = seconds // 3600, seconds // 60
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def number(value: float | None, unit: str = "") -> str:
    """Write a reading with three figures and its unit."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit in ("seconds", "s") and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    for size, prefix in _UNITS:
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}".strip()
    return f"{value:.3g} {unit}".strip()


def percent(share: float | None) -> str:
    return f"{share * 100:.0f} %" if share is not None and math.isfinite(share) else "–"


def action(spec: ActionSpec) -> str:
    """Write an action as one sentence."""
    params = spec.params
    match spec.action:
        case ActionName.SCALE_UP | ActionName.SCALE_DOWN:
            way = "up" if spec.action is ActionName.SCALE_UP else "down"
            return f"scale {spec.service} {way} to {params.get('workers', '?')} workers"
        case ActionName.TOGGLE_FEATURE_FLAG:
            return f"turn flag {params.get('flag', '?')} of {spec.service} {'on' if params.get('enabled') else 'off'}"
        case ActionName.ROLLBACK:
            return f"roll {spec.service} back to {params.get('to', 'the previous release')}"
        case ActionName.CLEAR_CACHE:
            return f"clear the cache of {spec.service}"
        case ActionName.NONE:
            return "do nothing"
        case _:
            return f"{spec.action.value} {spec.service}"


@dataclass(frozen=True, slots=True)
class Spark:
    """A small picture of a series: coordinates only, so nothing of the outside gets into the markup."""

    line: str
    band_top: float
    band_height: float


@dataclass(frozen=True, slots=True)
class Reading:
    service: str
    metric: str
    before: str
    now: str
    band: str
    usual: str  # at this time of other days; empty where that is not most of it
    sigma: str
    out: bool
    silent: bool
    spark: Spark | None


def spark(evidence: SeriesEvidence) -> Spark | None:
    """Draw the points over the band of ordinary values; None with fewer than two."""
    points = [(at, value) for at, value in evidence.points if math.isfinite(value)]
    if len(points) < 2:
        return None
    values = [value for _, value in points] + [edge for edge in (evidence.low, evidence.high) if math.isfinite(edge)]
    low, high = min(values), max(values)
    first, last = points[0][0], points[-1][0]

    def x(at: int) -> float:
        return EDGE + (at - first) / max(1, last - first) * (WIDTH - 2 * EDGE)

    def y(value: float) -> float:
        return round(HEIGHT - EDGE - (min(max(value, low), high) - low) / ((high - low) or 1.0) * (HEIGHT - 2 * EDGE), 1)

    top = y(evidence.high) if math.isfinite(evidence.high) else float(EDGE)
    bottom = y(evidence.low) if math.isfinite(evidence.low) else float(HEIGHT - EDGE)
    return Spark(" ".join(f"{x(at):.1f},{y(value)}" for at, value in points), top, round(max(1.0, bottom - top), 1))


def usual(evidence: SeriesEvidence) -> str:
    """Say that most of it is usual at this time: what comes every night is seen at a glance."""
    if (found := evidence.usual) is None:
        return ""
    return f"{number(found.value, evidence.unit)} {AT_THIS_TIME[found.season]}"


def reading(evidence: SeriesEvidence, *, out: bool, silent: bool = False) -> Reading:
    return Reading(
        service=evidence.service + (f" ({evidence.instance})" if evidence.instance else ""),
        metric=evidence.metric,
        before=number(evidence.baseline, evidence.unit),
        now="silent" if silent else number(evidence.value, evidence.unit),
        band=f"{number(evidence.low, evidence.unit)} to {number(evidence.high, evidence.unit)}",
        usual=usual(evidence),
        sigma=f"{evidence.z:+.1f}" if math.isfinite(evidence.z) else "–",
        out=out,
        silent=silent,
        spark=spark(evidence),
    )


def readings(incident: Incident | None, series: Sequence[str] = ()) -> list[Reading]:
    """Return the evidence: the series named first, then the other suspects, the farthest out first."""
    if incident is None:
        return []
    order = {name: rank for rank, name in enumerate(series)}
    suspects = sorted(
        incident.suspects,
        key=lambda suspect: (order.get(suspect.evidence.series, len(order)), not suspect.open, -abs(suspect.evidence.z)),
    )
    shown = [reading(suspect.evidence, out=suspect.open, silent=suspect.reason.value == "silence") for suspect in suspects]
    known = {suspect.evidence.series for suspect in suspects}
    shown += [reading(one, out=False) for one in incident.health if one.series in order and one.series not in known]
    return shown[:SHOWN]


def guilty(proposal: Proposal) -> Hypothesis | None:
    """Return the hypothesis acted on; the first one where AIRRA abstains."""
    if proposal.chosen is not None:
        return next((one for one in proposal.hypotheses if one.rank == proposal.chosen.hypothesis), None)
    return proposal.hypotheses[0] if proposal.hypotheses else None


def parts(hypothesis: Hypothesis) -> list[tuple[str, str]]:
    """Return the terms of a confidence, signed, in the formula's order."""
    found = hypothesis.parts
    return [(name, f"{getattr(found, name):+.2f}") for name in ("base", "evidence", "anomaly", "topology", "pattern")]


def alternatives(proposal: Proposal) -> list[Candidate]:
    """Return every candidate but the chosen one, in their order; "do nothing" is among them."""
    return [one for one in proposal.candidates if proposal.chosen is None or one.spec != proposal.chosen.spec]
