"""Faust's recovery of tables, corrected: its end is heard by whoever asks later, and it does not wait for what is gone."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.recovery import Recovery

RENEW_S = 3.0  # that a recovery with more to read may get nothing


class End(asyncio.Event):
    """The end of a recovery, said until the next one begins.

    Faust clears it as soon as it has set it, for whoever waits at that moment. A recovery with next to nothing to read may be over before
    the task that started it has begun to wait: it then waits for ever, with nothing behind and no partition opened.
    """

    def __init__(self, recovery: Recovery) -> None:
        super().__init__()
        self._recovery = recovery

    def clear(self) -> None:
        if self._recovery.in_recovery:
            super().clear()


class PromptRecovery(Recovery):
    """A recovery whose end stays said; see `End`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_recovery_end = End(self)

    def _set_recovery_started(self) -> None:
        super()._set_recovery_started()
        self.signal_recovery_end.clear()


class Renewal:
    """Watches how far a recovery is.

    It would wait for ever for what was fetched for it and is gone. Where it is only slow, to seek to where the client reads anyway
    changes nothing.
    """

    def __init__(self) -> None:
        self._reached: dict[Any, int] = {}
        self._since = 0.0

    def due(self, recovery: Recovery, now: float) -> dict[Any, int]:
        """Return by changelog where to read on, if there is more to read and nothing came for long; `now` is in seconds."""
        left = recovery.active_remaining() if recovery.in_recovery else {}
        reached = {tp: max(0, recovery.active_offsets[tp] or 0) for tp, more in left.items() if more > 0}
        if reached != self._reached or not reached:
            self._reached, self._since = reached, now
            return {}
        if now - self._since < RENEW_S:
            return {}
        self._since = now
        return reached
