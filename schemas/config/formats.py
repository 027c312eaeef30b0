"""config/formats.yaml: which format the records of a topic are in, and how to read a team's own.

A topic that is not named here is recognised record by record. What begins with $ is a path into the document (paths.py says which
there are), anything else a constant. Metrics are a list even where there is one: a name, its value and its unit belong together, and a
record with several shares its labels and its time.

    topics:
      team.metrics:
        format: json
        each: $.items[*]
        metrics:
          - {name: latency_p95, value: $.p95, unit: milliseconds}
          - {name: $.metric, value: $.value}
        timestamp: $.ts
        labels: {service: $.svc, region: eu, pod: $.meta.pod, host: $$.host}
      other.metrics: {format: influx}
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from schemas.base import Strict
from schemas.config.paths import is_path, parse_each, parse_place
from schemas.settings import TOPIC

NAME = "__name__"


class Encoding(StrEnum):
    """How the documents of a mapping stand in their records."""

    JSON = "json"
    CONFLUENT = "confluent"  # Avro, Protobuf or JSON behind the id of its schema in a registry


class TimestampUnit(StrEnum):
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"
    RFC3339 = "rfc3339"


def _checked(parse: Callable[[str], object]) -> Callable[[str], str]:
    def check(text: str) -> str:
        parse(text)
        return text

    return check


def _place_or_constant(text: str) -> str:
    if is_path(text):
        parse_place(text)
    return text


Each = Annotated[str, AfterValidator(_checked(parse_each))]
Place = Annotated[str, AfterValidator(_checked(parse_place))]
PlaceOrConstant = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_place_or_constant)]


class MappedMetric(Strict):
    name: PlaceOrConstant
    value: Place
    unit: PlaceOrConstant | None = None


class Mapping(Strict):
    """A team's own documents: where the samples stand in a record, and what of each is name, value, time and label."""

    format: Encoding
    each: Each | None = None  # None: the record is one sample
    metrics: tuple[MappedMetric, ...] = Field(min_length=1, max_length=100)
    timestamp: Place | None = None  # None: the time of the Kafka record counts
    timestamp_unit: TimestampUnit | None = None  # None: a text is RFC 3339, a number is told by its magnitude
    labels: dict[Annotated[str, Field(min_length=1, max_length=512)], PlaceOrConstant] = Field(default_factory=dict, max_length=100)

    @field_validator("labels")
    @classmethod
    def _nameless(cls, labels: dict[str, str]) -> dict[str, str]:
        if NAME in labels:
            raise ValueError(f"{NAME} is the metric's name: write it into `metrics`")
        return labels

    @model_validator(mode="after")
    def _timed(self) -> Mapping:
        if self.timestamp_unit is not None and self.timestamp is None:
            raise ValueError("timestamp_unit without timestamp: say where the time stands, or leave both out")
        return self


class Named(Strict):
    """A format that needs no mapping, by its name; which there are, the composition root knows."""

    format: str = Field(min_length=1, max_length=64)


def _kind(value: Any) -> str:
    told = value.get("format") if isinstance(value, dict) else getattr(value, "format", None)
    return "mapping" if told in list(Encoding) else "format"


TopicFormat = Annotated[Annotated[Mapping, Tag("mapping")] | Annotated[Named, Tag("format")], Discriminator(_kind)]


class FormatsMapping(Strict):
    topics: dict[str, TopicFormat] = Field(default_factory=dict)

    @field_validator("topics")
    @classmethod
    def _topics(cls, topics: dict[str, TopicFormat]) -> dict[str, TopicFormat]:
        for name in topics:
            if not TOPIC.fullmatch(name):
                raise ValueError(f"{name[:64]!r} is no name of a Kafka topic: letters, digits, '.', '_' and '-', at most 249")
        return topics
