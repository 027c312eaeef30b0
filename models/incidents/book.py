"""The book of incidents: a bounded fold of airra.incidents.v1 that the API, execute and the sink share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from models.evicted import ByTable, count
from schemas.actions import Finished, Refused, Started
from schemas.base import Position
from schemas.incidents import Feedback, Incident, IncidentEvent, IncidentPhase

FEEDBACK_KEPT = 100  # words of operators on one incident
ACTIONS_KEPT = 100  # started, refused and finished records of one incident

Event = TypeVar("Event", Feedback, Started | Refused | Finished)


@dataclass
class Page:
    """What is known of one incident."""

    incident: Incident  # newest
    appended_at: int  # ms, broker time of the newest record
    first_appended_at: int  # ms, broker time of the first
    source: Position  # of the newest
    evidence_at: int = 0  # ms, broker time of the newest record that signals made: correlate tells again without any, too
    feedback: list[Feedback] = field(default_factory=list)
    actions: list[Started | Refused | Finished] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.incident.phase is not IncidentPhase.RESOLVED


@dataclass
class IncidentBook:
    """Newest page an incident; above `capacity` the page that was quiet longest goes, resolved ones first.

    `evicted` counts the pages that went, and the words and actions dropped from pages.
    """

    capacity: int = 2000
    pages: dict[str, Page] = field(default_factory=dict)
    evicted: int = 0
    by_table: ByTable = field(default_factory=dict, compare=False)

    def apply(self, event: IncidentEvent, source: Position, appended_at: int) -> bool:
        """Fold one event; `appended_at` in ms. Return whether it was news: repeats and older versions are not."""
        if isinstance(event, Incident):
            return self._incident(event, source, appended_at)
        page = self.pages.get(event.incident) if isinstance(event, Feedback | Started | Refused | Finished) else None
        if page is None:
            return False
        if isinstance(event, Feedback):
            return self._add("feedback", page.feedback, event, FEEDBACK_KEPT)
        return isinstance(event, Started | Refused | Finished) and self._add("actions", page.actions, event, ACTIONS_KEPT)

    def get(self, incident: str) -> Page | None:
        return self.pages.get(incident)

    def latest(self, incident: str) -> Incident | None:
        """Return the newest version of an incident."""
        page = self.pages.get(incident)
        return page.incident if page else None

    def open(self) -> tuple[Incident, ...]:
        """Return the open incidents, the newest first."""
        return tuple(incident for incident in self.all() if incident.phase is not IncidentPhase.RESOLVED)

    def all(self) -> tuple[Incident, ...]:
        """Return every incident kept, the newest first."""
        incidents = (page.incident for page in self.pages.values())
        return tuple(sorted(incidents, key=lambda incident: (-incident.opened_at, incident.incident)))

    def feedback(self, incident: str) -> tuple[Feedback, ...]:
        """Return what operators said of an incident, in log order."""
        page = self.pages.get(incident)
        return tuple(page.feedback) if page else ()

    def _incident(self, event: Incident, source: Position, appended_at: int) -> bool:
        page = self.pages.get(event.incident)
        if page is None:
            self.pages[event.incident] = Page(event, appended_at, appended_at, source, evidence_at=appended_at)
            self._bound()
            return True
        if event.version <= page.incident.version or not page.is_open:
            return False
        page.incident, page.appended_at, page.source = event, appended_at, source
        if event.sources:
            page.evidence_at = appended_at
        return True

    def _bound(self) -> None:
        while len(self.pages) > self.capacity:
            oldest = min(self.pages.items(), key=lambda item: (item[1].is_open, item[1].appended_at, item[0]))[0]
            del self.pages[oldest]
            count(self, "pages")

    def _add(self, name: str, events: list[Event], event: Event, cap: int) -> bool:
        """Append an event once, dropping the oldest above the cap, counted."""
        if any(known.id == event.id for known in events):
            return False
        events.append(event)
        count(self, name, len(events) - cap)
        del events[:-cap]
        return True
