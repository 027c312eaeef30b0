"""The roles: which stages, effectors and consumers one process runs. The composition roots of the system."""

from __future__ import annotations

from cli.wiring import api, control, dedup, detect, normalise, sink

BUILDERS = {"normalise": normalise, "detect": detect, "dedup": dedup, "control": control, "sink": sink, "api": api}
ROLES = tuple(BUILDERS)
