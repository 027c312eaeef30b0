"""The safeguards of the stages' harness: order of output, state and commit, an unbroken run, moves."""

from __future__ import annotations

from tests.faults.mutations.safeguard import Safeguard, prop, unit

SAVER, WORKER, CONSUMER = "streams/harness/saver.py", "streams/harness/worker.py", "streams/harness/consumer.py"
FOLD = "streams/harness/fold.py"

SAFEGUARDS = (
    Safeguard(
        "outputs are acknowledged before the state is saved",
        SAVER,
        "            await asyncio.gather(*unacked)\n",
        "",
        unit("harness_saver", "nothing_is_saved_before_what_the_state_has_emitted_is_acknowledged"),
    ),
    Safeguard(
        "chunks are acknowledged before the manifest is sent",
        SAVER,
        "done = [await future for future in [self._table.send_changelog(partition, key, value) for key, value in chunks]]\n"
        "        done.append(await self._table.send_changelog(partition, *manifest))",
        "sent = [self._table.send_changelog(partition, key, value) for key, value in [*chunks, manifest]]\n"
        "        done = [await future for future in sent]",
        unit("harness_saver", "the_manifest_is_sent_only_once_every_chunk_is_acknowledged"),
    ),
    Safeguard(
        "only the owner of a partition saves it",
        SAVER,
        "if not part.dirty or not self._owned(part):",
        "if not part.dirty:",
        unit("harness_saver", "a_part_that_belongs_to_another_owner_by_now_is_not_saved"),
    ),
    Safeguard(
        "the commit ceiling: what is saved, not what is folded",
        WORKER,
        "return part.saved + 1 if part is not None else None",
        "return part.offset + 1 if part is not None else None",
        unit("harness_saver", "nothing_is_saved_before_what_the_state_has_emitted_is_acknowledged"),
    ),
    Safeguard(
        "the ceiling, and no count of acknowledgements, is committed",
        CONSUMER,
        "        self._acked[tp].clear()\n        self._acked_index[tp].clear()\n        return self._owner.ceiling(tp.partition)",
        "        return super()._new_offset(tp)",
        unit("harness_delivery", "the_offset_to_commit_is_the_stages_word_and_no_count_of_acknowledgements"),
    ),
    Safeguard(
        "state and commit are from one moment: nothing committed is passed over",
        WORKER,
        "if following < committed and not (snapshot is None and committed == bounds.beginning):",
        "if False:",
        unit("harness_worker", "what_is_committed_and_not_in_the_state_is_never_passed_over"),
    ),
    Safeguard(
        "a state beyond the end of its log is not run",
        WORKER,
        "if following > bounds.end and first_at(self._kafka, self.source, partition, part.offset) != part.offset:",
        "if False:",
        unit("harness_worker", "a_state_beyond_the_end_of_its_log_is_not_run"),
    ),
    Safeguard(
        "without a commit the log is read from its beginning",
        WORKER,
        "part = restore(self.stage, partition, snapshot, bounds.beginning)",
        "part = restore(self.stage, partition, snapshot, bounds.end)",
        unit("harness_worker", "without_a_snapshot_and_a_commit_reading_begins_with_the_log"),
    ),
    Safeguard(
        "reading goes on where the state ends",
        CONSUMER,
        "        await self._thread.seek_all(offsets)\n",
        "",
        unit("harness_delivery", "a_partition_is_sought_to_where_its_state_ends"),
    ),
    Safeguard(
        "what was fetched before a seek is dropped",
        CONSUMER,
        "if self.sought[tp] == sought[tp]}",
        "if True}",
        unit("harness_delivery", "what_was_fetched_before_a_seek_is_dropped_though_its_offset_would_fit"),
    ),
    Safeguard(
        "nothing is delivered beyond a hole",
        CONSUMER,
        "                    holes.setdefault(tp, record.offset)\n                    continue\n",
        "                    pass\n",
        unit("harness_delivery", "nothing_beyond_a_hole_is_delivered_and_it_is_read_again"),
    ),
    Safeguard(
        "what was delivered is not delivered again",
        CONSUMER,
        "                if record.offset != self.run.expected(tp.partition):\n                    continue",
        "                if self.run.expected(tp.partition) is None:\n                    continue",
        unit("harness_delivery", "what_comes_twice_is_delivered_once"),
    ),
    Safeguard(
        "a hole is read again",
        CONSUMER,
        "            await self._reread(tp, found)\n",
        "            pass\n",
        unit("harness_delivery", "nothing_beyond_a_hole_is_delivered_and_it_is_read_again"),
    ),
    Safeguard(
        "a record that a rebalance drops does not count as delivered",
        CONSUMER,
        "            if moved != self._moved or not self.flow_active:\n                return  #",
        "            if False:\n                return  #",
        unit("harness_delivery", "a_record_in_hand_while_partitions_go_and_come_back_is_not_the_one_that_was_asked_for_then"),
    ),
    Safeguard(
        "a rebalance closes the run",
        CONSUMER,
        "    def stop_flow(self) -> None:\n        self._moved += 1\n        self.run.close()\n",
        "    def stop_flow(self) -> None:\n        self._moved += 1\n",
        unit("harness_delivery", "a_record_that_a_rebalance_drops_does_not_count_as_delivered"),
    ),
    Safeguard(
        "the hole guard: what the log has and nobody delivers ends the process",
        WORKER,
        "        if first != found:\n",
        "        if False:\n",
        unit("harness_worker", "records_that_the_log_has_and_nobody_delivers_end_the_process"),
    ),
    Safeguard(
        "a fold never passes over a hole",
        FOLD,
        "    if record.offset != part.offset + 1:\n",
        "    if False:\n",
        prop("harness_fold", "a_hole_raises_and_leaves_the_state"),
    ),
    Safeguard(
        "a fold takes each record once",
        FOLD,
        "    if record.offset <= part.offset:\n        return ()\n",
        "    if record.offset <= part.offset:\n        part.offset = record.offset - 1\n",
        prop("harness_fold", "repeats_change_nothing"),
    ),
    Safeguard(
        "a gap of the log is passed in order",
        WORKER,
        "        part.gaps[expected] = found\n",
        "        part.offset = found - 1\n",
        unit("harness_worker", "a_gap_of_the_log_is_passed_only_once_what_was_delivered_before_it_is_folded"),
    ),
    Safeguard(
        "poison becomes a dead letter",
        FOLD,
        "        outputs = (dead_letter(record, stage.name, poison),)\n",
        "        outputs = ()\n",
        prop("harness_fold", "poison_becomes_a_dead_letter_and_the_fold_goes_on"),
    ),
    Safeguard(
        "the mark of a backfill is copied to what follows from it",
        FOLD,
        "    return outputs if historical is None else [_historical(output, historical) for output in outputs]",
        "    return outputs",
        ("tests/faults/test_harness_gaps.py::test_what_follows_from_history_is_marked_as_history",),
    ),
    Safeguard(
        "no tick is written while history passes",
        WORKER,
        "if part.backfill or part.tick is not None:",
        "if part.tick is not None:",
        unit("harness_worker", "one_tick_at_a_time_is_on_its_way_and_none_while_history_passes"),
    ),
    Safeguard(
        "one tick at a time is on its way",
        WORKER,
        "if part.backfill or part.tick is not None:",
        "if part.backfill:",
        unit("harness_worker", "one_tick_at_a_time_is_on_its_way_and_none_while_history_passes"),
    ),
    Safeguard(
        "state is dropped when partitions go",
        WORKER,
        "            self.parts.clear()\n",
        "",
        unit("harness_worker", "partitions_that_go_are_saved_and_forgotten"),
    ),
    Safeguard(
        "state is saved when partitions go",
        WORKER,
        "            for part in list(self.parts.values()):\n                await self._saver.save(part)\n            self.parts.clear()",
        "            self.parts.clear()",
        unit("harness_worker", "partitions_that_go_are_saved_and_forgotten"),
    ),
    Safeguard(
        "an output that is not acknowledged ends the process",
        WORKER,
        "if not future.cancelled() and (error := future.exception()) is not None and not self._stopping:",
        "if not future.cancelled() and (error := future.exception()) is not None and self._stopping:",
        unit("harness_worker", "an_output_that_is_not_acknowledged_ends_the_process"),
    ),
    Safeguard(
        "an output that its topic would refuse becomes a dead letter",
        WORKER,
        "            acknowledged = await self._appender.send(self._oversized(output, record))\n",
        "            raise\n",
        unit("harness_worker", "an_output_that_its_topic_would_refuse_becomes_a_dead_letter"),
    ),
    Safeguard(
        "what never succeeds ends the process uncommitted",
        WORKER,
        '                if pause is None:\n                    die(f"{self.stage.name}: gave up',
        '                if pause is None:\n                    return ()\n                    die(f"{self.stage.name}: gave up',
        unit("harness_worker", "what_can_be_tried_again_is_and_what_never_succeeds_ends_the_process_uncommitted"),
    ),
)
