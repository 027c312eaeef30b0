"""All safeguards of the list."""

from __future__ import annotations

from tests.faults.mutations import acting, asking, carriers, deciding, harness, keeping, planes
from tests.faults.mutations.safeguard import Safeguard

SAFEGUARDS: tuple[Safeguard, ...] = (
    *harness.SAFEGUARDS,
    *keeping.SAFEGUARDS,
    *carriers.SAFEGUARDS,
    *planes.SAFEGUARDS,
    *deciding.SAFEGUARDS,
    *asking.SAFEGUARDS,
    *acting.SAFEGUARDS,
)
