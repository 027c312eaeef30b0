"""Points that no strike has to fall on, each with its reason: no input lies between them and a commit, or there is no such side."""

from __future__ import annotations

_START = "before anything is read: nothing can be in hand"
_IDLE = "of a member that holds no partition: nothing can be in hand"
_CANCELLED = "the task was cancelled on the line before: it ends by raising"
_NEVER = "it does not return: the process ends inside"

POINTS: dict[str, str] = {
    "streams.harness.producer:KafkaAppender.start:self._connect#1": f"{_START}; met on the embedded broker alone",
    "streams.harness.producer:KafkaAppender._connect:producer.stop": f"{_START}; the broker is not there",
    "streams.harness.consumer:CorrectedConsumer.perform_seek:self._owner.unfit": f"{_START}; the state is of another release",
    "streams.harness.worker:StageWorker.unfit:leave": f"{_START}; the state is of another release",
    "streams.harness.consumer:CorrectedConsumer._drain_messages:self.sleep": _IDLE,
    "agents.execute.executors.http_control:HttpControlExecutor.close:self._client.aclose": "tests alone call it; the process ends with its connections",
    "streams.harness.watchdog:guard:asyncio.to_thread": _IDLE,
    "streams.harness.watchdog:guard:_leave#1": _IDLE,
    "streams.harness.standby:until_nobodys:asyncio.to_thread": _IDLE,
    "streams.harness.effector_runner:EffectorRunner._stand_by:async with asyncio.timeout": _IDLE,
    "streams.harness.effector_runner:EffectorRunner._stand_by:leave_group": _IDLE,
    "streams.harness.view:LogView.start:self.stop": f"{_START}; the broker is not there",
    "streams.harness.view:LogView.start:self.stop#1": f"{_START}; the topic is not there",
    "streams.harness.view:LogView._run:async with self._progress#1": "a fold of the view failed: it answers nothing any more",
}
# By name and side.
SIDES: dict[str, str] = {
    "streams.harness.worker:StageWorker._watch_crash:crashed after": _NEVER,
    "streams.harness.consumer:crashed:asyncio.wait after": "the app has crashed already, and the process ends with it",
    "streams.harness.watchdog:guard:_leave after": _NEVER,
    "streams.harness.watchdog:_ask_the_log:_leave after": _NEVER,
    "streams.harness.watchdog:guard:_ask_the_log after": "it returns only where the log has nothing to fold",
    "streams.harness.effector_runner:EffectorRunner._stand_by:until_nobodys after": _IDLE,
    "streams.harness.effector_runner:EffectorRunner.stop:task after": _CANCELLED,
    "streams.harness.view:LogView.stop:task after": _CANCELLED,
}
