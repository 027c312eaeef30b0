"""Faust's tables and their recovery, corrected: its end is heard by whoever asks later, and it does not wait for what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from streams.harness.fetched import Owner

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


class PromptTables(TableManager):
    """Faust's table manager sleeps a second at its start to let tables be declared late; ours are declared before.

    It hears of commits that the broker took, and tells the stage; the consumer notes those that it refused, too.
    """

    _recovery: Recovery | None

    async def on_start(self) -> None:
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    def on_commit(self, offsets: MutableMapping[Any, int]) -> None:
        super().on_commit(offsets)
        owner: Owner = self.app.transport.owner
        for tp, offset in offsets.items():
            if tp.topic == owner.source:
                owner.committed(tp.partition, offset)

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = PromptRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


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
