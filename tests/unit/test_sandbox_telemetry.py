"""What leaves the system: samples as prometheus-kafka-adapter writes them, alerts as an Alertmanager sends them; and the load."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.alerts import REPEAT_MS, STILL_FIRING, Alert, Alertmanager, Rules
from sandbox.kafka import wire
from sandbox.load import Rhythm
from sandbox.scenario import METRIC_NAMES
from sandbox.scrape import Sample, Scrape, ScrapeTarget, message, messages, number, parse, until_next
from sandbox.service.metrics import Metrics
from sandbox.spec import LoadSpec

LABELS = {"app": "api", "pod": "127.0.0.1:7000"}
TARGET = ScrapeTarget("api", "127.0.0.1", 7000, LABELS, dict(METRIC_NAMES))
AT = 1_795_489_200_250


def test_a_sample_is_written_as_the_adapter_writes_it() -> None:
    assert message(Sample("http_requests_total", LABELS, 12.0), AT) == {
        "timestamp": "2026-11-24T03:00:00Z",
        "value": "12",
        "name": "http_requests_total",
        "labels": {"__name__": "http_requests_total", "app": "api", "pod": "127.0.0.1:7000"},
    }


def test_a_time_is_cut_off_to_whole_seconds_and_not_rounded() -> None:
    assert message(Sample("up", LABELS, 1.0), 1_795_489_200_999)["timestamp"] == "2026-11-24T03:00:00Z"


def test_a_message_has_the_bytes_of_the_adapters_json_marshal() -> None:
    labels = {"service": "a<b>&c", "instance": "127.0.0.1:7000", "zone": "Köln\u2028"}
    assert wire(message(Sample("http_requests_total", labels, 12.5), AT)).decode() == (
        '{"labels":{"__name__":"http_requests_total","instance":"127.0.0.1:7000","service":"a\\u003cb\\u003e\\u0026c","zone":"Köln\\u2028"},'
        '"name":"http_requests_total","timestamp":"2026-11-24T03:00:00Z","value":"12.5"}'
    )


@given(st.floats(0, 2e9), st.floats(-0.04, 0.9))
def test_each_second_is_scraped_once_in_its_middle(now: float, took: float) -> None:
    due = now + until_next(now)
    assert 0 < due - now <= 1.06
    assert due % 1 == pytest.approx(0.5, abs=1e-5)
    # Woken a little early, or back late from a scrape that timed out: the next one is still the next second's.
    again = due + took
    assert again + until_next(again) == pytest.approx(due + 1, abs=1e-5)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (1e-7, "0.0000001"), (3e22, "30000000000000000000000"), (math.inf, "+Inf"), (math.nan, "NaN")]
)
def test_a_number_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert number(value) == text


def test_a_scrape_becomes_a_message_for_each_sample_and_one_for_up() -> None:
    metrics = Metrics(dict(METRIC_NAMES), LABELS, {"cache": lambda: 0.9})
    metrics.served(0.02, failed=False)
    scrape = Scrape(TARGET, AT, up=True, samples=parse(TARGET, metrics.text().decode()))
    sent = messages(scrape)
    names = [one["name"] for one in sent]
    assert names.count("http_request_duration_seconds_bucket") == 21
    assert {"http_requests_total", "http_errors_total", "cache_hit_ratio", "up", "process_cpu_seconds_total"} <= set(names)
    assert sent[-1]["name"] == "up"
    assert sent[-1]["value"] == "1"
    assert all({"app", "pod", "__name__"} <= set(one["labels"]) for one in sent)
    assert all("le" in one["labels"] for one in sent if one["name"].endswith("_bucket"))


def test_a_target_that_does_not_answer_leaves_only_up() -> None:
    assert [(one["name"], one["value"]) for one in messages(Scrape(TARGET, AT, up=False))] == [("up", "0")]


def scrape(second: int, *, requests: float, errors: float = 0, seconds: float = 0, memory: float = 3e7) -> Scrape:
    values = {
        "http_requests_total": requests,
        "http_errors_total": errors,
        "http_request_duration_seconds_sum": seconds,
        "http_request_duration_seconds_count": requests,
        "process_resident_memory_bytes": memory,
    }
    return Scrape(TARGET, AT + second * 1000, up=True, samples=tuple(Sample(name, {}, value) for name, value in values.items()))


def fired(scrapes: list[Scrape]) -> list[set[str]]:
    rules = Rules({"api": 0.01})
    return [{alert.name for alert in rules.observe(one)} for one in scrapes]


def test_an_ordinary_service_alerts_nobody_and_neither_does_its_restart() -> None:
    before = [scrape(i, requests=40 * i, errors=i // 10, seconds=0.02 * 40 * i) for i in range(30)]
    after = [scrape(30 + i, requests=40 * i, errors=i, seconds=0.02 * 40 * i) for i in range(10)]
    assert set().union(*fired(before + after)) == set()


def test_failing_slow_and_large_services_alert_once_it_lasts() -> None:
    sick = [scrape(i, requests=40 * i, errors=16 * i, seconds=0.3 * 40 * i, memory=4e8) for i in range(8)]
    seen = fired(sick)
    assert seen[1] == set()
    assert seen[-1] == {"HighErrorRatio", "HighLatency", "HighMemory"}


def test_one_missed_scrape_is_no_alert_and_two_are() -> None:
    down = [Scrape(TARGET, AT + i, up=False) for i in range(2)]
    assert fired([scrape(0, requests=1), *down, scrape(3, requests=1)]) == [set(), set(), {"TargetDown"}, set()]


def alert(service: str) -> Alert:
    return Alert("HighLatency", "warning", {"service": service}, f"{service} is slow")


def test_an_alertmanager_tells_what_begins_repeats_what_lasts_and_tells_what_ends() -> None:
    manager = Alertmanager()
    first = manager.update(AT, [alert("a")])
    assert [(body["status"], len(body["alerts"])) for body in first] == [("firing", 1)]
    assert manager.update(AT + 1000, [alert("a")]) == []
    second = manager.update(AT + 2000, [alert("a"), alert("b")])
    assert [one["labels"]["service"] for one in second[0]["alerts"]] == ["a", "b"]
    assert manager.update(AT + 2000 + REPEAT_MS - 1, [alert("a"), alert("b")]) == []
    repeated = manager.update(AT + 2000 + REPEAT_MS, [alert("a"), alert("b")])
    assert [one["startsAt"] for one in repeated[0]["alerts"]] == ["2026-11-24T03:00:00.250Z", "2026-11-24T03:00:02.250Z"]
    part = manager.update(AT + 20_000, [alert("b")])
    assert [(one["status"], one["labels"]["service"]) for one in part[0]["alerts"]] == [("firing", "b"), ("resolved", "a")]
    end = manager.update(AT + 21_000, [])
    assert (end[0]["status"], [one["status"] for one in end[0]["alerts"]]) == ("resolved", ["resolved"])
    assert manager.update(AT + 60_000, []) == []


def test_a_body_has_the_shape_of_the_webhook() -> None:
    (body,) = Alertmanager().update(AT, [alert("a"), alert("b")])
    assert body["version"] == "4"
    assert body["groupKey"] == '{}:{alertname="HighLatency"}'
    assert body["commonLabels"] == {"alertname": "HighLatency", "severity": "warning"}
    assert {one["endsAt"] for one in body["alerts"]} == {STILL_FIRING}
    assert len({one["fingerprint"] for one in body["alerts"]}) == 2
    assert {"receiver", "externalURL", "truncatedAlerts", "commonAnnotations", "groupLabels"} <= set(body)


def rhythm(noise: float = 0.0, seed: str = "1") -> Rhythm:
    return Rhythm(LoadSpec(seed=seed, parent=1, rhythm_s=120, amplitude=0.3, noise=noise, streams=()))


def test_load_goes_up_and_down_in_its_rhythm() -> None:
    assert [round(rhythm().at(second), 3) for second in (0, 30, 60, 90, 120)] == [1.0, 1.3, 1.0, 0.7, 1.0]


def test_what_does_not_follow_the_rhythm_is_even() -> None:
    assert [rhythm().at(second, swing=0.0) for second in (0, 30, 90)] == [1.0, 1.0, 1.0]


def test_noise_is_drawn_from_the_seed() -> None:
    one, same, other = ([rhythm(0.1, seed).at(i) for i in range(50)] for seed in ("1", "1", "2"))
    assert one == same != other


def test_a_peak_rises_stays_and_falls() -> None:
    peak = rhythm()
    peak.rise(120, 1.5, ramp_s=10, hold_s=90)
    level = [round(peak.at(second) / rhythm().at(second), 3) for second in (119, 125, 130, 200, 220, 225, 230, 300)]
    assert level == [1.0, 1.25, 1.5, 1.5, 1.5, 1.25, 1.0, 1.0]
