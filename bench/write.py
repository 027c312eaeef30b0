"""How many samples a second the API takes at `POST /api/v1/write`, acknowledged by Kafka, from senders that behave as Prometheus does.

A request holds `batch` samples (Prometheus' max_samples_per_send); each sender has a connection of its own and sends the next once the
one before is acknowledged. One process of the API. What was acknowledged must stand on the topic.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bench.bed import bed
from bench.figures import Figure, Goal
from bench.formats import DIFFERENT, remote_write
from bench.meter import Unmeasured
from schemas.topics import WRITE
from tests.faults.ledger import length

TOKEN = "a-source-of-the-bench"
ANSWER_S = 30.0
ACKNOWLEDGED = 204
WARM_REQUESTS = 5  # of each sender: the first compile, and open connections
GOALS = (Goal("write", 100_000, unit="samples/s"),)


@dataclass
class Plan:
    seconds: float = 20.0
    batch: int = 2000
    senders: int = 4
    say: Any = field(default=print)


def run(plan: Plan) -> Iterator[Figure]:
    """Send for so long; return what was acknowledged a second."""
    now = int(time.time() * 1000)
    bodies = [remote_write(plan.batch, now - 1000 * number) for number in range(DIFFERENT)]
    with bed() as ours, ours.roles("api", write_tokens=f"bench:{TOKEN}") as stack:
        stack.wait_ready(("api",))
        port = stack.address("api", "api_port")
        plan.say(f"{plan.senders} senders, {plan.batch:,} samples and {len(bodies[0]):,} bytes a request")
        start, over = threading.Barrier(plan.senders + 1), threading.Event()
        with ThreadPoolExecutor(plan.senders) as pool:
            found = [pool.submit(_send, port, bodies, number, start, over) for number in range(plan.senders)]
            with contextlib.suppress(threading.BrokenBarrierError):  # then a sender says below why it did not come so far
                start.wait(ANSWER_S)
            begun = time.monotonic()
            over.wait(0 if start.broken else plan.seconds)
            over.set()
            sent = sum(one.result() for one in found)
            took = time.monotonic() - begun
        there, acknowledged = length(ours.bootstrap, WRITE.name), sent + WARM_REQUESTS * plan.senders
    if there < acknowledged:
        raise Unmeasured(f"{acknowledged:,} requests were acknowledged, and {there:,} stand on {WRITE.name}")
    at = {"senders": float(plan.senders), "batch": float(plan.batch)}
    notes = f"{sent:,} requests of {len(bodies[0]):,} bytes in {took:.1f} s; all stand on {WRITE.name}"
    yield Figure("write", "write", sent * plan.batch / took, "samples/s", at=at, notes=notes)


def _send(port: int, bodies: list[bytes], number: int, start: threading.Barrier, over: threading.Event) -> int:
    """Send one request after the other; return how many were acknowledged until it is over."""
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)

    def once(place: int) -> None:
        connection.request("POST", "/api/v1/write", bodies[place % len(bodies)], headers)
        with connection.getresponse() as answer:
            said = answer.read()
            if answer.status != ACKNOWLEDGED:
                raise Unmeasured(f"the API answers {answer.status}: {said[:300].decode(errors='replace')}")

    try:
        for place in range(WARM_REQUESTS):
            once(number + place)
        start.wait(ANSWER_S)
        sent = 0
        while not over.is_set():
            once(number + sent)
            sent += 1
        return sent
    except Unmeasured:
        start.abort()
        raise
    finally:
        connection.close()
