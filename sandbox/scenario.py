"""A scenario file: the services, the load, and the faults that can be done to them. Every field has a default."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sandbox.kinds import KINDS, ActionName, KindName

NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9_./:@-]{0,61}[A-Za-z0-9])?$"
METRIC_PATTERN = r"^[A-Za-z_:][A-Za-z0-9_:]*$"
LABEL_PATTERN = r"^_?[A-Za-z][A-Za-z0-9_]*$"

Role = Literal["requests", "errors", "latency", "cpu", "memory", "pool", "cache"]
LabelRole = Literal["service", "instance"]


def _as_text(value: Any) -> Any:
    """Take what YAML reads as a number or a day, such as release: 2.4, for the text that it was meant as."""
    return str(value) if isinstance(value, int | float | dt.date) and not isinstance(value, bool) else value


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError(f"{value!r} holds what cannot be printed, or begins or ends with a space")
    return value


MAX_WORKERS = 64
Text = Annotated[str, BeforeValidator(_as_text), AfterValidator(_printable), Field(max_length=100)]
Name = Annotated[str, BeforeValidator(_as_text), Field(pattern=NAME_PATTERN)]
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN)]
LabelName = Annotated[str, Field(pattern=LABEL_PATTERN)]

METRIC_NAMES: dict[Role, str] = {
    "requests": "http_requests_total",
    "errors": "http_errors_total",
    "latency": "http_request_duration_seconds",
    "cpu": "process_cpu_seconds_total",
    "memory": "process_resident_memory_bytes",
    "pool": "db_pool_in_use_ratio",
    "cache": "cache_hit_ratio",
}
LABEL_NAMES: dict[LabelRole, str] = {"service": "service", "instance": "instance"}
DEFAULT_FLAG = "live_reads"  # of a service with a database, if its owner named none that is off


def _said(part: dict[Any, Any]) -> dict[Any, Any]:
    """Return what a mapping really says: an empty value says nothing, one level down either (params: {factor: })."""
    return {
        name: {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value
        for name, value in part.items()
        if value is not None
    }


class Strict(BaseModel):
    """A part of the file. A field with nothing after its colon is as good as absent, and so is a part of which nothing is said."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        if data is None:
            return {}
        return _said(data) if isinstance(data, dict) else data


class Load(Strict):
    """What the users do: an open loop of requests to the entry, in a rhythm, with noise."""

    rps: float = Field(40, ge=0.5, le=400)
    rhythm_s: float = Field(120, gt=0)
    amplitude: float = Field(0.3, ge=0, le=0.8)
    noise: float = Field(0.1, ge=0, le=0.5)


class Call(Strict):
    to: Name
    per_request: float = Field(1.0, ge=0, le=10)  # 1.4: one call, and a second one in four of ten requests
    timeout_ms: float = Field(2000, ge=10)


class Database(Strict):
    pool: int = Field(8, ge=1, le=64)
    query_ms: float = Field(5, ge=0)


class Cache(Strict):
    hit_ratio: float = Field(0.9, ge=0, le=1)
    miss_ms: float | None = Field(None, ge=0)  # waiting for what a miss costs beside the query; without a database 20


class Service(Strict):
    name: Name
    entry: bool = False
    workers: int = Field(2, ge=1, le=MAX_WORKERS)
    worker_cpu: float | None = Field(None, gt=0, le=0.5)  # cores a worker may use; None: the scenario's
    calls: list[Call] = []
    work_ms: float = Field(3, ge=0)
    criticality: Literal["low", "medium", "high", "critical"] = "medium"
    release: Annotated[Text, Field(min_length=1)] = "1.0.0"
    flags: dict[Name, bool] = {}
    database: Database | None = None
    cache: Cache | None = None
    metric_names: dict[Role, MetricName] = {}
    labels: dict[LabelRole, LabelName] = {}


class Expected(Strict):
    """What whoever watches should conclude; the sandbox never reads it."""

    root_cause: Text | None = None
    action: ActionName | None = None


class Fault(Strict):
    name: Text = ""  # empty: the kind
    kind: KindName = "memory_leak"
    service: Text = ""  # empty: the entry for load, otherwise the first service that has what the kind needs
    after_s: float = Field(60, ge=0)
    params: dict[str, float] = {}
    expected: Expected = Expected()

    @property
    def label(self) -> str:
        return self.name or self.kind

    def param(self, name: str) -> float:
        return self.params.get(name, KINDS[self.kind].params[name].default)

    @model_validator(mode="after")
    def _params_of_kind(self) -> Fault:
        known = KINDS[self.kind].params
        for name, value in self.params.items():
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise ValueError(f"params.{name}: {self.kind} has no such parameter; {has}")
            if not known[name].low <= value <= known[name].high:
                raise ValueError(f"params.{name}: {value:g} is outside {known[name].low:g} to {known[name].high:g}")
        return self


DEFAULT_SERVICES = [
    Service(name="gateway", entry=True, calls=[Call(to="api")], criticality="high"),
    Service(name="api", calls=[Call(to="store")]),
    Service(name="store", database=Database(), cache=Cache()),
]


class Scenario(Strict):
    name: Text = "scenario"
    load: Load = Load()
    worker_cpu: float = Field(0.03, gt=0, le=0.5)
    services: list[Service] = Field(DEFAULT_SERVICES, min_length=1, max_length=40)
    faults: list[Fault] = []
    metric_names: dict[Role, MetricName] = {}
    labels: dict[LabelRole, LabelName] = {}

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Give a service without a name one by its place."""
        if not isinstance(data, dict) or not isinstance(data.get("services"), list):
            return data
        services = [_said(service) if isinstance(service, dict) else service or {} for service in data["services"]]
        taken = {service.get("name") for service in services if isinstance(service, dict)}
        for i, service in enumerate(services):
            if isinstance(service, dict) and "name" not in service:
                name = next(name for n in itertools.count(i + 1) if (name := f"service-{n}") not in taken)
                taken.add(name)
                services[i] = {"name": name, **service}
        return {**data, "services": services}

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def entries(self) -> list[str]:
        """Return where users come in: the services that say so, else those that nobody calls."""
        called = {call.to for service in self.services for call in service.calls}
        marked = [service.name for service in self.services if service.entry]
        return marked or [service.name for service in self.services if service.name not in called]

    def metric_name(self, service: Service, role: Role) -> str:
        return service.metric_names.get(role) or self.metric_names.get(role) or METRIC_NAMES[role]

    def label_name(self, service: Service, role: LabelRole) -> str:
        return service.labels.get(role) or self.labels.get(role) or LABEL_NAMES[role]

    def flags(self, service: Service) -> dict[str, bool]:
        missing = service.database is not None and all(service.flags.values())
        return {**service.flags, **({DEFAULT_FLAG: False} if missing else {})}

    def fault(self, label: str) -> Fault:
        """Raise KeyError for a name that the file does not have."""
        for fault in self.faults:
            if fault.label == label:
                return fault
        raise KeyError(label)

    def guilty(self, fault: Fault) -> str:
        """Return the service that a fault happens to."""
        if fault.service:
            return fault.service
        kind = KINDS[fault.kind]
        if kind.at_entry:
            return self.entries()[0]
        able = [service.name for service in self.services if not kind.needs or getattr(service, kind.needs) is not None]
        inner = [name for name in able if name not in self.entries()]
        return (inner or able or [""])[0]
