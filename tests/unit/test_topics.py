"""The catalogue against a broker: how many replicas, and how many of them must have a record."""

from __future__ import annotations

import pytest

from schemas.topics import APPROVALS, DLQ, MIN_INSYNC
from streams.harness.topics import config_differences


@pytest.mark.parametrize(("replication", "needed"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_two_of_three_replicas_must_have_what_is_acknowledged(replication: int, needed: str) -> None:
    assert DLQ.config(replication)[MIN_INSYNC] == needed


def test_a_topic_that_acknowledges_too_early_differs() -> None:
    found: dict[str, str | None] = {**APPROVALS.config(3), MIN_INSYNC: "1"}

    assert [str(each) for each in config_differences(APPROVALS, found, 3)] == ["airra.approvals.v1: min.insync.replicas is 1, expected 2"]
    assert config_differences(APPROVALS, found, 1) == []
    assert config_differences(APPROVALS, found, None) == []


def test_an_entry_that_the_broker_does_not_report_is_nobodys_fault() -> None:
    assert config_differences(APPROVALS, {"cleanup.policy": None}, 3) == []
