"""remote_write at the API's door: who may write, what is refused, and that nothing is acknowledged before Kafka has it."""

from __future__ import annotations

import asyncio

import pytest

from api.auth import Gate
from api.server import operators
from api.write import MALFORMED, MAX_WRITE, MOST_WAITING, SAMPLES, Door, Quota
from schemas.samples import SOURCE_HEADER
from schemas.topics import WRITE
from streams.harness.errors import Fatal, Retryable
from streams.normalise.formats.staleness import STALE
from tests.api_world import ALICE, World
from tests.unit.prometheus_messages import V1, V2, pack, request, request_2, series

TOKEN = "a-token-of-prometheus"
AT = 1_795_489_200_000
BODY = pack(request(series({"__name__": "up", "job": "shop"}, (AT, 1.0), (AT + 1000, STALE))))
BODY_2 = pack(
    request_2(
        ["", "__name__", "up"],
        V2["TimeSeries"](
            labels_refs=[1, 2],
            samples=[V2["Sample"](value=1.0, timestamp=AT)],
            exemplars=[V2["Exemplar"](labels_refs=[1, 2], value=1.0, timestamp=AT)],
        ),
    )
)
V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


class Shop:
    """An API with one source, and the log that it writes to."""

    def __init__(self, quota=0.0):
        self.written = []
        self.error = None
        self.acknowledged = asyncio.Event()
        self.acknowledged.set()
        self.now = 0.0
        self.door = Door(self.append, Gate({TOKEN: "prometheus-a"}, b"secret"), Quota(quota, lambda: self.now))
        self.world = World(door=self.door)

    async def append(self, outputs):
        await self.acknowledged.wait()
        if self.error:
            raise self.error
        self.written += outputs
        return []

    async def post(self, body=BODY, token=TOKEN, **headers):
        told = {"content-type": V1_TYPE, "content-encoding": "snappy"} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.world.client(token) as client:
            return await client.post("/api/v1/write", content=body, headers=told)


@pytest.fixture
def shop():
    SAMPLES.clear()
    MALFORMED.clear()
    return Shop()


def fates():
    """Return how many samples had each fate, but for those that none had."""
    (family,) = SAMPLES.collect()
    return {one.labels["fate"]: one.value for one in family.samples if one.name.endswith("_total") and one.value}


def malformed():
    return MALFORMED.labels("prometheus-a")._value.get()


def told(answer):
    """Return the numbers of samples, histograms and exemplars that an answer says were written."""
    begin = "x-prometheus-remote-write"
    return tuple(answer.headers.get(f"{begin}-{what}-written") for what in ("samples", "histograms", "exemplars"))


async def test_a_request_stands_on_kafka_as_it_came_with_who_wrote_it(shop):
    answer = await shop.post()
    assert (answer.status_code, answer.content) == (204, b"")
    (output,) = shop.written
    assert (output.topic, output.key, output.value) == (WRITE.name, b"prometheus-a", BODY)
    assert dict(output.headers) == {SOURCE_HEADER: b"prometheus-a", "airra.format": b"remote-write", "content-encoding": b"snappy"}
    assert not [name for name in answer.headers if name.startswith("x-prometheus")]


async def test_2_0_is_told_what_was_written(shop):
    answer = await shop.post(BODY_2, content_type=V2_TYPE)
    assert answer.status_code == 204
    found = {name: value for name, value in answer.headers.items() if name.startswith("x-prometheus")}
    begin = "x-prometheus-remote-write"
    assert found == {f"{begin}-samples-written": "1", f"{begin}-histograms-written": "0", f"{begin}-exemplars-written": "0"}
    assert dict(shop.written[0].headers)["airra.format"] == b"remote-write-2"


@pytest.mark.parametrize("token", [None, "wrong", ALICE])
async def test_only_a_source_may_write(shop, token):
    assert (await shop.post(token=token)).status_code == 401
    assert shop.written == []


async def test_a_source_may_do_nothing_else(shop):
    async with shop.world.client(TOKEN) as client:
        assert (await client.get("/api/v1/incidents")).status_code == 401


