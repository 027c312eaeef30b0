"""Which formats a record is looked at for goes by its first byte: no look may be kinder than what a candidate says of that."""

from __future__ import annotations

import random

import pytest

from streams.normalise.formats.catalogue import CANDIDATES
from streams.normalise.formats.choice import ANY, Candidate
from streams.normalise.formats.looks import is_plain_remote_write, remote_write, remote_write_2
from tests.golden.messages import BYTES, MESSAGES, messages
from tests.unit.prometheus_messages import V2, pack, request, request_2, series

BODIES = [
    value[:2_000]
    for folder in sorted(BYTES.iterdir())
    for path in sorted(folder.glob(f"*{MESSAGES}"))
    for value in [one.value for one in messages(folder.name, path.name.removesuffix(MESSAGES))][:3]
]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda one: one.format.name)
def test_nothing_that_begins_otherwise_looks_like_it(candidate: Candidate) -> None:
    assert len(BODIES) > 20
    kinder = {
        first
        for first in ANY
        if first not in candidate.begins
        for body in BODIES
        for value in (bytes([first]) + body, bytes([first]) + body[1:], bytes([first]))
        if candidate.may_be(value)
    }
    assert kinder == set()


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda one: one.format.name)
def test_nothing_at_all_looks_like_no_format(candidate: Candidate) -> None:
    assert not candidate.may_be(b"")


def test_packed_remote_write_is_known_though_its_bytes_are_a_message_as_they_stand() -> None:
    """The length that snappy begins with may be a tag, and its literal's head what the tag brings; of such bodies one in thirty is."""
    chance = random.Random(5)
    for _ in range(300):
        names = [f"10.0.{chance.randrange(9)}.{chance.randrange(255)}:9100" for _ in range(chance.randrange(3, 80))]
        labels = [{"__name__": "up", "instance": name, "job": "node-exporter"} for name in names]
        first = request(*(series(one, (1_795_489_200_000, chance.random())) for one in labels))
        symbols = ["", "__name__", "up", "instance", *dict.fromkeys(names)]
        second = request_2(symbols, *(V2["TimeSeries"](labels_refs=[1, 2, 3, symbols.index(name)]) for name in names))
        for body, version in ((first, 1), (second, 2)):
            for value in (body, pack(body)):
                assert (remote_write(value), remote_write_2(value)) == (version == 1, version == 2), value[:40]
                assert is_plain_remote_write(value) == (value is body), value[:40]
