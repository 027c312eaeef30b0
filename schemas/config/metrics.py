"""config/metrics.yaml: what a metric name means, and which labels name the service and the instance.

Names and labels are compared with dots read as underscores, so that `http.server.request.duration` and
`http_server_request_duration` are one name. The first rule that matches wins.
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from schemas.base import Strict
from schemas.kinds import Direction, Kind, MetricType

HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")

SERVICE_LABELS = ("service", "service_name", "app", "app_kubernetes_io_name", "job")
INSTANCE_LABELS = ("instance", "service_instance_id", "pod")


class MetricRule(Strict):
    """One name or glob (`*`, `?`, `[…]`); of a histogram the base name, without _bucket, _count and _sum."""

    match: str = Field(min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)  # label → regular expression that its whole value must match
    kind: Kind
    type: MetricType = MetricType.GAUGE
    unit: str = ""
    direction: Direction = Direction.NONE
    service_labels: tuple[str, ...] | None = None  # for this rule instead of the file's, where `job` names the scraper

    @field_validator("match")
    @classmethod
    def _underscored(cls, value: str) -> str:
        return value.replace(".", "_")

    @field_validator("labels")
    @classmethod
    def _compilable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, pattern in value.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"label {name}: {pattern!r} is not a regular expression: {error}") from error
        return {name.replace(".", "_"): pattern for name, pattern in value.items()}

    @field_validator("kind")
    @classmethod
    def _of_producers(cls, value: Kind) -> Kind:
        if value is Kind.COMBINED:
            raise ValueError("detect makes the kind combined itself, of all the others: no producer sends it")
        return value

    @model_validator(mode="after")
    def _base_name(self) -> MetricRule:
        if self.type is MetricType.HISTOGRAM and self.match.endswith(HISTOGRAM_PARTS):
            raise ValueError(f"{self.match}: a histogram is named without {', '.join(HISTOGRAM_PARTS)}")
        return self


class MetricsMapping(Strict):
    service_labels: tuple[str, ...] = Field(SERVICE_LABELS, min_length=1)  # the first that is there and not empty
    instance_labels: tuple[str, ...] = INSTANCE_LABELS
    metrics: tuple[MetricRule, ...] = Field(min_length=1)
