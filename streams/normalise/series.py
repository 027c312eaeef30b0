"""From a label set to what it means: the first rule of the mapping that names it, its service, its histogram."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import NamedTuple

from schemas.config.metrics import HISTOGRAM_PARTS, MetricRule, MetricsMapping
from schemas.kinds import Direction, Kind, MetricType
from schemas.samples import LARGEST, SeriesDef, series_id
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.port import Described
from streams.normalise.numerals import parse_number

NAME = "__name__"
MAPPED_NAMES = 20_000  # distinct metric names whose rules are remembered; beyond it the oldest is forgotten and counted
LABELS_CHARS = 65_536  # of a label set: JSON makes six of a character at most, and a definition has to fit its topic
NAME_CHARS = 512  # of a metric's or a service's name: OpenTelemetry allows 255, and Prometheus adds unit and suffix


class _Hit(NamedTuple):
    rule: MetricRule
    labels: tuple[tuple[str, re.Pattern[str]], ...]
    service_labels: tuple[str, ...]
    part: str  # of a histogram: bucket, count or sum


def service_of(labels: dict[str, str], names: tuple[str, ...]) -> str:
    """Return the first of these labels that is there and not empty; Prometheus means absent by empty."""
    return next((value for name in names if (value := labels.get(name, ""))), "")


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A metric that no rule names, as the doctor is told of it: one definition a metric name."""

    definition: SeriesDef


class Resolver:
    """Resolve label sets by one mapping. Stateless but for a memo of the rules by metric name."""

    def __init__(self, mapping: MetricsMapping) -> None:
        self._service_labels = tuple(_underscored(name) for name in mapping.service_labels)
        self._instance_labels = tuple(_underscored(name) for name in mapping.instance_labels)
        self._rules = [
            (
                re.compile(translate(rule.match)),
                tuple((name, re.compile(text)) for name, text in rule.labels.items()),
                tuple(_underscored(name) for name in rule.service_labels or mapping.service_labels),
                rule,
            )
            for rule in mapping.metrics
        ]
        self._hits: dict[str, list[_Hit]] = {}
        self.forgotten = 0  # metric names evicted from the memo

    def service(self, labels: dict[str, str]) -> str:
        """Return the service that these labels name, or nothing; raise Rejected for a name that is too long."""
        return _short("service", service_of({_underscored(name): value for name, value in labels.items()}, self._service_labels))

    def resolve(self, told: Described, source: str = "") -> SeriesDef | Unmapped:
        """Return the definition of a label set with `__name__`; raise Rejected where it cannot have one. `source` is who sends it."""
        labels = told.labels
        if "" in labels.values():  # seldom; Prometheus means absent by empty, so with or without it is one series
            labels = {name: value for name, value in labels.items() if value or name == NAME}
            told = replace(told, labels=labels)
        metric = _short("metric", labels[NAME])
        if (size := sum(map(len, labels)) + sum(map(len, labels.values()))) > LABELS_CHARS:
            raise Rejected(Reason.TOO_LARGE, f"{metric}: labels of {size} characters, at most {LABELS_CHARS}")
        plain = {name.replace(".", "_"): value for name, value in labels.items()}  # a call a label is what this would cost most
        if len(plain) < len(labels):  # seldom; whatever order they come in, it is one series of one service
            plain = {_underscored(name): labels[name] for name in sorted(labels)}
        for hit in self._matching(_underscored(metric)):
            if all((value := plain.get(name)) is not None and pattern.fullmatch(value) for name, pattern in hit.labels):
                return self._define(metric, told, plain, hit, source)
        service = service_of(plain, self._service_labels)[:NAME_CHARS]
        return Unmapped(
            SeriesDef(
                id=(one := series_id({NAME: metric})),
                service=service,
                instance="",
                metric=metric,
                kind=Kind.OTHER,
                type=MetricType.GAUGE,
                unit="",
                direction=Direction.NONE,
                group=one,
                labels=labels,
                mapped=False,
                source=source,
            )
        )

    def _matching(self, name: str) -> list[_Hit]:
        found = self._hits.get(name)
        if found is None:
            if len(self._hits) >= MAPPED_NAMES:
                del self._hits[next(iter(self._hits))]
                self.forgotten += 1
            part = next((part for part in HISTOGRAM_PARTS if name.endswith(part)), "")
            found = self._hits[name] = []
            for pattern, labels, services, rule in self._rules:
                if rule.type is MetricType.HISTOGRAM:
                    if part and pattern.fullmatch(name.removesuffix(part)):
                        found.append(_Hit(rule, labels, services, part[1:]))
                elif pattern.fullmatch(name):
                    found.append(_Hit(rule, labels, services, ""))
        return found

    def _define(self, metric: str, told: Described, plain: dict[str, str], hit: _Hit, source: str) -> SeriesDef:
        rule, labels = hit.rule, told.labels
        service = _short("service", service_of(plain, hit.service_labels))
        if not service:
            raise Rejected(Reason.NO_SERVICE, f"{metric}: none of the labels {', '.join(hit.service_labels)}")
        base = metric[: len(metric) - len(hit.part) - 1] if hit.part else metric
        own = series_id(labels)
        group = own
        if hit.part:
            group = series_id({**{name: value for name, value in labels.items() if name != "le"}, NAME: base})
        return SeriesDef(
            id=own,
            service=service,
            instance=service_of(plain, self._instance_labels)[:NAME_CHARS],  # for people; the id is of the whole label set
            metric=base,
            kind=rule.kind,
            type=_type(rule.type, told.type),
            unit=rule.unit,
            direction=rule.direction,
            group=group,
            part=hit.part,
            le=_bound(labels, metric) if hit.part == "bucket" else None,
            labels=labels,
            delta=told.delta,
            source=source,
        )


def _type(mapped: MetricType, told: MetricType | None) -> MetricType:
    """Return what a series is: whether it is a level or a count, its own format knows best; what is a histogram, the mapping's rule."""
    singles = {MetricType.GAUGE, MetricType.COUNTER}
    return told if told is not None and {mapped, told} <= singles else mapped


def _short(what: str, name: str) -> str:
    if len(name) > NAME_CHARS:
        raise Rejected(Reason.TOO_LARGE, f"a {what} name of {len(name)} characters, at most {NAME_CHARS}: {name[:64]!r}")
    return name


def _underscored(name: str) -> str:
    return name.replace(".", "_")


def _bound(labels: dict[str, str], metric: str) -> float | None:
    """Return a bucket's upper bound, None for +Inf: the one infinity that is legitimate."""
    text = labels.get("le")
    if text is None:
        raise Rejected(Reason.MISSING_FIELD, f"{metric}: a bucket without le")
    try:
        bound = parse_number(text)
    except ValueError:
        raise Rejected(Reason.WRONG_TYPE, f"{metric}: le={text[:64]!r} is not a number") from None
    if bound == math.inf:
        return None
    if not abs(bound) <= LARGEST:
        raise Rejected(Reason.NOT_FINITE, f"{metric}: le={text[:64]!r} is no bound; the last bucket's is +Inf")
    return bound
