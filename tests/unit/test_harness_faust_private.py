"""The parts of Faust and aiokafka that the corrected consumer builds on. When one fails: read consumer.py and recovery.py beside the new version."""

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from mode.services import Service
from mode.utils.queues import FlowControlEvent

from streams.harness.consumer import use_corrected_consumer
from streams.harness.recovery import PromptTables

HARNESS = Path(__file__).parent.parent.parent / "streams" / "harness"


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_this_is_the_version_whose_source_was_read() -> None:
    assert faust.__version__.startswith("0.15.")


def test_the_fetcher_still_drains_through_the_overridden_method() -> None:
    assert "_drain_messages(self)" in source(base.Fetcher)
    assert list(inspect.signature(base.Consumer._drain_messages).parameters) == ["self", "fetcher"]
    assert list(inspect.signature(base.Consumer._getmany).parameters) == ["self", "active_partitions", "timeout"]


def test_every_fetch_and_every_seek_of_the_recovery_still_passes_through_the_overridden_calls() -> None:
    thread = driver.AIOKafkaConsumerThread
    assert "self._fetch_records," in source(thread.getmany)
    assert "return await fetcher.fetched_records(" in source(thread._fetch_records), "nothing is awaited once records are handed out"
    assert "self.call_thread(self._seek_wait, consumer, partitions)" in source(thread.seek_wait)
    assert source(thread._seek_wait).index("consumer.seek(") < source(thread._seek_wait).index("await ")
    assert "consumer.seek_wait(" in source(Recovery._seek_offsets)


def test_recovery_still_seeks_through_perform_seek_after_the_tables_are_read() -> None:
    completed = source(Recovery.on_recovery_completed)
    assert "consumer.perform_seek()" in completed
    assert completed.index("perform_seek") < completed.index("resume_flow()")
    assert "perform_seek" in source(Recovery._resume_streams)


def test_the_end_of_a_recovery_is_still_set_where_it_is_no_longer_running_and_waited_for_where_it_is() -> None:
    slurp, restart = (source(task.fun) for task in (Recovery._slurp_changelogs, Recovery._restart_recovery))
    assert slurp.index("self._set_recovery_ended()") < slurp.index("self.signal_recovery_end.set()")
    waits = restart.index("self.signal_recovery_end.wait()")
    assert restart.rindex("self._set_recovery_started()", 0, waits) > restart.rindex("self.need_recovery()", 0, waits)
    assert "self._signal_recovery_end" in source(Recovery.signal_recovery_end.fget)
    assert "self._recovery = Recovery(" in source(TableManager.recovery.fget)


async def test_the_stage_hears_of_commits_that_the_broker_took_and_of_its_own_log_alone(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    owner: Any = SimpleNamespace(source="log", committed=lambda partition, offset: heard.append((partition, offset)))
    app = faust.App("heard", datadir=str(tmp_path), TableManager=PromptTables)
    use_corrected_consumer(app, owner)
    app.tables.on_commit({TopicPartition("log", 1): 8, TopicPartition("other", 0): 3})
    assert heard == [(1, 8)]
    taken = source(base.Consumer._commit_offsets)
    assert "if did_commit:" in taken
    assert taken.index("if did_commit:") < taken.index("self.app.tables.on_commit(committable_offsets)")


async def test_the_end_of_a_recovery_is_heard_by_whoever_asks_later_until_the_next_begins(tmp_path: Path) -> None:
    app = faust.App("end", datadir=str(tmp_path), TableManager=PromptTables)
    recovery = app.tables.recovery
    recovery._set_recovery_started()
    assert not recovery.signal_recovery_end.is_set()
    recovery._set_recovery_ended()
    recovery.signal_recovery_end.set()
    recovery.signal_recovery_end.clear()  # as Faust does when it waits for the next record
    assert recovery.signal_recovery_end.is_set()
    recovery._set_recovery_started()
    assert not recovery.signal_recovery_end.is_set()


def test_a_resumed_flow_still_clears_what_was_queued_and_an_assignment_still_begins_with_all_of_it() -> None:
    assert "self.clear()" in source(FlowControlEvent.resume)
    assert "clear_on_resume=True" in source(TableManager.changelog_queue.fget)
    restart = source(Recovery._restart_recovery.fun)
    assert restart.index("self._seek_offsets") < restart.index("consumer.resume_partitions") < restart.index("flow_control.resume")
    assert "self._set_active_tps(assigned)" in source(base.Consumer.on_partitions_assigned)
    assert list(inspect.signature(base.Consumer._set_active_tps).parameters) == ["self", "tps"]


def test_commits_still_ask_new_offset_for_each_partition() -> None:
    assert "self._new_offset(tp)" in source(base.Consumer._filter_committable_offsets)
    assert "self._filter_tps_with_pending_acks(topics)" in source(base.Consumer.force_commit)
    assert "offset > committed" in source(base.Consumer._should_commit)


def test_a_revocation_still_stops_the_flow_and_then_tells_us() -> None:
    revoked = source(App._on_partitions_revoked)
    assert revoked.index("consumer.stop_flow") < revoked.index("on_partitions_revoked.send")
    assert "stream_wait_empty" in source(App._consumer_wait_empty)


def test_the_names_that_are_read_and_set_still_exist() -> None:
    made = source(base.Consumer.__init__) + source(base.Consumer._reset_state)
    for name in (
        "_acked",
        "_acked_index",
        "_read_offset",
        "_committed_offset",
        "suspend_flow",
        "can_resume_flow",
        "flow_active",
        "scheduler",
    ):
        assert f"self.{name} = " in made or f"self.{name}." in made, name
    assert "_fetch_max_wait_ms" in source(AIOKafkaConsumer.__init__)
    assert "_crashed" in source(Service)
    assert "self.transport.create_consumer" in source(App._new_consumer)
    assert "AIOKafkaConsumerThread(self, loop=self.loop, beacon=self.beacon)" in source(driver.Consumer._new_consumer_thread)
    assert "self._group_instance_id is None" in source(GroupCoordinator._maybe_leave_group)


def test_the_table_manager_starts_as_the_prompt_one_does_but_for_its_sleep() -> None:
    lines = [line.strip() for line in source(TableManager.on_start).splitlines()]
    assert lines[2:] == [
        "await self.sleep(1.0)",
        "if not self.should_stop:",
        "await self._update_channels()",
        "await self.recovery.start()",
    ]


def test_only_two_files_touch_private_parts() -> None:
    def reaches_in(node: ast.AST) -> bool:
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "KafkaError")
        return isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__") and not own

    offenders = {
        f"{path.name}:{node.lineno}"
        for path in HARNESS.glob("*.py")
        if path.name not in ("consumer.py", "recovery.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if reaches_in(node) and not (isinstance(node, ast.Attribute) and node.attr == "_exit")
    }
    assert offenders == set()
