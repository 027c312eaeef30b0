"""Double effects of the acting bench are told from the target's log and from what came to it."""

from __future__ import annotations

import pytest

from models.execution.log import Ended
from schemas.actions import FinishStatus
from schemas.kinds import Mode
from tests.faults.points.doubles import blind, counted, doubled
from tests.faults.points.gate import Request


def post(status: int = 200, key: str = "act-1", token: int = 7) -> Request:
    return Request("POST", "/actions", token, status, key, "done" if status == 200 else "")


def look_up(word: str, key: str = "act-1") -> Request:
    return Request("GET", f"/actions/{key}", 7, 200, key, word)


def test_each_incident_may_have_one_effect() -> None:
    assert doubled(["act-1", "act-2"], {"act-1": "inc-1", "act-2": "inc-2", "act-3": "inc-2"}) == 0


def test_two_actions_of_one_incident_are_a_double_although_each_has_a_key_of_its_own() -> None:
    assert doubled(["act-1", "act-2", "act-3"], {"act-1": "inc-1", "act-2": "inc-1", "act-3": "inc-2"}) == 1
    assert doubled(["act-1", "act-2", "act-3"], dict.fromkeys(("act-1", "act-2", "act-3"), "inc-1")) == 2


def test_one_key_twice_in_the_log_is_a_double_whether_or_not_it_was_granted() -> None:
    assert doubled(["act-1", "act-1"], {"act-1": "inc-1"}) == 1
    assert doubled(["act-9", "act-9"], {}) == 1


def test_one_request_a_key_is_as_it_should_be() -> None:
    assert blind([look_up("not_done"), post(), post(key="act-2"), look_up("done")]) == []


def test_a_second_request_without_a_look_up_is_blind() -> None:
    second = post(token=9)
    assert blind([post(), second]) == [second]


@pytest.mark.parametrize("word", ["done", "in_progress", "failed", ""])
def test_a_second_request_after_a_look_up_that_did_not_say_no_is_blind(word: str) -> None:
    second = post()
    assert blind([post(), look_up(word), second]) == [second]


def test_a_second_request_after_a_look_up_that_said_not_done_is_right() -> None:
    assert blind([post(0), look_up("not_done"), post()]) == []


def test_a_look_up_allows_one_request_and_of_its_own_key_only() -> None:
    third = post()
    assert blind([post(0), look_up("not_done"), post(), third]) == [third]
    second = post()
    assert blind([post(), look_up("not_done", key="act-2"), second]) == [second]


def test_a_look_up_before_the_first_request_says_nothing_of_it() -> None:
    second = post()
    assert blind([look_up("not_done"), post(), second]) == [second]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_what_the_target_refused_did_nothing_before_or_after(status: int) -> None:
    assert blind([post(status), post()]) == []
    assert blind([post(), post(status)]) == []


@pytest.mark.parametrize("status", [202, 500, 502])
def test_an_answer_that_leaves_it_open_allows_no_second_request(status: int) -> None:
    second = post()
    assert blind([post(status), second]) == [second]


def test_a_second_request_counts_once_it_is_answered_and_so_once_in_all() -> None:
    assert blind([post(), post(0)]) == []
    assert len(blind([post(), post(200)])) == 1
    assert blind([post(), post(409)]) == []


DONE, UNKNOWN, FAILED = (Ended(Mode.LIVE, status) for status in (FinishStatus.SUCCEEDED, FinishStatus.UNKNOWN, FinishStatus.FAILED))


def test_what_ended_as_it_did_is_neither_lost_nor_doubled_nor_wrong() -> None:
    ends = {"act-1": DONE, "act-2": UNKNOWN, "act-3": UNKNOWN, "act-4": FAILED, "act-5": Ended(Mode.DRY_RUN, FinishStatus.SUCCEEDED)}
    incidents = {action: f"inc of {action}" for action in ends}
    assert counted(["act-1", "act-2"], ends, incidents, [post(), look_up("done")]) == (0, 0, 0)


def test_a_success_without_an_effect_is_lost_and_an_effect_without_one_is_wrong() -> None:
    ends = {"act-1": DONE, "act-2": FAILED, "act-3": Ended(Mode.DRY_RUN, FinishStatus.SUCCEEDED)}
    assert counted(["act-2", "act-3", "act-9"], ends, {}, []) == (1, 0, 3)


def test_two_effects_of_an_incident_and_a_blind_request_are_doubles_each() -> None:
    ends = {"act-1": DONE, "act-2": DONE}
    assert counted(["act-1", "act-2"], ends, {"act-1": "inc-1", "act-2": "inc-1"}, [post(), post()]) == (0, 2, 0)
