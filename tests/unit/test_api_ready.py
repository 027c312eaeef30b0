"""The API is ready once it listens and has read what there is, and not before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from api import server as module
from api.server import ApiServer
from streams.harness.readiness import Readiness
from tests.unit.harness_parts import NOWHERE, turns


async def test_it_is_not_ready_before_it_listens_though_all_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.0)
    readiness, stop = Readiness(), asyncio.Event()
    served = ApiServer(NOWHERE, host="127.0.0.1", port=0, tokens={}, secret=b"x", readiness=readiness, clock=lambda: 0)
    readiness.set(module.LISTENING, False, "does not listen yet")
    uvicorn: Any = SimpleNamespace(started=False)
    views: Any = {"log": SimpleNamespace(ready=True)}
    serving: Any = asyncio.get_running_loop().create_future()
    watching = asyncio.create_task(served._watch(views, uvicorn, serving, stop))
    try:
        await turns()
        assert readiness.report() == (False, {"api": "does not listen yet", "log": "ready"})
        uvicorn.started = True
        await turns()
        assert readiness.report()[0]
    finally:
        stop.set()
        await watching
        served._socket.close()
