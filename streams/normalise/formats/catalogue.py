"""Every format there is, by name, in the order of looking; and the choice among them for a configuration."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.config.formats import Encoding, FormatsMapping, Mapping, Named
from streams.harness.errors import Unfit
from streams.harness.stage import Headers
from streams.normalise.fates import Reason, Rejected, Rejection
from streams.normalise.formats import looks
from streams.normalise.formats.choice import ANY, Candidate, Choice
from streams.normalise.formats.cloudevents import text_of
from streams.normalise.formats.collectd_json import CollectdJson, CollectdRates
from streams.normalise.formats.confluent import Confluent, is_frame, whole_frame
from streams.normalise.formats.influx_line import InfluxLine
from streams.normalise.formats.mapped_json import MappedJson
from streams.normalise.formats.otlp import Otlp
from streams.normalise.formats.otlp_json import OtlpJson
from streams.normalise.formats.port import Described, Sample
from streams.normalise.formats.registry import Schemas
from streams.normalise.formats.remote_write import RemoteWrite, RemoteWrite2, unpack
from streams.normalise.formats.telegraf_json import TelegrafJson
from streams.normalise.prometheus_kafka_adapter import AdapterJson

ADAPTER = AdapterJson.name
REMOTE_WRITE = RemoteWrite.name
OTLP = Otlp.name
ENCODING = "content-encoding"
SNAPPY = {"snappy", ""}


def body(value: bytes, headers: Headers) -> bytes:
    """Return the body of a remote_write request unpacked: packed it is always, says the specification, but a relay may have undone it."""
    encoding = (text_of(headers, ENCODING) or "").strip().lower()
    if encoding == "identity" or (not encoding and looks.is_plain_remote_write(value)):
        return value
    if encoding not in SNAPPY:
        raise Rejected(Reason.WRONG_TYPE, f"{ENCODING} {encoding[:64]!r}, while remote_write is packed with snappy")
    return unpack(value)


class _UnmappedFrame:
    """A frame of a schema registry on a topic that no mapping names: which of its fields is a value, only the configuration can say."""

    name = Encoding.CONFLUENT.value

    def read(self, value: bytes) -> Iterable[Sample | Rejection]:
        raise Rejected(
            Reason.UNKNOWN_FORMAT,
            f"a frame of a schema registry ({len(value)} bytes): say in formats.yaml where its value and labels stand",
        )

    def describe(self, key: bytes) -> Described:
        raise Rejected(Reason.UNKNOWN_FORMAT, repr(key[:64]))


OBJECT, LIST, TEXT = b"{" + looks.SPACE, b"[" + looks.SPACE, bytes(set(ANY) - set(looks.NO_LINE))
CANDIDATES = (
    Candidate(AdapterJson(), looks.word(b"{", b'"labels"'), begins=OBJECT, no_value=True),
    Candidate(
        OtlpJson(),
        looks.any_of(looks.word(b"{", b'"resourceMetrics"'), looks.word(b"{", b'"resource_metrics"')),
        begins=OBJECT,
        no_value=True,
    ),
    Candidate(TelegrafJson(), looks.word(b"{", b'"fields"'), begins=OBJECT),
    Candidate(CollectdRates(), looks.word(b"[", b'"dstypes"'), begins=LIST),
    Candidate(CollectdJson(), lambda _: False, begins=b""),  # told from its rates by nothing in a record: by name alone
    Candidate(_UnmappedFrame(), is_frame, begins=b"\x00\x01"),
    Candidate(Otlp(), looks.otlp, frozenset({"application/x-protobuf"}), begins=looks.TAGS, no_value=True),
    Candidate(RemoteWrite2(), looks.remote_write_2, frozenset({"application/x-protobuf"}), body, no_value=True),  # packed: with any
    Candidate(RemoteWrite(), looks.remote_write, frozenset({"application/x-protobuf"}), body, no_value=True),
    Candidate(InfluxLine(), looks.line, frozenset({"text/plain"}), begins=TEXT),
)
NAMES = tuple(one.format.name for one in CANDIDATES)


def choice_of(formats: FormatsMapping, schemas: Schemas | None = None) -> Choice:
    """Return the choice for a configuration; raise Unfit for a format that there is not, or a registry that nobody named."""
    by_name = {one.format.name: one for one in CANDIDATES}
    topics = {}
    for topic, told in formats.topics.items():
        if isinstance(told, Named):
            if told.format not in by_name:
                known = ", ".join([*by_name, *Encoding])
                raise Unfit(f"formats.yaml: topics.{topic}.format: there is no format {told.format!r}; there are {known}")
            topics[topic] = by_name[told.format]
        else:
            topics[topic] = _mapped(topic, told, schemas)
    return Choice(CANDIDATES, topics)


def _mapped(topic: str, told: Mapping, schemas: Schemas | None) -> Candidate:
    documents = MappedJson(told)
    if told.format is Encoding.JSON:
        return Candidate(documents, lambda _: False)
    if schemas is None:
        raise Unfit(f"formats.yaml: topics.{topic} is in {told.format.value}: AIRRA_REGISTRY_URL must say where its schemas are")
    return Candidate(Confluent(schemas, documents), lambda _: False, reframe=whole_frame)
