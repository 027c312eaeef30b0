"""The topology file that the owner of the services writes: who there is, and who calls whom."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from schemas.base import Strict
from schemas.kinds import Criticality


class ServiceEntry(Strict):
    name: str = Field(min_length=1)
    criticality: Criticality = Criticality.MEDIUM
    workers: int | None = Field(None, ge=0)
    release: str | None = None


class CallEntry(Strict):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    caller: str = Field(alias="from")
    callee: str = Field(alias="to")


class TopologyFile(Strict):
    services: tuple[ServiceEntry, ...] = ()
    calls: tuple[CallEntry, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> TopologyFile:
        names = [service.name for service in self.services]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"services named twice: {', '.join(twice)}")
        if unknown := sorted({end for call in self.calls for end in (call.caller, call.callee)} - set(names)):
            raise ValueError(f"calls name services that are not listed: {', '.join(unknown)}")
        return self
