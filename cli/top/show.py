"""How `airra top` looks: the roles, their sources, and who does not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cli.output import grid, printable
from cli.top.rows import Row

ROLE_COLUMNS = (
    "role", "received/s", "fates/s", "lag", "batch p50", "state rows", "snapshot p50 / p95", "detections/min", "CPU cores", "RSS MB",
)  # fmt: skip
SOURCE_COLUMNS = ("role", "source", "received/s", "lag")
UNKNOWN = "–"
MB = 1_000_000
WHOLE_FROM = 10


def shown(found: Sequence[Row]) -> RenderableType:
    """Return all that there is to see."""
    sources = [(row.role, one.topic, _number(one.received_per_s), _number(one.lag)) for row in found for one in row.sources]
    parts: list[RenderableType] = [grid("roles", ROLE_COLUMNS, [_cells(row) for row in found])]
    if sources:
        parts.append(grid("sources", SOURCE_COLUMNS, sources))
    parts += [Text(printable(f"{row.role}: {row.trouble}")) for row in found if row.trouble]
    return Group(*parts)


def _cells(row: Row) -> Sequence[str]:
    if row.trouble:
        return (row.role, "no answer")
    return (
        row.role,
        _number(row.received_per_s),
        _each(row.fates_per_s),
        _number(row.lag),
        _number(row.batch_p50),
        _each(row.state_rows),
        UNKNOWN if row.snapshot_p50_s is None else f"{_ms(row.snapshot_p50_s)} / {_ms(row.snapshot_p95_s)} ms",
        UNKNOWN if row.detections_per_min is None else _each(row.detections_per_min) or "0",
        UNKNOWN if row.cpu_cores is None else f"{row.cpu_cores:.2f}",
        UNKNOWN if row.rss_bytes is None else _number(row.rss_bytes / MB),
    )


def _each(found: Mapping[str, float]) -> str:
    return "\n".join(f"{name} {_number(value)}" for name, value in sorted(found.items()))


def _ms(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else _number(1000 * seconds)


def _number(value: float | None) -> str:
    """Write a number with as many digits as one can take in."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= WHOLE_FROM or value == int(value) else f"{value:.1f}"
