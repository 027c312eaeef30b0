"""Hold what a target says of itself back: whoever asked is about to act, and has not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from tests.network.recorder import Heard, Recorder

HELD_S = 60.0  # at most: longer than a call of the target may take


@contextlib.contextmanager
def holding(front: Recorder) -> Iterator[threading.Event]:
    """Hold the front's answers to GET /services/… until the end of this; the event is set once one is held."""
    reached, let_go = threading.Event(), threading.Event()

    def hold(heard: Heard) -> None:
        if heard.method == "GET" and heard.path.startswith("/services/"):
            reached.set()
            let_go.wait(HELD_S)

    front.meanwhile = hold
    try:
        yield reached
    finally:
        front.meanwhile = lambda _: None
        let_go.set()
