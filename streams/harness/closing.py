"""Stop an aiokafka consumer, whatever state its broker is in."""

from __future__ import annotations

import asyncio
from typing import Any

STOP_WITHIN_S = 5.0


async def close(consumer: Any) -> None:
    """Stop in a task of its own: with a broker that is gone, aiokafka's stop raises the cancellation of its own fetches, and may wait."""
    task = asyncio.create_task(consumer.stop())
    await asyncio.wait({task}, timeout=STOP_WITHIN_S)
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()  # seen: what fails while everything ends has no consequence
