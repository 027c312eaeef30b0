"""What the API is built from: everything it reads, appends and trusts is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from api.read_model import ReadModel
from api.said import Said

if TYPE_CHECKING:
    from api.write import Door


class View(Protocol):
    """A log that is being folded here (streams.harness.view.LogView): what the API needs to read its own writes."""

    async def barrier(self, timeout_s: float) -> object:
        """Fold up to what is the end of the log now; Retryable or Fatal when that fails."""

    async def wait_for(self, partition: int, offset: int, timeout_s: float) -> None:
        """Return once this record has been folded; Retryable or Fatal when it is not."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    model: ReadModel
    approvals: View
    incidents: View
    actions: View
    said: Said
    tokens: Mapping[str, str]  # token → subject; none: reading only
    secret: bytes  # signs sessions; new in every process
    cluster: str  # Kafka's cluster id: arming is bound to it
    clock: Callable[[], int]  # milliseconds UTC
    new_id: Callable[[], str]  # for a request that brings no Idempotency-Key
    readiness: Callable[[], tuple[bool, dict[str, Any]]]
    allowed_hosts: tuple[str, ...] = ("*",)
    door: Door | None = None  # where remote_write comes in; None: nobody may
    wait_s: float = 5.0  # for the broker's acknowledgement, and again for the fold
