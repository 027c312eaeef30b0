"""A changed number of partitions is refused, with the steps that change it in order."""

from __future__ import annotations

import pytest

from streams.harness.errors import Unfit
from streams.harness.partitions import one_each, same_as_before

ARGUMENTS = ("detect", "airra.samples.v1")
STATE = ("airra-detect", "airra-detect-state-changelog")


@pytest.mark.parametrize(("now", "began"), [(4, 4), (4, 0), (1, 1)])
def test_as_it_began_or_not_begun_yet_is_well(now: int, began: int) -> None:
    same_as_before(*ARGUMENTS, now, *STATE, began)


@pytest.mark.parametrize(("now", "began"), [(8, 4), (1, 4)])
def test_more_or_fewer_partitions_are_refused_with_the_procedure(now: int, began: int) -> None:
    with pytest.raises(Unfit) as refusal:
        same_as_before(*ARGUMENTS, now, *STATE, began)
    told = str(refusal.value)
    assert told.startswith(f"airra.samples.v1 has {now} partitions, and detect began with {began}. Nothing was read or changed.\n")
    for step in ("1. Stop", "2. Delete airra.samples.v1, airra-detect-state-changelog and the group airra-detect", "3. Create", "4. Start"):
        assert step in told


def test_a_control_log_has_one_partition() -> None:
    one_each({"airra.approvals.v1": 1, "airra.actions.v1": 0, "airra.samples.v1": 12}, [])
    with pytest.raises(Unfit, match=r"airra\.approvals\.v1 has 2 partitions.*\n.*one order of one environment"):
        one_each({"airra.actions.v1": 1, "airra.approvals.v1": 2}, [])


def test_the_log_of_an_effector_has_one_partition() -> None:
    with pytest.raises(Unfit, match="intents has 3 partitions"):
        one_each({"intents": 3}, ["intents"])
