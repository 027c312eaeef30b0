"""What an effector has on its way to its log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.base import Position
from streams.harness.stage import Append, Output


class Outbox:
    """Appends; who waits for an append may be cut off, and the producer goes on trying all the same."""

    def __init__(self, appender: Append) -> None:
        self._appender = appender
        self._sending: set[asyncio.Task[Sequence[Position]]] = set()

    async def append(self, outputs: Sequence[Output]) -> Sequence[Position]:
        sending = asyncio.create_task(self._send(outputs))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)
        return await asyncio.shield(sending)

    async def settled(self) -> None:
        """Return when everything has come to the log, or never will."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, outputs: Sequence[Output]) -> Sequence[Position]:
        return await self._appender(outputs)

    def _sent(self, sending: asyncio.Task[Sequence[Position]]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # told to who waits, if anybody still does
