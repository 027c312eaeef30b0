"""The safeguards of snapshots, and of a stage that is stuck."""

from __future__ import annotations

from tests.faults.mutations.safeguard import Safeguard, prop, unit

SNAPSHOTS, WATCHDOG, STANDBY = "streams/harness/snapshots.py", "streams/harness/watchdog.py", "streams/harness/standby.py"

SAFEGUARDS = (
    Safeguard(
        "a snapshot is never written over the one that stands",
        SNAPSHOTS,
        "WRITE_SLOTS = 2",
        "WRITE_SLOTS = 1",
        unit("harness_saver", "the_snapshot_before_stands_until_the_new_one_is_whole"),
    ),
    Safeguard(
        "owners write into slots of their own generation",
        SNAPSHOTS,
        "OWNER_SLOTS = 8",
        "OWNER_SLOTS = 1",
        unit("harness_saver", "an_owner_that_lost_its_partition_cannot_write_over_the_next_owners_snapshot"),
    ),
    Safeguard(
        "a snapshot whose bytes do not add up is not read",
        SNAPSHOTS,
        'whole = zlib.crc32(data) == manifest["crc"]',
        "whole = True",
        unit("harness_saver", "a_snapshot_whose_chunks_are_of_two_writes_is_not_read"),
    ),
    Safeguard(
        "the snapshot of the highest offset is read",
        SNAPSHOTS,
        "key=lambda one: (one.log == log, one.offset, one.generation)",
        "key=lambda one: (one.log == log, one.generation, one.offset)",
        prop("harness_snapshots", "a_zombie_writes_into_slots_of_its_own_and_its_older_state_is_not_read"),
    ),
    Safeguard(
        "the watchdog leaves the group before it ends the process",
        WATCHDOG,
        '    await leave(worker)\n    die(f"{worker.stage.name}: {reason}", EXIT_STUCK)',
        '    die(f"{worker.stage.name}: {reason}", EXIT_STUCK)',
        unit("harness_watchdog", "a_stage_that_is_stuck_leaves_its_group_before_it_ends"),
    ),
    Safeguard(
        "the watchdog gives up lag without progress",
        WATCHDOG,
        "            if look.at_s - since >= STALLED_S:\n",
        "            if False:\n",
        unit("harness_watchdog", "lag_without_progress_is_given_up"),
    ),
    Safeguard(
        "the watchdog gives up an empty assignment",
        STANDBY,
        "        return at_s - self.since >= UNASSIGNED_S",
        "        return False",
        unit("harness_watchdog", "without_partitions_the_group_is_given_up_only_after_a_while"),
    ),
)
