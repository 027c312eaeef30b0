"""The safeguards round the stages: producers, views, effectors, versions, partitions."""

from __future__ import annotations

from tests.faults.mutations.safeguard import Safeguard, unit

PRODUCER, VIEW, EFFECTOR = "streams/harness/producer.py", "streams/harness/view.py", "streams/harness/effector_runner.py"
ARMING, PENDING = "streams/harness/arming.py", "streams/harness/pending.py"
COMMITTED = '            isolation_level="read_committed",\n'

SAFEGUARDS = (
    Safeguard(
        "a record that its topic would refuse is not sent",
        PRODUCER,
        "    if size > limit:\n",
        "    if size > limit * 1000:\n",
        unit("harness_producer", "a_record_above_its_topics_limit_is_never_sent"),
    ),
    Safeguard(
        "an append returns with its acknowledgement",
        PRODUCER,
        "            acknowledged = await asyncio.gather(*futures)\n",
        "            acknowledged = [Position(topic=output.topic, partition=0, offset=0) for output in outputs]\n",
        unit("harness_producer", "an_append_returns_only_with_the_acknowledgement"),
    ),
    Safeguard(
        "stages read committed",
        "streams/harness/consumer.py",
        '_isolation_level = "read_committed"',
        '_isolation_level = "read_uncommitted"',
        unit("harness_delivery", "records_of_aborted_transactions_are_not_read"),
    ),
    Safeguard("views read committed", VIEW, COMMITTED, "", unit("harness_view", "views_do_not_read_what_was_aborted")),
    Safeguard("effectors read committed", EFFECTOR, COMMITTED, "", unit("harness_effector", "effectors_do_not_read_what_was_aborted")),
    Safeguard(
        "arming is read committed",
        ARMING,
        '        isolation_level="read_committed",\n',
        "",
        unit("harness_effector", "only_an_arming_from_now_on_arms_and_a_disarming_does_not"),
    ),
    Safeguard(
        "the sink reads committed",
        "streams/sink/consumer.py",
        '    "isolation.level": "read_committed",\n',
        '    "isolation.level": "read_uncommitted",\n',
        unit("sink_consumer", "the_sink_is_a_static_member_that_commits_itself_and_reads_from_the_start"),
    ),
    Safeguard(
        "the read barrier waits for the end of the log",
        VIEW,
        "                await self._until(lambda: self._reached(target))\n",
        "                pass\n",
        unit("harness_view", "a_barrier_returns_only_once_all_that_stands_on_the_log_is_folded"),
    ),
    Safeguard(
        "a view that broke is no quiet log",
        VIEW,
        "        if self._broken is not None:\n            raise Fatal",
        "        if False:\n            raise Fatal",
        unit("harness_view", "a_view_that_broke_says_so_to_whoever_asks"),
    ),
    Safeguard(
        "a view is not ready before it has read what stood there",
        VIEW,
        "return self._broken is None and bool(self._next) and self._reached(self._target)",
        "return self._broken is None and bool(self._next)",
        unit("harness_view", "a_view_is_not_ready_before_what_stood_at_its_start_is_folded"),
    ),
    Safeguard(
        "execute never starts from a missing offset",
        EFFECTOR,
        "        if not self.effector.armed_start:\n            return beginning\n",
        "        if True:\n            return beginning\n",
        unit("harness_effector", "an_effector_that_acts_waits_for_an_operator_where_no_offset_is_committed"),
    ),
    Safeguard(
        "a missing offset waits for an operator",
        EFFECTOR,
        "        await armed_after(self._kafka)\n",
        "",
        unit("harness_effector", "an_effector_that_acts_waits_for_an_operator_where_no_offset_is_committed"),
    ),
    Safeguard(
        "what was armed before is history",
        ARMING,
        "        consumer.seek(tp, (await consumer.end_offsets([tp]))[tp])\n",
        "        consumer.seek(tp, 0)\n",
        unit("harness_effector", "only_an_arming_from_now_on_arms_and_a_disarming_does_not"),
    ),
    Safeguard(
        "a disarming does not arm",
        ARMING,
        "if arming is not None and arming.armed:",
        "if arming is not None:",
        unit("harness_effector", "only_an_arming_from_now_on_arms_and_a_disarming_does_not"),
    ),
    Safeguard(
        "an effector reads its log to the end before it acts",
        EFFECTOR,
        "        while ours() and self._next < end:\n            await self._fold(consumer, POLL_MS)\n",
        "",
        unit("harness_effector", "the_log_is_read_to_its_end_before_anything_is_performed"),
    ),
    Safeguard(
        "nothing above an unfinished intent is committed",
        EFFECTOR,
        "        offset = min([self._next, *(intent.offset for intent in self.effector.pending())])\n",
        "        offset = self._next\n",
        unit("harness_effector", "nothing_at_or_above_the_earliest_unfinished_intent_is_committed"),
    ),
    Safeguard(
        "what is performed is cut off when the partition goes",
        EFFECTOR,
        "        for task in running:\n            task.cancel()\n        if running:\n            await asyncio.wait(running)\n",
        "",
        unit("harness_effector", "what_is_being_performed_is_cut_off_when_the_partition_goes_and_appends_nothing_more"),
    ),
    Safeguard(
        "nothing is appended once the partition is lost",
        EFFECTOR,
        "        if not self._owned.is_set():\n            raise Retryable",
        "        if False:\n            raise Retryable",
        unit("harness_effector", "what_is_being_performed_is_cut_off_when_the_partition_goes_and_appends_nothing_more"),
    ),
    Safeguard(
        "an effector's concurrency is bounded",
        PENDING,
        "            if len(self._begun) >= self._concurrency:\n",
        "            if False:\n",
        unit("harness_pending", "intents_begin_in_log_order_up_to_the_concurrency"),
    ),
    Safeguard(
        "what is performed and not yet folded is not performed again",
        PENDING,
        "intent.id in self._begun or intent.id in self._performed or",
        "intent.id in self._begun or",
        unit("harness_pending", "a_performed_intent_is_not_begun_again_while_its_result_is_still_on_the_way_to_the_fold"),
    ),
    Safeguard(
        "a state of an unknown format is refused",
        "streams/harness/fold.py",
        "    if (convert := stage.reads.get(snapshot.format)) is None:\n",
        "    if (convert := stage.reads.get(snapshot.format, bytes)) is None:\n",
        unit("versions", "a_state_of_a_format_that_is_not_read_is_refused_with_what_to_do"),
    ),
    Safeguard(
        "a state of another format is converted",
        "streams/harness/fold.py",
        "    if snapshot.format == stage.format:\n        return snapshot.data\n",
        "    return snapshot.data\n",
        unit("versions", "a_state_of_the_format_before_or_after_is_converted"),
    ),
    Safeguard(
        "a snapshot that is laid out otherwise is refused",
        "streams/harness/snapshots.py",
        'if (layout := manifest.get("format", 1)) != FORMAT:',
        'if (layout := manifest.get("format", 1)) < FORMAT:',
        unit("versions", "a_snapshot_that_is_laid_out_as_this_release_cannot_read_is_refused_even_beside_one_that_it_can"),
    ),
    Safeguard(
        "a record of an unknown major version is refused",
        "streams/harness/emit.py",
        'if told is not None and told.partition(b".")[0] not in SCHEMA_MAJORS:',
        "if False:",
        unit("versions", "a_record_of_an_unknown_major_version_is_poison_with_the_reason"),
    ),
    Safeguard(
        "a changed number of partitions is refused",
        "streams/harness/partitions.py",
        "    if began_with not in (0, count):\n",
        "    if False:\n",
        unit("partitions", "more_or_fewer_partitions_are_refused_with_the_procedure"),
    ),
    Safeguard(
        "a control log has one partition",
        "streams/harness/partitions.py",
        "        if count > 1 and (topic in ONE_LOG or topic in effectors):\n",
        "        if False:\n",
        unit("partitions", "a_control_log_has_one_partition"),
    ),
)
