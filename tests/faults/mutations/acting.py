"""The safeguards of the one effector that touches targets: write-ahead, look-up, barrier, fencing, the last check."""

from __future__ import annotations

from tests.faults.mutations.safeguard import Safeguard, unit

EXECUTE, CHECK, LOG = "agents/execute/effector.py", "models/execution/check.py", "models/execution/log.py"
HTTP = "agents/execute/executors/http_control.py"


def rule(name: str, function: str, bites: tuple[str, ...]) -> Safeguard:
    """Take one rule out of the last check."""
    return Safeguard(name, CHECK, f"    {function},\n", "", bites)


SAFEGUARDS = (
    Safeguard(
        "write-ahead: `started` is acknowledged before the act",
        EXECUTE,
        "        await task.append([emit(topics.ACTIONS, task.grant.id, started_of(task.grant, task.epoch, checked.seen, at))])\n",
        "",
        unit("execute_last", "started_is_on_the_log_when_the_target_is_called"),
    ),
    Safeguard(
        "a begun action is looked up",
        EXECUTE,
        "        if started is not None and not await self._looked_up(task, started, executor):\n            return\n",
        "",
        unit("execute_lookup", "a_begun_action_is_asked_after_and_done_once_though_the_target_looks_as_it_did_before"),
    ),
    Safeguard(
        "only a definite no allows a second sending",
        EXECUTE,
        "        if answer.status is Status.NOT_DONE:\n            return True\n",
        "        if answer.status in {Status.NOT_DONE, Status.IN_PROGRESS}:\n            return True\n",
        unit("execute_lookup", "an_action_that_the_target_says_is_under_way_is_not_sent_again"),
    ),
    Safeguard(
        "what cannot be learned ends as unknown",
        EXECUTE,
        "            await self._finish(task, FinishStatus.UNKNOWN, Answer(answer.status, detail=unknown), looked_up=True)\n",
        "            await self._finish(task, FinishStatus.FAILED, Answer(answer.status, detail=unknown), looked_up=True)\n",
        unit("execute_lookup", "a_begun_action_that_cannot_be_looked_up_ends_unknown_and_goes_to_a_human"),
    ),
    Safeguard(
        "the read barrier before acting",
        EXECUTE,
        "            ends = await self._views.barrier(self._bounds.barrier_s)\n",
        "            ends = (0, 0)\n",
        unit("execute_check", "what_came_onto_the_logs_since_they_were_last_read_counts_before_acting"),
    ),
    Safeguard(
        "logs that cannot be read refuse",
        EXECUTE,
        "            await self._unreadable(task, str(error))\n            return\n",
        "            ends = (0, 0)\n",
        unit("execute_check", "an_unreadable_view_refuses_in_the_end"),
    ),
    Safeguard(
        "the read barrier between `started` and the act",
        EXECUTE,
        "        await self._views.actions.barrier(self._bounds.barrier_s)\n        self._own(task)\n        passed",
        "        self._own(task)\n        passed",
        unit("execute_owner", "an_owner_that_is_replaced_between_its_started_and_the_act_does_not_act"),
    ),
    Safeguard(
        "a newer executor fences the older out",
        EXECUTE,
        "        if self._sides.actions.epoch > task.epoch:\n",
        "        if False:\n",
        unit("execute_owner", "an_older_owner_stops_and_does_nothing"),
    ),
    Safeguard(
        "an action that ended is not done again",
        EXECUTE,
        "            self._log.close(task.grant.id, end)\n            return\n",
        "            self._log.close(task.grant.id, end)\n",
        unit("execute_path", "a_grant_repeated_after_its_end_was_committed_changes_nothing"),
    ),
    Safeguard(
        "what was checked too long ago is checked again",
        EXECUTE,
        "        if max(passed, abs(self._clock() - at)) > self._bounds.skew_s * 1000:",
        "        if False:",
        unit("execute_clock", "a_clock_set_between_the_check_and_the_act_holds_it_back"),
    ),
    Safeguard(
        "a begun action is refused only once no call can be under way",
        EXECUTE,
        "        if started is not None and now - self._called.get(task.grant.id, task.since) <= self._standing.call_timeout_s * 1000:\n",
        "        if False:\n",
        unit("execute_lookup", "a_begun_action_that_never_arrived_is_refused_only_when_no_call_can_be_under_way"),
    ),
    Safeguard(
        "a begun action whose log cannot be read is not refused",
        EXECUTE,
        "        if begun:\n            raise Retryable",
        "        if False:\n            raise Retryable",
        unit("execute_last", "a_begun_action_is_never_refused_because_its_logs_cannot_be_read"),
    ),
    Safeguard(
        "what passes by itself is refused when patience ends",
        EXECUTE,
        "        if reason in PASSING and now - task.since < self._bounds.patience_s * 1000:\n",
        "        if reason in PASSING:\n",
        unit("execute_evidence", "stale_evidence_is_waited_for_and_then_refused"),
    ),
    Safeguard(
        "a result is written",
        EXECUTE,
        "        record = finished_of(task.grant, task.epoch, status, answer, self._clock(), looked_up=looked_up)\n"
        "        await task.append([emit(topics.ACTIONS, task.grant.id, record)])\n",
        "",
        unit("execute_last", "what_was_done_is_written"),
    ),
    rule(
        "the last check: a known action with its parameters",
        "_known_action",
        unit("execute_check", "an_unknown_action_or_parameter_refuses"),
    ),
    rule("the last check: live is enabled", "_live_enabled", unit("execute_check", "the_setting_refuses_live_whatever_was_approved")),
    rule(
        "the last check: an executor is there",
        "_executor_there",
        unit("execute_last", "without_an_executor_a_live_action_is_refused_with_the_setting_that_is_missing"),
    ),
    rule("the last check: the lease holds", "_lease_holds", unit("execute_check", "a_lease_that_is_over_refuses")),
    rule("the last check: approved, and not expired", "_approved", unit("execute_check", "a_grant_that_nobody_approved_refuses")),
    rule("the last check: armed", "_armed", unit("execute_check", "without_an_arming_in_force_it_refuses")),
    rule("the last check: the incident is open", "_incident_open", unit("execute_check", "a_resolved_incident_refuses")),
    rule("the last check: the target is as approved", "_target_as_approved", unit("execute_check", "a_target_that_changed_refuses")),
    rule(
        "the last check: alone on its target",
        "_alone",
        unit("execute_check", "a_second_live_action_on_a_target_waits_for_the_one_begun_there_whatever_admit_thought"),
    ),
    rule("the last check: the clock is right", "_clock_right", unit("execute_clock", "a_clock_that_is_apart_refuses_in_the_end")),
    rule(
        "the last check: the evidence is fresh",
        "_evidence_fresh",
        unit("execute_evidence", "stale_evidence_is_waited_for_and_then_refused"),
    ),
    Safeguard(
        "the last check: the proposal has not expired",
        CHECK,
        "    if grant.undo_of is None and _later(sight, bounds) > case.proposal.expires_at:\n",
        "    if False:\n",
        unit("execute_last", "a_proposal_that_expired_between_its_grant_and_its_turn_is_not_done"),
    ),
    Safeguard(
        "the last check: digest and mode are the approved ones",
        CHECK,
        "    if (decision.id, decision.digest, decision.mode) != (grant.decision, grant.digest, grant.mode):\n",
        "    if False:\n",
        unit("execute_last", "a_grant_that_names_another_decision_is_not_done"),
    ),
    Safeguard(
        "the last check: what is done is what was approved",
        CHECK,
        "    if not bound:\n",
        "    if False:\n",
        unit("execute_check", "a_grant_of_something_else_than_was_approved_refuses"),
    ),
    Safeguard(
        "a zombie's words do not count",
        LOG,
        "    if epoch < log.epoch:\n        return False\n",
        "",
        unit("execute_owner", "a_zombies_end_does_not_count_and_is_not_copied"),
    ),
    Safeguard(
        "an action ends once",
        LOG,
        "    if (event.epoch is not None and not _current(log, event.epoch)) or event.action in log.closed:\n",
        "    if event.epoch is not None and not _current(log, event.epoch):\n",
        unit("execute_last", "of_two_ends_of_an_action_the_first_counts"),
    ),
    Safeguard(
        "the target gets the idempotency key",
        HTTP,
        '"Idempotency-Key": action, ',
        "",
        unit("execute_http", "an_action_is_sent_with_its_key_and_its_token"),
    ),
    Safeguard(
        "the target gets the fencing token",
        HTTP,
        '        headers = {"Idempotency-Key": action, "Fencing-Token": str(token)}\n',
        '        headers = {"Idempotency-Key": action}\n',
        unit("execute_http", "an_action_is_sent_with_its_key_and_its_token"),
    ),
    Safeguard(
        "a target that fences us out is heard",
        HTTP,
        '        if status == 409 and told.get("error") == "stale_fencing_token":\n',
        "        if False:\n",
        unit("execute_http", "each_definite_answer_to_an_action_has_its_status"),
    ),
    Safeguard(
        "only a definite word of the target counts",
        HTTP,
        "    if status not in {200, 202, 500} or",
        "    if",
        unit("execute_http", "a_missing_page_is_not_a_definite_not_done"),
    ),
    Safeguard(
        "a dry run touches nothing",
        "agents/execute/executors/dry_run.py",
        "        del action, token\n        described",
        "        if self._live:\n            return await self._live.act(action, token, spec)\n        described",
        unit("execute_path", "a_dry_run_takes_the_whole_path_and_touches_nothing"),
    ),
    Safeguard(
        "report copies only words that count",
        "agents/execute/report.py",
        "            IGNORED.labels(event.type).inc()\n            return ()\n",
        "            IGNORED.labels(event.type).inc()\n",
        unit("execute_owner", "a_zombies_end_does_not_count_and_is_not_copied"),
    ),
)
