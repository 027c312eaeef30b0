"""The vocabularies: metric kinds, causes, actions, severities, reasons."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a metric says about a service."""

    REQUESTS = "requests"
    ERRORS = "errors"
    LATENCY = "latency"
    CPU = "cpu"
    MEMORY = "memory"
    POOL = "pool"
    CACHE = "cache"
    UP = "up"
    RESTARTS = "restarts"
    SATURATION = "saturation"
    OTHER = "other"
    COMBINED = "combined"  # of detect itself: all of a service's kinds together


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Direction(StrEnum):
    """Which departure is bad."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"
    NONE = "none"  # context only: a departure is recorded but never bad by itself


class Cause(StrEnum):
    """Hypothesis categories; the first nine with their base confidence come from heritage."""

    MEMORY_LEAK = "memory_leak"
    CPU_SPIKE = "cpu_spike"
    TRAFFIC_SPIKE = "traffic_spike"
    LATENCY = "latency"
    ERROR = "error"
    DATABASE = "database"
    NETWORK = "network"
    DEPLOYMENT = "deployment"
    CACHE = "cache"
    CRASH_LOOP = "crash_loop"
    OTHER = "other"


class ActionName(StrEnum):
    SCALE_UP = "scale_up"
    CLEAR_CACHE = "clear_cache"
    TOGGLE_FEATURE_FLAG = "toggle_feature_flag"
    SCALE_DOWN = "scale_down"
    RESTART = "restart"
    ROLLBACK = "rollback"
    DRAIN = "drain"
    NONE = "none"  # do nothing: always among the alternatives


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Criticality(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Mode(StrEnum):
    DRY_RUN = "dry_run"
    LIVE = "live"


class ChangeType(StrEnum):
    DEPLOY = "deploy"
    FLAG = "flag"
    SCALE = "scale"
    RESTART = "restart"
    CACHE = "cache"
    CONFIG = "config"


class Verdict(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    NONE = "none"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
