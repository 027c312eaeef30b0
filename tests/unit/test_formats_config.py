"""config/formats.yaml and its paths: a mistake in the file is an error at start that names its field."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from schemas.config.formats import FormatsMapping, Mapping, Named
from schemas.config.paths import parse_path

FILE = """
topics:
  team.metrics:
    format: json
    metrics: [{name: up, value: $.v}]
  other.metrics: {format: influx}
"""


def test_a_file_names_the_format_of_each_topic() -> None:
    topics = FormatsMapping(**yaml.safe_load(FILE)).topics
    assert isinstance(topics["team.metrics"], Mapping)
    assert topics["other.metrics"] == Named(format="influx")


@pytest.mark.parametrize(
    ("wrong", "place", "says"),
    [
        ({"metrics": [{"name": "up", "value": "p95"}]}, ("metrics", 0, "value"), "begins with $"),
        ({"metrics": [{"name": "up", "value": "$.a..b"}]}, ("metrics", 0, "value"), "'..b'"),
        ({"metrics": [{"name": "up", "value": "$.a[?(@.b)]"}]}, ("metrics", 0, "value"), "'[?(@.b)]'"),
        ({"metrics": [{"name": "up", "value": "$.a[*]"}]}, ("metrics", 0, "value"), "`each` only"),
        ({"metrics": [{"name": "$[", "value": "$"}]}, ("metrics", 0, "name"), "'['"),
        ({"metrics": []}, ("metrics",), "at least 1"),
        ({"each": "$.items"}, ("each",), "names one place"),
        ({"each": "$$.items[*]"}, ("each",), "names one place"),
        ({"labels": {"pod": "$.a["}}, ("labels", "pod"), "'['"),
        ({"labels": {"__name__": "up"}}, ("labels",), "write it into `metrics`"),
        ({"timestamp": "$.ts", "timestamp_unit": "min"}, ("timestamp_unit",), "'s', 'ms'"),
        ({"timestamp_unit": "ms"}, (), "without timestamp"),
        ({"lables": {}}, ("lables",), "not permitted"),
    ],
)
def test_a_mistake_in_the_file_is_an_error_that_names_its_field(wrong: dict[str, Any], place: tuple[object, ...], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FormatsMapping(topics={"t": {"format": "json", "metrics": [{"name": "up", "value": "$.v"}], **wrong}})
    error = caught.value.errors()[0]
    assert error["loc"] == ("topics", "t", "mapping", *place)
    assert says in error["msg"]


@pytest.mark.parametrize("topic", [{}, {"format": []}, [], None, 7])
def test_a_topic_without_a_format_is_an_error_at_its_place(topic: object) -> None:
    with pytest.raises(ValidationError) as caught:
        FormatsMapping(topics={"t": topic})
    assert caught.value.errors()[0]["loc"][:2] == ("topics", "t")


def test_a_name_that_no_topic_can_have_is_an_error() -> None:
    with pytest.raises(ValidationError, match="no name of a Kafka topic"):
        FormatsMapping(topics={"a b": {"format": "influx"}})


# paths


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.a.b-c", ("a", "b-c")),
        ("$['a b'].c", ("a b", "c")),
        (r"$['it\'s']['\\']", ("it's", "\\")),
        ("$[0][12]", (0, 12)),
        ("$.größe", ("größe",)),
        ("$.a[*].b[*]", ("a", None, "b", None)),
    ],
)
def test_a_path_is_a_member_an_element_or_every_element(path: str, steps: tuple[object, ...]) -> None:
    assert parse_path(path).steps == steps


@pytest.mark.parametrize(
    "path", ["", "a", "$a", "$.", "$[]", "$[-1]", "$[1:2]", "$.*", "$..a", "$['']", '$["a"]', "$$$", "$[99999999]", "$" + ".a" * 33]
)
def test_what_is_beyond_the_subset_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|steps"):
        parse_path(path)
