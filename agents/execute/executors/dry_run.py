"""The executor of dry runs: it looks at the target and says what would change, and touches nothing."""

from __future__ import annotations

from agents.execute.executors.base import Answer, Description, Executor, Status
from models.execution.params import predict
from schemas.actions import ActionSpec


class DryRunExecutor:
    """Describes through the live executor where there is one."""

    def __init__(self, live: Executor | None) -> None:
        self._live = live

    async def describe(self, service: str) -> Description | None:
        return await self._live.describe(service) if self._live else None

    async def act(self, action: str, token: int, spec: ActionSpec) -> Answer:
        del action, token
        described = await self.describe(spec.service)
        before = described.facts if described else {}
        return Answer(Status.DONE, before, predict(before, spec), "dry run: nothing was touched; `after` is what is expected")

    async def look_up(self, action: str, token: int) -> Answer:
        """Say that nothing was done: a dry run may be repeated at will."""
        del action, token
        return Answer(Status.NOT_DONE)
