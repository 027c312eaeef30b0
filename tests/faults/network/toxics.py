"""What is done to a connection, by the name that the report uses."""

from __future__ import annotations

from tests.network.toxiproxy import Toxic

DELAY_MS, JITTER_MS = 400, 200
TRICKLE_KB_S = 1  # what a slow reader takes
CUT_HTTP_BYTES = 60  # of a request or an answer: in its head
CUT_KAFKA_BYTES = 2_500  # of a connection: past its greeting, in a request

LATENCY, REQUESTS_LOST, ANSWERS_LOST = "latency", "requests lost", "answers lost"
CUT_REQUEST, CUT_ANSWER, SLOW = "cut in mid-request", "cut in mid-answer", "slow reader"
KILLED = "killed before the answer"  # what the broker took is acknowledged to nobody

ANSWER_LATE_MS = 2_000  # longer than it takes to see a record on its log and to kill whoever wrote it
LATE_ANSWERS = (Toxic("latency", "downstream", (("latency", ANSWER_LATE_MS),)),)


def toxics(cut_bytes: int) -> dict[str, tuple[Toxic, ...]]:
    """Return every kind of harm; a connection is cut after so many bytes."""
    delay = (("latency", DELAY_MS), ("jitter", JITTER_MS))
    return {
        LATENCY: (Toxic("latency", "upstream", delay), Toxic("latency", "downstream", delay)),
        REQUESTS_LOST: (Toxic("timeout", "upstream", (("timeout", 0),)),),
        ANSWERS_LOST: (Toxic("timeout", "downstream", (("timeout", 0),)),),
        CUT_REQUEST: (Toxic("limit_data", "upstream", (("bytes", cut_bytes),)),),
        CUT_ANSWER: (Toxic("limit_data", "downstream", (("bytes", cut_bytes),)),),
        SLOW: (Toxic("bandwidth", "upstream", (("rate", TRICKLE_KB_S),)), Toxic("bandwidth", "downstream", (("rate", TRICKLE_KB_S),))),
    }


HTTP = toxics(CUT_HTTP_BYTES)
KAFKA = toxics(CUT_KAFKA_BYTES)
