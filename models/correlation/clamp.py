"""Keep one host's wrong clock from moving everybody's time."""

from __future__ import annotations

from schemas.signals import Alert, Anomaly, Signal, Tick

AHEAD_MS = 5_000  # of `now`: hosts' clocks differ by seconds; what is further ahead tells nothing of when it was


def no_later(signal: Signal, now: int) -> Signal:
    """Return the signal with event times from the future put to `now`, its append time in ms; the same object where there are none."""
    names: tuple[str, ...]
    match signal:
        case Tick():
            return signal  # its owner's clock, and what `now` is made of
        case Anomaly():
            names = ("opened_at", "at")
        case Alert():
            names = ("first", "last")
        case _:
            names = ("at",)
    wrong = {name: now for name in names if getattr(signal, name) > now + AHEAD_MS}
    return signal.model_copy(update=wrong) if wrong else signal