async def test_without_sources_nobody_may_write():
    async with World().client(TOKEN) as client:
        answer = await client.post("/api/v1/write", content=BODY)
    assert (answer.status_code, answer.json()["error"]) == (403, "write_disabled")
    assert "AIRRA_WRITE_TOKENS" in answer.json()["what_to_do"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content_type": "application/json"}, 415),
        ({"content_type": "application/x-protobuf;proto=io.prometheus.write.v3.Request"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_type": 'application/x-protobuf; proto="prometheus.WriteRequest"'}, 204),
        ({"content_type": "Application/X-Protobuf", "content_encoding": "Snappy"}, 204),
    ],
)
async def test_what_is_neither_version_is_refused(shop, headers, code):
    assert (await shop.post(**headers)).status_code == code
    assert len(shop.written) == (code == 204)


@pytest.mark.parametrize("body", [b"", b"no snappy", pack(b"\x0a\xff"), BODY[:-3], pack(b"\xff" * 20)])
async def test_what_cannot_be_read_is_refused_for_good(shop, body):
    answer = await shop.post(body)
    assert answer.status_code == 400
    assert shop.written == []
    assert (malformed(), fates()) == (1, {})


async def test_a_bad_series_among_good_ones_is_told_and_the_others_are_taken(shop):
    """So the specification wants it: a partial write is a 400, and the sender does not repeat it."""
    answer = await shop.post(pack(request(series({"__name__": "up"}, (AT, 1.0)), V1_BROKEN)))
    assert answer.status_code == 400
    assert "70018 bytes" in answer.json()["detail"]
    assert len(shop.written) == 1


V1_BROKEN = series({"__name__": "x" * 70_000}, (AT, 1.0))


@pytest.mark.parametrize(
    ("labels", "at", "reason"),
    [
        ({}, AT, "missing_field"),
        ({"job": "shop"}, AT, "missing_field"),
        ({"job": "shop", "__name__": "up"}, AT, "wrong_type"),
        ({"__name__": "up", "job": "shop"}, -1, "timestamp_out_of_range"),
    ],
)
async def test_what_normalise_is_going_to_refuse_is_not_acknowledged(shop, labels, at, reason):
    answer = await shop.post(pack(request(series({"__name__": "up"}, (AT, 1.0)), series(labels, (at, 1.0), (at, 2.0)))))
    assert (answer.status_code, answer.json()["error"]) == (400, reason)
    assert "samples refused: 2, taken: 1" in answer.json()["detail"]
    assert told(answer) == (None, None, None)
    assert fates() == {"accepted": 1, "refused": 2}
    assert len(shop.written) == 1


@pytest.mark.parametrize("refs", [[1, 99], [3, 4], [3, 4, 1, 2]])
async def test_2_0_is_told_what_was_written_of_a_request_that_is_partly_bad(shop, refs):
    good, bad = ([V2["Sample"](value=1.0, timestamp=AT)] * number for number in (1, 3))
    body = request_2(
        ["", "__name__", "up", "job", "shop"],
        V2["TimeSeries"](labels_refs=[1, 2], samples=good),
        V2["TimeSeries"](labels_refs=refs, samples=bad),
    )
    answer = await shop.post(pack(body), content_type=V2_TYPE)
    assert (answer.status_code, told(answer)) == (400, ("1", "0", "0"))
    assert fates() == {"accepted": 1, "refused": 3}
    assert len(shop.written) == 1


@pytest.mark.parametrize(
    ("body", "told_as", "is_of"), [(BODY_2, V1_TYPE, "io.prometheus.write.v2.Request"), (BODY, V2_TYPE, "prometheus.WriteRequest")]
)
async def test_a_body_told_as_the_other_version_is_refused(shop, body, told_as, is_of):
    answer = await shop.post(body, content_type=told_as)
    assert answer.status_code == 400
    assert f"it looks like {is_of}" in answer.json()["detail"]
    assert "content-type" in answer.json()["what_to_do"]
    assert (shop.written, malformed(), fates()) == ([], 1, {})


@pytest.mark.parametrize(("body", "type_"), [(b"\x1a\x04\x12\x02up", V1_TYPE), (b"", V1_TYPE), (b"", V2_TYPE)])
async def test_types_and_help_texts_alone_are_sound_and_so_is_nothing(shop, body, type_):
    assert (await shop.post(pack(body), content_type=type_)).status_code == 204
    assert len(shop.written) == 1


@pytest.mark.parametrize(
    ("error", "code", "fate"), [(Retryable("no leader"), 503, "not_acknowledged"), (Fatal("refused"), 500, "refused_by_kafka")]
)
async def test_without_an_acknowledgement_nothing_is_acknowledged(shop, error, code, fate):
    shop.error = error
    assert (await shop.post()).status_code == code
    assert shop.written == []
    assert fates() == {fate: 2}


async def test_samples_that_are_to_come_again_are_counted_with_the_bad_among_them(shop):
    shop.door.waiting = MOST_WAITING
    assert (await shop.post(pack(request(series({"__name__": "up"}, (AT, 1.0)), series({}, (AT, 1.0)))))).status_code == 429
    assert fates() == {"too_many_waiting": 2}


async def test_too_large_a_body_is_refused(shop):
    answer = await shop.post(b"x" * (MAX_WRITE + 1))
    assert answer.status_code == 413
    assert "max_samples_per_send" in answer.json()["what_to_do"]
    assert malformed() == 1
    assert (await shop.post(b"x" * (WRITE.max_message_bytes + 1))).status_code == 413


async def test_who_writes_more_than_its_quota_is_told_to_come_back():
    shop = Shop(quota=1.0)  # ten seconds of it are ten samples, five requests
    codes = [(await shop.post()).status_code for _ in range(6)]
    assert codes == [204] * 5 + [429]
    shop.now = 2.0
    again, more = await shop.post(), await shop.post()
    assert (again.status_code, more.status_code, more.headers["retry-after"]) == (204, 429, "2")


@pytest.mark.usefixtures("shop")  # counters at 0
async def test_a_native_histogram_spends_as_much_as_a_sample():
    shop = Shop(quota=1.0)  # ten samples
    one = V1["Histogram"](count_int=3, sum=1.5, schema=0, positive_spans=[{"offset": 0, "length": 1}], positive_deltas=[3], timestamp=AT)
    body = pack(request(series({"__name__": "latency", "job": "shop"}, histograms=(one,) * 5)))
    assert [(await shop.post(body)).status_code for _ in range(3)] == [204, 204, 429]
    assert fates() == {"accepted": 10, "over_quota": 5}


def test_a_request_larger_than_the_bucket_passes_when_that_is_full():
    now = 0.0
    quota = Quota(1.0, lambda: now)
    assert quota.spend("a", 50) == 0.0
    assert quota.spend("a", 1) == 41.0
    assert quota.spend("b", 50) == 0.0
    now = 50.0
    assert quota.spend("a", 50) == 0.0


@pytest.mark.parametrize("error", [Retryable("no leader"), Fatal("refused")])
async def test_what_has_to_be_sent_again_spends_no_quota(error):
    shop = Shop(quota=1.0)  # five requests
    shop.error = error
    assert 429 not in [(await shop.post()).status_code for _ in range(8)]
    shop.error = None
    assert [(await shop.post()).status_code for _ in range(6)] == [204] * 5 + [429]


def test_no_more_is_given_back_than_the_bucket_holds():
    now = 0.0
    quota = Quota(1.0, lambda: now)
    quota.give_back("a", 5)  # of which nothing was taken
    assert quota.spend("a", 50) == 0.0
    quota.give_back("a", 50)
    assert quota.spend("a", 4) == 0.0
    now = 4.0
    assert quota.spend("a", 0) == 0.0  # full again
    quota.give_back("a", 4)
    assert quota.spend("a", 10) == 0.0
    assert quota.spend("a", 1) == 1.0


def test_where_there_is_no_quota_nothing_is_kept_of_it():
    quota = Quota(0.0)
    assert quota.spend("a", 5) == 0.0
    quota.give_back("a", 5)
    assert quota.spend("a", 10**9) == 0.0


async def test_too_many_that_wait_for_kafka_are_told_to_come_back(shop):
    shop.acknowledged.clear()
    waiting = [asyncio.create_task(shop.post()) for _ in range(MOST_WAITING)]
    while shop.door.waiting < MOST_WAITING:
        await asyncio.sleep(0)
    assert (await shop.post()).status_code == 429
    shop.acknowledged.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {204}
    assert shop.door.waiting == 0


async def test_what_is_refused_because_too_many_wait_spends_no_quota():
    shop = Shop(quota=1.0)  # five requests
    shop.door.waiting = MOST_WAITING
    assert {(await shop.post()).status_code for _ in range(6)} == {429}
    shop.door.waiting = 0
    assert [(await shop.post()).status_code for _ in range(6)] == [204] * 5 + [429]
    assert len(shop.written) == 5


@pytest.mark.parametrize(("text", "says"), [("a", "source 1 is not subject:token"), ("a:x,b:x", "sources a and b have the same token")])
def test_a_wrong_list_of_sources_is_named_without_its_tokens(text, says):
    with pytest.raises(ValueError, match=says):
        operators(text, "source")
