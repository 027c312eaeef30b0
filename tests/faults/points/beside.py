"""Awaits of modules that lie beside the path (BESIDE of code.py), each with its reason: no input waits there for its commit.

A new await of such a module fails a test until it stands here, or the module on the path.
"""

from __future__ import annotations

_START = "before anything is read: nothing can be in hand"
_ENDED = "it waits for parts to end, and what they do for that are points of their own"
_UNTIL = "it waits for the word to stop; nothing is in hand here"
_LOOKS = "it looks and changes nothing; who waits for the answer has a point there"
_ROUND = "what is awaited has points of its own, and nothing is done before or after them that another request would miss"
_HTTP = "it passes bytes of HTTP on: who got no answer asks again, with the same key"
_SENDER = "who got no answer sends it again, and what stands twice counts once"
_FILE = "the topology is read from its file and appended by every start, under an id that is its digest: nothing is committed"

POINTS: dict[str, str] = {
    "streams.harness.runner:serve:asyncio.to_thread": _START,
    "streams.harness.runner:serve:asyncio.to_thread#1": _START,
    "streams.harness.runner:serve:asyncio.to_thread#2": _START,
    "streams.harness.runner:serve:asyncio.to_thread#3": _START,
    "streams.harness.runner:serve:KafkaAppender(kafka, f'airra-{instance}').start": _START,
    "streams.harness.runner:serve:worker.start": "it starts tasks and awaits nothing itself",
    "streams.harness.runner:serve:runner.start": _ROUND,
    "streams.harness.runner:serve:stop.wait": _UNTIL,
    "streams.harness.runner:serve:async with asyncio.timeout": _ENDED,
    "streams.harness.runner:serve:asyncio.gather": _ENDED,
    "streams.harness.runner:serve:appender.stop": _ENDED,
    "streams.harness.runner:run:serve": _ROUND,
    "streams.harness.runner:_watched:watch": _LOOKS,
    "streams.harness.runner:_plain:work": _ROUND,
    "streams.harness.lineage:watch:asyncio.sleep": _LOOKS,
    "streams.harness.lineage:watch:asyncio.to_thread": _LOOKS,
    "streams.harness.kafka:_metadata:admin.list_topics": _LOOKS,
    "streams.harness.kafka:_metadata:admin.poll": _LOOKS,
    "streams.harness.kafka:first_at:consumer.assign": _LOOKS,
    "streams.harness.kafka:first_at:consumer.poll": _LOOKS,
    "api.server:ApiServer.run:async with contextlib.AsyncExitStack": _START,
    "api.server:ApiServer.run:asyncio.to_thread": _START,
    "api.server:ApiServer.run:KafkaAppender(self._kafka, 'airra-api').start": _START,
    "api.server:ApiServer.run:view.start": _START,
    "api.server:ApiServer.run:self._watch": _UNTIL,
    "api.server:ApiServer.run:serving": _ENDED,
    "api.server:ApiServer._watch:asyncio.wait_for": _UNTIL,
    "api.server:ApiServer.run:self._door": _START,
    "api.server:ApiServer._door:KafkaAppender(self._kafka, 'airra-api-write').start": _START,
    "api.write:write:request.body": _SENDER,
    "api.write:write:asyncio.to_thread": _SENDER,
    "api.write:write:_append": _SENDER,
    "api.write:_append:async with asyncio.timeout": _SENDER,
    "api.write:_append:door.append": _SENDER,
    "api.calls:feedback:record": _ROUND,
    "api.calls:proposal:find": _ROUND,
    "api.calls:approve:decide": _ROUND,
    "api.calls:reject:decide": _ROUND,
    "api.calls:execute:reach": _ROUND,
    "api.calls:execute:reach#1": _ROUND,
    "api.calls:execute:find": _ROUND,
    "api.pages:proposal:_proposal": _ROUND,
    "api.pages:_proposal:find": _ROUND,
    "api.pages:approve:_act": _ROUND,
    "api.pages:reject:_act": _ROUND,
    "api.pages:_act:decide": _ROUND,
    "api.pages:_act:_proposal": _ROUND,
    "api.limits:Limits.__call__:self._app": _HTTP,
    "api.limits:Limits.__call__.limited:receive": _HTTP,
    "api.limits:Limits.__call__.guarded:send": _HTTP,
    "api.limits:Limits.__call__.silenced:guarded": _HTTP,
    "api.limits:Limits.__call__:self._app#1": _HTTP,
    "api.limits:Limits.__call__:_refuse": _HTTP,
    "api.limits:_refuse:send": _HTTP,
    "api.limits:_refuse:send#1": _HTTP,
    "cli.run:serve_role:serve": _ROUND,
    "cli.wiring:in_thread.plain:asyncio.wait": _UNTIL,
    "cli.wiring:in_thread.plain:task": _ENDED,
    "cli.wiring:_publish_topology:appender.start": _FILE,
    "cli.wiring:_publish_topology:appender": _FILE,
    "cli.wiring:_publish_topology:appender.stop": _FILE,
    "cli.wiring:_publish_topology:stop.wait": _UNTIL,
}
