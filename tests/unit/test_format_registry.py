"""The client of the schema registry, against a real HTTP server: asked once, never dead-letters what a registry that is away knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from streams.harness.errors import Retryable
from streams.normalise.fates import Reason, Rejected
from streams.normalise.formats.registry import MOST_REFERENCES, MOST_UNKNOWN, UNKNOWN_S, WRONG_S, Registry, Schema, SchemaType
from tests.unit.confluent_schemas import GUID, POINT_TEXT, PROTOBUF, READING_TEXT
from tests.unit.schema_registry import AVRO_TEXT, Clock, FakeRegistry


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(fake: FakeRegistry, clock: Clock) -> Iterator[Registry]:
    client = Registry(fake.url, clock=clock)
    yield client
    client.close()


def test_a_schema_is_avro_unless_the_answer_says_another_type(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    fake.tell("/schemas/ids/2", schema="{}", schemaType="JSON", references=[])
    assert registry.schema(1) == Schema(SchemaType.AVRO, AVRO_TEXT)
    assert registry.schema(2) == Schema(SchemaType.JSON, "{}")


def test_an_id_is_asked_once_for_good(fake: FakeRegistry, registry: Registry, clock: Clock) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    for _ in range(3):
        registry.schema(1)
        clock.now += 1e9
    assert fake.asked == ["/schemas/ids/1"]


def test_a_guid_is_asked_for_as_one(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell(f"/schemas/guids/{GUID}", schema=AVRO_TEXT)
    assert registry.schema(GUID).text == AVRO_TEXT


def test_an_address_may_have_a_path(fake: FakeRegistry) -> None:
    fake.tell("/apis/ccompat/v7/schemas/ids/1", schema=AVRO_TEXT)
    assert Registry(fake.url + "/apis/ccompat/v7/").schema(1).text == AVRO_TEXT


def test_only_so_many_schemas_are_kept_the_longest_unused_goes(fake: FakeRegistry) -> None:
    for n in (1, 2, 3):
        fake.tell(f"/schemas/ids/{n}", schema=AVRO_TEXT)
    registry = Registry(fake.url, most=2)
    for n in (1, 2, 1, 3, 1, 2):
        registry.schema(n)
    assert fake.asked == [f"/schemas/ids/{n}" for n in (1, 2, 3, 2)]


def test_references_are_asked_for_with_those_of_their_own(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema="a", references=[{"name": "B", "subject": "b/c d", "version": 2}])
    fake.tell("/subjects/b%2Fc%20d/versions/2?deleted=true", schema="b", references=[{"name": "C", "subject": "c", "version": 1}])
    fake.tell("/subjects/c/versions/1?deleted=true", subject="c", version=1, id=9, schema="c")
    avro = SchemaType.AVRO
    assert registry.schema(1) == Schema(avro, "a", (("B", Schema(avro, "b", (("C", Schema(avro, "c")),))),))


def test_protobuf_is_asked_for_as_descriptors(fake: FakeRegistry, registry: Registry) -> None:
    references = [{"name": "common/point.proto", "subject": "point", "version": 1}]
    fake.tell("/schemas/ids/1", schemaType="PROTOBUF", schema="message …", references=references)
    fake.tell("/schemas/ids/1?format=serialized", schemaType="PROTOBUF", schema=READING_TEXT, references=references)
    fake.tell("/subjects/point/versions/1?deleted=true&format=serialized", schemaType="PROTOBUF", schema=POINT_TEXT)
    assert registry.schema(1) == PROTOBUF


def test_a_registry_without_descriptors_rejects_protobuf_only(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schemaType="PROTOBUF", schema="message …")
    fake.tell("/schemas/ids/1?format=serialized", 501, error_code=501)
    with pytest.raises(Rejected, match="no Protobuf schema as descriptor"):
        registry.schema(1)


# what rejects a record


def test_an_unknown_id_is_remembered_for_a_minute(fake: FakeRegistry, registry: Registry, clock: Clock) -> None:
    for at in (0.0, UNKNOWN_S - 1, UNKNOWN_S, UNKNOWN_S + 1):
        clock.now = at
        with pytest.raises(Rejected) as caught:
            registry.schema(1)
        assert caught.value.rejection.reason is Reason.MISSING_FIELD
        assert caught.value.rejection.detail == "the schema registry knows no /schemas/ids/1 (error 40403)"
    assert len(fake.asked) == 2
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    clock.now += UNKNOWN_S
    assert registry.schema(1).text == AVRO_TEXT


def test_of_unknown_ids_so_many_are_asked_for_a_minute_and_the_others_are_not(fake: FakeRegistry, registry: Registry, clock: Clock) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    assert registry.schema(1).text == AVRO_TEXT
    for asked in range(2, 2 + MOST_UNKNOWN):
        with pytest.raises(Rejected, match="knows no"):
            registry.schema(asked)
    for asked in (100_000, 100_001):
        with pytest.raises(Rejected, match=f"schema {asked} was not asked for: {MOST_UNKNOWN} in 60 s were unknown"):
            registry.schema(asked)
    assert len(fake.asked) == 1 + MOST_UNKNOWN
    assert len(registry._unknown) == MOST_UNKNOWN
    assert registry.schema(1).text == AVRO_TEXT, "what is known is told all the same"
    clock.now = UNKNOWN_S
    fake.tell("/schemas/ids/100000", schema=AVRO_TEXT)
    assert registry.schema(100_000).text == AVRO_TEXT
    assert len(registry._unknown) == 0


def test_a_type_of_schema_that_is_not_read_rejects_with_which(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema="", schemaType="THRIFT")
    with pytest.raises(Rejected, match="'THRIFT'; AVRO, PROTOBUF, JSON are read"):
        registry.schema(1)


def test_a_reference_that_is_gone_rejects(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema="a", references=[{"name": "B", "subject": "b", "version": 2}])
    fake.tell("/subjects/b/versions/2?deleted=true", 404, error_code=40402)
    with pytest.raises(Rejected, match=r"/subjects/b/versions/2 \(error 40402\)"):
        registry.schema(1)


def test_references_in_a_circle_end(fake: FakeRegistry, registry: Registry) -> None:
    circle = [{"name": "B", "subject": "b", "version": 2}]
    fake.tell("/schemas/ids/1", schema="a", references=circle)
    fake.tell("/subjects/b/versions/2?deleted=true", schema="b", references=circle)
    with pytest.raises(Rejected) as caught:
        registry.schema(1)
    assert caught.value.rejection.reason is Reason.TOO_LARGE
    assert len(fake.asked) == MOST_REFERENCES + 1


def test_nonsense_about_one_id_for_long_rejects_where_the_registry_is_well_otherwise(
    fake: FakeRegistry, registry: Registry, clock: Clock
) -> None:
    fake.tell("/schemas/ids/1", 500, error_code=50001)
    fake.tell("/schemas/types", 503)
    for clock.now in (0.0, WRONG_S - 1, WRONG_S):
        with pytest.raises(Retryable, match="answered 500"):
            registry.schema(1)
    fake.tell("/schemas/types")
    with pytest.raises(Rejected, match=f"for {WRONG_S:.0f} s the schema registry, which is well otherwise: .*answered 500"):
        registry.schema(1)
    asked = len(fake.asked)
    with pytest.raises(Rejected):
        registry.schema(1)
    assert len(fake.asked) == asked, "it is remembered for a minute"
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    clock.now += UNKNOWN_S
    assert registry.schema(1).text == AVRO_TEXT


def test_nonsense_once_and_an_answer_since_then_is_not_nonsense_for_long(fake: FakeRegistry, registry: Registry, clock: Clock) -> None:
    fake.tell("/schemas/types")
    fake.tell("/schemas/ids/1", 500, error_code=50001)
    with pytest.raises(Retryable):
        registry.schema(1)
    fake.tell("/schemas/ids/1", 404, error_code=40403)
    with pytest.raises(Rejected):
        registry.schema(1)
    clock.now = WRONG_S + UNKNOWN_S
    fake.tell("/schemas/ids/1", 500, error_code=50001)
    with pytest.raises(Retryable, match="answered 500"):
        registry.schema(1)


# what does not


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"error_code": 50001}'),
        (503, b""),
        (429, b""),
        (401, b'{"error_code": 401}'),
        (403, b'{"error_code": 40301}'),
        (404, b"<html>no such page</html>"),
        (404, b'{"error_code": 404}'),
        (501, b""),
        (302, b""),
        (200, b"<html>please log in</html>"),
        (200, b'{"id": 1}'),
        (200, b""),
        (200, b"[" * 100_000),
        (200, b'{"schema": "' + b"x" * (4 * 1024 * 1024) + b'"}'),
    ],
)
def test_an_answer_that_says_nothing_of_the_schema_is_tried_again_later(
    fake: FakeRegistry, registry: Registry, status: int, body: bytes
) -> None:
    fake.answers["/schemas/ids/1"] = (status, body)
    for _ in range(2):
        with pytest.raises(Retryable):
            registry.schema(1)
    assert len(fake.asked) == 2
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    assert registry.schema(1).text == AVRO_TEXT


def test_a_registry_that_is_away_is_tried_again_later() -> None:
    with FakeRegistry() as gone:
        url = gone.url
    with pytest.raises(Retryable, match="ConnectError"):
        Registry(url).schema(1)


def test_a_registry_that_does_not_answer_in_time_is_tried_again_later(fake: FakeRegistry) -> None:
    fake.gate.clear()
    with pytest.raises(Retryable, match="ReadTimeout"):
        Registry(fake.url, timeout_s=0.1).schema(1)
    fake.gate.set()


# the login


def test_the_login_of_the_address_is_sent_and_shown_nowhere(fake: FakeRegistry) -> None:
    host = urlsplit(fake.url).netloc
    registry = Registry(f"http://us%40er:se%3Acret@{host}")
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    registry.schema(1)
    assert fake.logins == ["Basic dXNAZXI6c2U6Y3JldA=="]  # us@er:se:cret
    assert registry.address == fake.url
    fake.tell("/schemas/ids/2", 401)
    with pytest.raises(Retryable) as caught:
        registry.schema(2)
    fake.__exit__()
    with pytest.raises(Retryable) as away:
        Registry(f"http://us%40er:se%3Acret@{host}").schema(3)
    for shown in (caught.value, away.value, registry, registry.__dict__):
        assert "cret" not in str(shown) + repr(shown)


def test_an_address_without_a_login_sends_none(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    registry.schema(1)
    assert fake.logins == [None]


# several at a time


def test_of_one_id_there_is_one_request_at_a_time(fake: FakeRegistry, registry: Registry) -> None:
    fake.tell("/schemas/ids/1", schema=AVRO_TEXT)
    fake.tell("/schemas/ids/2", schema="other")
    fake.gate.clear()
    found: list[Schema] = []
    threads = [threading.Thread(target=lambda: found.append(registry.schema(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert fake.arrived.wait(10)
    fake.arrived.clear()
    other = threading.Thread(target=lambda: found.append(registry.schema(2)))
    other.start()
    assert fake.arrived.wait(10)  # another id does not wait for the first
    fake.gate.set()
    for thread in (*threads, other):
        thread.join(10)
    assert sorted(fake.asked) == ["/schemas/ids/1", "/schemas/ids/2"]
    assert len(found) == 5
    assert registry._turns == {}
