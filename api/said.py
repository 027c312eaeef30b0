"""What people have said through this API: the same word, said again, is the same record."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from schemas.base import Position
from streams.harness.stage import Append, Output

KEPT = 1_000  # words that are remembered; people say few


@dataclass(slots=True)
class _Word:
    output: Output
    sending: asyncio.Task[Position]

    @property
    def lost(self) -> bool:
        """Say whether the append ended without an acknowledgement: only trying again can tell whether it stands on the log."""
        return self.sending.done() and (self.sending.cancelled() or self.sending.exception() is not None)


class Said:
    """Appends each word once while it is on its way or known to stand on the log; tried again, it goes with the bytes of the first time.

    Who asks may hang up or lose patience, and the producer goes on trying all the same: a second record beside the first would have
    the same id and say another time.
    """

    def __init__(self, append: Append, kept: int = KEPT) -> None:
        self._append = append
        self._kept = kept
        self._words: OrderedDict[str, _Word] = OrderedDict()

    async def say(self, name: str, output: Output) -> Position:
        """Return where it stands on the log; raises what the append raises."""
        word = self._words.get(name)
        if word is None or word.lost:
            first = output if word is None else word.output
            word = self._words[name] = _Word(first, asyncio.create_task(self._send(first)))
            word.sending.add_done_callback(_looked_at)
        self._words.move_to_end(name)
        self._forget()
        return await asyncio.shield(word.sending)

    async def _send(self, output: Output) -> Position:
        return (await self._append([output]))[0]

    def _forget(self) -> None:
        """Drop the oldest words beyond those that are kept; one that is on its way is never dropped."""
        for name in list(self._words)[: max(0, len(self._words) - self._kept)]:
            if self._words[name].sending.done():
                del self._words[name]


def _looked_at(sending: asyncio.Task[Position]) -> None:
    """Whoever waits is told of a failure; where nobody waits any more, it is nobody's."""
    if not sending.cancelled():
        sending.exception()
