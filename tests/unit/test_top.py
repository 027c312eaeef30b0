"""`airra top`: what is shown of each role, from two readings; who does not answer; how the command ends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import runfile
from cli.config import ConfigError
from cli.main import program
from cli.observe import ObserveServer
from cli.settings import read_settings
from cli.top import command, roles
from cli.top.readings import Reading, parse
from cli.top.roles import Role, given, running
from cli.top.rows import Row, Source, row, rows, silent
from cli.top.show import shown
from streams.harness.errors import Fatal

NORMALISE = """
airra_normalise_source_samples_total{topic="metrics",fate="accepted"} %d
airra_normalise_source_samples_total{topic="team",fate="refused"} %d
airra_normalise_source_samples_total{topic="team",fate="unmapped"} 7
airra_normalise_lag_records{topic="metrics"} 30
airra_normalise_lag_records{topic="team"} 12
airra_normalise_batch_records_bucket{le="10.0"} %d
airra_normalise_batch_records_bucket{le="+Inf"} %d
airra_normalise_cached_series 40
process_cpu_seconds_total %f
process_resident_memory_bytes 9e+07
process_start_time_seconds 1
"""
DETECT = """
airra_detect_received_rows_total{topic="metrics"} %d
airra_detect_rows_total{topic="metrics",fate="folded"} %d
airra_detect_rows_total{topic="other",fate="duplicate"} 1
airra_detect_rows_total{topic="metrics",fate="duplicate"} 2
airra_harness_poison_total{stage="detect",reason="unknown_type"} %d
airra_harness_records_total{stage="detect"} 9000
airra_harness_lag_records{stage="detect",partition="0"} 4
airra_harness_lag_records{stage="detect",partition="1"} 6
airra_normalise_cached_series 0
airra_detect_state_rows{partition="0",table="series"} 10
airra_detect_state_rows{partition="1",table="series"} 20
airra_detect_state_rows{partition="0",table="slots"} 5
airra_harness_snapshot_seconds_bucket{stage="detect",le="0.1"} 50
airra_harness_snapshot_seconds_bucket{stage="detect",le="0.2"} 100
airra_harness_snapshot_seconds_bucket{stage="detect",le="+Inf"} 100
airra_detect_anomalies_total{phase="opened",reason="shift",kind="latency"} %d
airra_detect_anomalies_total{phase="closed",reason="shift",kind="latency"} 2
"""


def test_what_is_shown_of_normalise() -> None:
    found = row("normalise-0", parse(NORMALISE % (100, 0, 0, 0, 5.0), 10.0), parse(NORMALISE % (300, 4, 2, 2, 6.5), 12.0))
    assert found.received_per_s == 102.0
    assert found.fates_per_s == {"accepted": 100.0, "refused": 2.0}
    assert found.lag == 42
    assert found.batch_p50 == 5.0
    assert found.state_rows == {"cached series": 40}
    assert found.snapshot_p50_s is None
    assert found.detections_per_min is None
    assert found.cpu_cores == 0.75
    assert found.rss_bytes == 90_000_000
    assert found.sources == [Source("metrics", 100.0, 30), Source("team", 2.0, 12)]


def test_what_is_shown_of_detect() -> None:
    found = row("detect-0", parse(DETECT % (0, 0, 0, 1), 10.0), parse(DETECT % (50, 40, 10, 4), 20.0))
    assert found.received_per_s == 5.0
    assert found.fates_per_s == {"folded": 4.0, "unknown_type": 1.0}
    assert found.lag == 10
    assert found.state_rows == {"series": 30, "slots": 5}
    assert found.snapshot_p50_s == pytest.approx(0.1)
    assert found.snapshot_p95_s == pytest.approx(0.19)
    assert found.detections_per_min == {"opened": 18.0}
    assert found.sources == [Source("metrics", 5.0, None)]


def test_a_role_that_began_anew_has_no_negative_rate() -> None:
    found = row("detect-0", parse(DETECT % (5000, 4000, 9, 9), 10.0), parse(DETECT % (50, 40, 0, 0), 20.0))
    assert found.received_per_s == 5.0
    assert found.fates_per_s == {"folded": 4.0}
    assert found.detections_per_min == {}


def test_the_first_reading_of_a_role_tells_what_needs_no_second() -> None:
    found = row("detect-0", None, parse(DETECT % (50, 40, 0, 0), 20.0))
    assert (found.lag, found.received_per_s, found.fates_per_s, found.cpu_cores) == (10, None, {}, None)


def test_a_role_that_does_not_answer_or_has_gone_is_named_beside_the_others() -> None:
    detect = parse(DETECT % (50, 40, 0, 0), 20.0)
    found = rows({"detect-0": parse(DETECT % (0, 0, 0, 0), 10.0), "sink-0": Reading(10.0)}, {"detect-0": detect, "api-0": "refused"})
    assert [(one.role, one.trouble) for one in found] == [("api-0", "refused"), ("detect-0", ""), ("sink-0", "no longer runs")]
    assert found[1].received_per_s == 5.0


def test_what_is_unknown_is_no_zero_on_the_screen() -> None:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(shown([silent("api-0", "\x1b[2Jgone"), Row("sink-0", received_per_s=0.0, fates_per_s={"written": 1234.5})]))
    text = captured.get()
    assert "no answer" in text
    assert "api-0: \\x1b[2Jgone" in text
    (sink,) = [line for line in text.splitlines() if "sink-0" in line]
    cells = [cell.strip() for cell in sink.split("│")[1:-1]]
    assert cells == ["sink-0", "0", "written 1,234", "–", "–", "", "–", "–", "–", "–"]


class Readings:
    """Answers in turn; sleeping takes no time."""

    def __init__(self, *answers: Mapping[str, Reading | str]) -> None:
        self._answers = iter(answers)
        self.slept: list[float] = []

    def ask(self, _: Sequence[Role]) -> Mapping[str, Reading | str]:
        return next(self._answers)

    def watch(self) -> Iterator[list[Row]]:
        return command.watch(list, self.ask, 2.0, self.slept.append)


def records(at_s: float, count: int) -> Reading:
    return parse(f'airra_harness_records_total{{stage="dedup"}} {count}\n', at_s)


def test_a_role_that_missed_a_reading_has_the_rate_since_the_one_before() -> None:
    readings = Readings({"a": records(0.0, 0)}, {"a": records(2.0, 4)}, {"a": "away"}, {"a": records(6.0, 12)})
    seen = [next(found) for found in [readings.watch()] for _ in range(3)]
    assert [(one.received_per_s, one.trouble) for (one,) in seen] == [(2.0, ""), (None, "away"), (2.0, "")]
    assert readings.slept == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("answers", [[{}], [{"a": "refused"}], [{"a": Reading(0.0)}, {"a": "refused"}]])
def test_where_no_role_answers_that_is_an_error(answers: list[Mapping[str, Reading | str]]) -> None:
    with pytest.raises(Fatal, match="no role"):
        next(Readings(*answers).watch())


@pytest.mark.parametrize("url", ["detect", "ftp://host/metrics", "http://", "http://host:port", "http://host:70000"])
def test_what_is_no_address_is_wrong_usage(url: str) -> None:
    with pytest.raises(ConfigError, match="--metrics"):
        given([url])


def test_an_address_may_leave_out_the_path() -> None:
    assert given(["http://a:9100", "http://b:9100/own", "http://a:9100"]) == [
        Role("a:9100", "http://a:9100/metrics"),
        Role("b:9100", "http://b:9100/own"),
    ]


def test_roles_are_found_by_their_run_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runfile.write(tmp_path, "detect", "0", observe_port=9100)
    runfile.write(tmp_path, "detect", "1", observe_port=9101)
    (tmp_path / "run/half-0.json").write_text('{"pid": ')
    (tmp_path / "run/sink-0.json").write_text(json.dumps({"pid": 2**22 + 1, "observe_port": 9102}))  # beyond the largest of Linux
    monkeypatch.setenv("AIRRA_OBSERVE_HOST", "0.0.0.0")
    found = running(read_settings(data_dir=tmp_path))
    assert [(one.name, one.url) for one in found[:2]] == [
        ("detect-0", "http://127.0.0.1:9100/metrics"),
        ("detect-1", "http://127.0.0.1:9101/metrics"),
    ]
    assert [(one.name, one.trouble) for one in found[2:]] == [("sink-0", f"process {2**22 + 1} has ended")]


@pytest.fixture
def server() -> Iterator[ObserveServer]:
    one = ObserveServer("127.0.0.1", 0, lambda: (True, {}))
    one.start()
    yield one
    one.stop()


def run(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(program(), ["top", *words])
    return result.exit_code, result.output, result.exception


def test_one_reading_as_json_with_the_silent_role_named(server: ObserveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "ANSWER_WITHIN_S", 0.5)
    target = tmp_path / "top.json"
    here, gone = f"http://127.0.0.1:{server.port}", "http://127.0.0.1:1/metrics"
    code, shown_text, _ = run("--once", "--every", "0.1", "--metrics", here, "--metrics", gone, f"--json={target}")
    assert code == 0
    assert "no answer" in shown_text
    answer = {one["role"]: one for one in json.loads(target.read_text())["roles"]}
    assert "does not answer" in answer["127.0.0.1:1"]["trouble"]
    assert answer[f"127.0.0.1:{server.port}"]["trouble"] == ""
    assert answer[f"127.0.0.1:{server.port}"]["rss_bytes"] > 1_000_000
    assert answer[f"127.0.0.1:{server.port}"]["cpu_cores"] >= 0


def test_without_an_answer_the_reason_is_told() -> None:
    code, _, error = run("--once", "--every", "0.1", "--metrics", "http://127.0.0.1:1")
    assert code == 1
    assert "http://127.0.0.1:1/metrics does not answer" in str(error)


def test_an_interval_of_nothing_is_wrong_usage() -> None:
    assert run("--every", "0")[0] == 2


def test_ctrl_c_ends_it_cleanly(monkeypatch: pytest.MonkeyPatch, server: ObserveServer) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    code, _, error = run("--metrics", f"http://127.0.0.1:{server.port}")
    assert (code, error) == (0, None)


def test_a_page_that_is_no_metrics_is_told(server: ObserveServer) -> None:
    found = roles.ask([Role("a", f"http://127.0.0.1:{server.port}/health"), Role("b", f"http://127.0.0.1:{server.port}/metrics")])
    assert "not Prometheus" in str(found["a"])
    assert isinstance(found["b"], Reading)
    assert found["b"].total("process_start_time_seconds") is not None
