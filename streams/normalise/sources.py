"""Which raw topics the settings name, in which format, and which of them the broker has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from streams.harness.errors import Unfit

Form = Literal["metrics", "alerts", "changes"]


class Sources:
    def __init__(self, metrics: Sequence[str], alerts: Sequence[str], changes: Sequence[str]) -> None:
        named: list[tuple[Form, str]] = [
            *(("metrics", topic) for topic in metrics),
            *(("alerts", topic) for topic in alerts),
            *(("changes", topic) for topic in changes),
        ]
        self._forms: dict[str, Form] = {}
        for form, topic in named:
            if self._forms.setdefault(topic, form) != form:
                raise Unfit(f"topic {topic} is named in both AIRRA_{self._forms[topic].upper()}_TOPICS and AIRRA_{form.upper()}_TOPICS")
        if not self._forms:
            raise Unfit("no raw topic is named: set AIRRA_METRICS_TOPICS, AIRRA_ALERTS_TOPICS or AIRRA_CHANGES_TOPICS")
        self.present: list[str] = []
        self.missing: list[str] = sorted(self._forms)
        self._seen = False

    def form(self, topic: str) -> Form:
        return self._forms[topic]

    def see(self, there: set[str]) -> bool:
        """Compare with the topics of the broker; return whether something changed since the last time."""
        before, first = self.present, not self._seen
        self._seen = True
        self.present = sorted(topic for topic in self._forms if topic in there)
        self.missing = sorted(topic for topic in self._forms if topic not in there)
        return first or self.present != before

    @property
    def hint(self) -> str:
        settings = sorted({f"AIRRA_{self._forms[topic].upper()}_TOPICS" for topic in self.missing})
        return f"create it (`airra topics create`) or correct {', '.join(settings)}; the other topics are read meanwhile"

    def reason(self, broker: str) -> str:
        """Say what is missing, or nothing."""
        return f"Kafka at {broker} has no raw topic {', '.join(self.missing)}: {self.hint}" if self.missing else ""
