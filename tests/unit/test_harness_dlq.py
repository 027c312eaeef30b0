"""The dead-letter record: original bytes, our headers, Kafka Connect's headers."""

import hashlib

from schemas.topics import DLQ
from streams.harness.dlq import HEAD_BYTES, HEADERS_BYTES, dead_letter
from streams.harness.errors import Poison
from streams.harness.stage import Record


def record(value: bytes) -> Record:
    return Record("metrics", 3, 42, 1_700_000_000_000, b"key", value, (("traceparent", b"00-1"),))


def test_the_original_is_kept_whole_with_its_key_and_headers() -> None:
    letter = dead_letter(record(b"\xff{"), "normalise", Poison("not_json", "line 1"))
    assert (letter.topic, letter.key, letter.value) == (DLQ.name, b"key", b"\xff{")
    headers = dict(letter.headers)
    assert headers["traceparent"] == b"00-1"
    ours = {name.removeprefix("airra.error."): value for name, value in headers.items() if name.startswith("airra.error.")}
    assert ours["reason"] == b"not_json"
    assert ours["detail"] == b"line 1"
    assert (ours["stage"], ours["topic"], ours["partition"], ours["offset"]) == (b"normalise", b"metrics", b"3", b"42")
    assert ours["truncated"] == b"false"
    assert ours["sha256"] == hashlib.sha256(b"\xff{").hexdigest().encode()


def test_tools_for_kafka_connect_can_read_it() -> None:
    headers = dict(dead_letter(record(b"x"), "normalise", Poison("not_json", "line 1")).headers)
    assert headers["__connect.errors.topic"] == b"metrics"
    assert headers["__connect.errors.partition"] == b"3"
    assert headers["__connect.errors.offset"] == b"42"
    assert headers["__connect.errors.exception.message"] == b"line 1"
    assert headers["__connect.errors.connector.name"] == b"airra-normalise"


def test_of_an_original_above_the_limit_the_head_and_the_digest_are_kept() -> None:
    value = b"ab" * 100_000
    letter = dead_letter(record(value), "normalise", Poison("too_large"), limit=150_000)
    headers = dict(letter.headers)
    assert letter.value == value[:HEAD_BYTES]
    assert headers["airra.error.truncated"] == b"true"
    assert headers["airra.error.length"] == b"200000"
    assert headers["airra.error.sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_the_largest_raw_record_fits_the_topic_whole() -> None:
    value = b"x" * 10_485_760
    letter = dead_letter(record(value), "normalise", Poison("not_json"))
    assert len(letter.value) == len(value)
    assert sum(len(name) + len(content) for name, content in letter.headers) + len(value) < DLQ.max_message_bytes


def test_a_repeat_has_the_same_id_and_another_record_another() -> None:
    first = dict(dead_letter(record(b"x"), "normalise", Poison("a")).headers)["airra.error.id"]
    assert first == dict(dead_letter(record(b"x"), "normalise", Poison("a")).headers)["airra.error.id"]
    assert first != dict(dead_letter(record(b"x"), "detect", Poison("a")).headers)["airra.error.id"]


def test_a_long_detail_is_cut() -> None:
    headers = dict(dead_letter(record(b"x"), "s", Poison("a", "d" * 50_000)).headers)
    assert len(headers["airra.error.detail"]) == 1000


def test_a_key_and_headers_of_megabytes_are_cut_and_say_so() -> None:
    huge = Record("metrics", 0, 1, 0, b"k" * 13_000_000, b"bad", (("a", b"1"), ("b", b"x" * 13_000_000), ("c", b"2")))
    letter = dead_letter(huge, "normalise", Poison("not_json"))

    headers = dict(letter.headers)
    assert len(letter.key or b"") + sum(len(name) + len(value) for name, value in letter.headers) < HEADERS_BYTES
    assert letter.value == b"bad"
    assert (headers["airra.error.truncated"], headers["airra.error.truncated.parts"]) == (b"true", b"key,headers")
    assert headers["a"] == b"1"
    assert "b" not in headers


def test_the_largest_value_with_the_largest_key_and_headers_fits_the_topic() -> None:
    headers = tuple((f"h{number}", b"v" * 1000) for number in range(5000))
    huge = Record("metrics" * 30, 0, 1, 0, b"k" * 1_000_000, b"x" * (DLQ.max_message_bytes - HEADERS_BYTES), headers)
    letter = dead_letter(huge, "normalise", Poison("r" * 100, "\U0001f600" * 5000))

    assert len(letter.value) == len(huge.value)
    assert (
        len(letter.key or b"") + len(letter.value) + sum(len(name) + len(value) for name, value in letter.headers) < DLQ.max_message_bytes
    )
