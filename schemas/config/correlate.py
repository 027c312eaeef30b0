"""config/correlate.yaml: what opens an incident, what joins it, and when it is over."""

from __future__ import annotations

from pydantic import Field, field_validator

from schemas.base import Strict
from schemas.kinds import Kind

CONTEXT_ONLY = frozenset({Kind.REQUESTS, Kind.CPU})  # load rises every day: a departure there explains, it never opens


class CorrelateConfig(Strict):
    """Durations in seconds; `quiet_s` leaves verification the readings after an action; a reading older than `stale_s` is no evidence."""

    opens: tuple[Kind, ...] = (
        Kind.MEMORY, Kind.ERRORS, Kind.LATENCY, Kind.POOL, Kind.CACHE, Kind.UP, Kind.RESTARTS, Kind.SATURATION, Kind.COMBINED,
    )  # fmt: skip
    silence_opens: bool = True  # a series of an opening kind that fell silent
    alerts_open: bool = False  # true: a firing critical alert opens an incident by itself; false: alerts are evidence
    max_hops: int = Field(3, ge=0, le=10)  # calls between two services whose anomalies belong together
    open_hold_s: float = Field(1.0, ge=0, le=60)  # an anomaly shorter than this opens nothing
    opener_window_s: float = Field(10.0, ge=0)  # event time after opening in which a suspect still counts as an opener
    flush_s: float = Field(10.0, ge=0.001)  # an `updated` record at least this often; it is counted in whole milliseconds
    quiet_s: float = Field(30.0, ge=30)  # all suspects closed for this long: resolved
    stale_s: float = Field(300.0, gt=0)  # a suspect not mentioned in so much event time of others' readings counts as closed
    alert_expiry_s: float = Field(16_200.0, gt=0)  # a firing alert not repeated for this long counts as over, though nobody resolved it
    changes_window_s: float = Field(1800.0, gt=0)  # event time in which a change may be to blame
    whole_graph_limit: int = Field(60, ge=1)  # components up to this many services are shown whole
    max_incidents: int = Field(100, ge=1)
    max_suspects: int = Field(100, ge=1)  # of one incident
    max_readings: int = Field(240, ge=1)  # health readings in one record
    max_points: int = Field(40, ge=1)  # of one reading
    max_services: int = Field(500, ge=1)  # with health readings
    max_tracked: int = Field(5000, ge=10)  # waiting anomalies, alerts and changes, each

    @field_validator("opens")
    @classmethod
    def _never_context(cls, opens: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if wrong := sorted(CONTEXT_ONLY & set(opens)):
            raise ValueError(f"{', '.join(wrong)} cannot open an incident: load is context, not harm")
        return opens
