"""Which formats a record is looked at for goes by its first byte: no look may be kinder than what a candidate says of that."""

from __future__ import annotations

import pytest

from streams.normalise.formats.catalogue import CANDIDATES
from streams.normalise.formats.choice import ANY, Candidate
from tests.golden.messages import BYTES, MESSAGES, messages

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
