"""Faust's recovery of tables, corrected: its end is heard by whoever asks later."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.recovery import Recovery


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
