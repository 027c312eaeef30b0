"""What the sandbox tells a service process: how it is built, and in which condition it is."""

from __future__ import annotations

import msgspec


class CallSpec(msgspec.Struct, frozen=True):
    to: str
    host: str
    port: int
    per_request: float
    timeout_s: float


class DatabaseSpec(msgspec.Struct, frozen=True):
    path: str
    pool: int
    query_s: float


class CacheSpec(msgspec.Struct, frozen=True):
    hit_ratio: float
    miss_s: float


class Condition(msgspec.Struct, frozen=True):
    """What the present release, flags and users make a service do; a restart does not change it."""

    error_ratio: float = 0.0  # of requests that the release fails
    add_s: float = 0.0  # waiting that the release adds
    cpu_factor: float = 1.0  # CPU of a request, times this
    slow_hold_s: float = 0.0  # for which a request keeps a connection, for the slow queries that a flag turns on
    slow_connections: int = 0  # so many at a time
    crash_every_s: float = 0.0  # 0: never


class ServiceSpec(msgspec.Struct, frozen=True):
    name: str
    host: str
    port: int
    seed: str
    parent: int
    workers: int
    worker_cpu: float
    cpu_s: float
    work_s: float
    calls: tuple[CallSpec, ...]
    metric_names: dict[str, str]
    labels: dict[str, str]
    condition: Condition
    database: DatabaseSpec | None = None
    cache: CacheSpec | None = None


class Stream(msgspec.Struct, frozen=True):
    """One kind of request that the load generator sends: where, how often, to which page."""

    host: str
    port: int
    path: str
    rps: float
    swing: float = 1.0  # share of the rhythm's amplitude that it follows


class LoadSpec(msgspec.Struct, frozen=True):
    seed: str
    parent: int
    rhythm_s: float
    amplitude: float
    noise: float
    streams: tuple[Stream, ...]
