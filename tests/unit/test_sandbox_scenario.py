"""A scenario file: every field has a default, and a mistake is told with its place and what would be right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.check import ScenarioError, load, parse
from sandbox.kinds import KIND_NAMES, KINDS
from sandbox.scenario import Fault, Scenario, Service
from sandbox.system import file_name

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "sandbox" / "scenarios").glob("*.yaml"))

CONTRACT = """
name: shop
load: {rps: 40, rhythm_s: 120, amplitude: 0.3, noise: 0.1}
services:
  - {name: gateway, entry: true, workers: 2, calls: [{to: catalog, per_request: 1.0}, {to: orders, per_request: 0.4}], work_ms: 3, criticality: high}
  - {name: catalog}
  - {name: orders, calls: [{to: inventory}]}
  - {name: inventory, workers: 2, calls: [], work_ms: 4, database: {pool: 8, query_ms: 5}, cache: {hit_ratio: 0.9}, metric_names: {latency: http_server_duration_seconds}, labels: {service: app, instance: pod}}
faults:
  - {name: leak, kind: memory_leak, service: inventory, after_s: 60, params: {mb_per_s: 8}, expected: {root_cause: inventory, action: restart}}
  - {name: crash, kind: crash_loop, service: orders, expected: {root_cause: orders, action: none}}
  - {name: quiet, kind: deploy, expected: {}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return path


def problems(data: object) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse(data)
    return caught.value.problems


def test_the_contracts_example_is_a_scenario(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, CONTRACT))
    assert scenario.entries() == ["gateway"]
    assert scenario.metric_name(scenario.service("inventory"), "latency") == "http_server_duration_seconds"
    assert scenario.label_name(scenario.service("inventory"), "service") == "app"
    assert scenario.label_name(scenario.service("orders"), "service") == "service"
    assert scenario.fault("crash").expected.action == "none"
    assert scenario.fault("quiet").expected.root_cause is None


@pytest.mark.parametrize("text", ["name: x\n", "", "services: [{name: only}]\n", "faults: [{}]\n"])
def test_whatever_is_left_out_has_a_default(tmp_path: Path, text: str) -> None:
    scenario = load(written(tmp_path, text))
    assert scenario.entries()
    assert scenario.load.rps == 40


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_every_kind_needs_no_more_than_its_name(kind: str) -> None:
    scenario = parse({"faults": [{"kind": kind}]})
    fault = scenario.fault(kind)
    service = scenario.service(scenario.guilty(fault))
    assert not KINDS[kind].needs or getattr(service, KINDS[kind].needs) is not None
    assert {name: fault.param(name) for name in KINDS[kind].params} == {name: param.default for name, param in KINDS[kind].params.items()}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_shipped_scenarios_are_valid_and_of_every_kind(path: Path) -> None:
    scenario = load(path)
    assert {fault.kind for fault in scenario.faults} == set(KIND_NAMES)
    for fault in scenario.faults:
        cure = KINDS[fault.kind].cure
        assert fault.expected.action == (None if cure.startswith("(") else cure)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"faults": [{"kind": "memory_leek"}]}, "faults[0].kind: 'memory_leek' is unknown (did you mean memory_leak?); one of memory_leak"),
        ({"servicez": []}, "servicez: unknown field (did you mean services?); fields here are name, load"),
        ({"services": [{"name": "a", "wrkers": 2}]}, "services[0].wrkers: unknown field (did you mean workers?)"),
        (
            {"services": [{"name": "a", "database": {"size": 2}}]},
            "services[0].database.size: unknown field; fields here are pool, query_ms",
        ),
        (
            {"faults": [{"kind": "cpu_burn", "params": {"ratio": 2}}]},
            "faults[0].params.ratio: cpu_burn has no such parameter; it has factor",
        ),
        ({"faults": [{"kind": "deploy", "params": {"x": 2}}]}, "faults[0].params.x: deploy has no such parameter; it has none"),
        ({"faults": [{"kind": "errors", "params": {"ratio": 3}}]}, "faults[0].params.ratio: 3 is outside 0.01 to 1"),
        ({"faults": [{"kind": "cpu_burn", "params": {"factor": 1}}]}, "faults[0].params.factor: 1 is outside 1.1 to 20"),
        (
            {"faults": [{"expected": {"root_cause": "gatway"}}]},
            "root_cause: no service 'gatway' (did you mean gateway?); services are gateway",
        ),
        (
            {"services": [{"name": "a", "entry": True}, {"name": "b"}], "faults": [{"kind": "errors", "service": "b"}]},
            "faults[0].service: no request reaches 'b', so no errors would show",
        ),
        (
            {
                "load": {"rps": 40},
                "services": [{"name": "a", "calls": [{"to": "b", "per_request": 0.01}]}, {"name": "b", "database": {}}],
                "faults": [{"kind": "pool_exhausted"}],
            },
            "faults[0].service: 'b' is asked 0.4 times a second; its pool runs dry from 1 on",
        ),
        (
            {
                "services": [{"name": "a", "cache": {"hit_ratio": 0.5}}],
                "faults": [{"kind": "cache_poisoned", "params": {"hit_ratio": 0.5}}],
            },
            "faults[0].params.hit_ratio: 0.5 is no less than the 0.5 of a's cache",
        ),
        ({"faults": [{"name": "-leak"}]}, "faults[0].name: '-leak' begins with a dash"),
        ({"worker_cpu": 0.5, "faults": [{"kind": "cpu_burn"}]}, "file: the system would use"),
        ({"name": "two\nlines"}, "name: 'two\\nlines' holds what cannot be printed"),
        ({"services": [{"name": "a", "workers": "two"}]}, "services[0].workers: input should be a valid integer, not 'two'"),
        ({"services": [{"name": "a", "calls": [{"to": "b"}]}]}, "services[0].calls[0].to: no service 'b'; services are a"),
        ({"services": [{"name": "a"}, {"name": "a"}]}, "services[1].name: 'a' is there twice"),
        ({"faults": [{"service": "nobody"}]}, "faults[0].service: no service 'nobody'"),
        ({"services": [{"name": "a", "metric_names": {"latencies": "x"}}]}, "services[0].metric_names.latencies: 'latencies' is unknown"),
        ({"services": [{"name": "a", "metric_names": {"errors": "up"}}]}, "services[0].metric_names.errors: 'up' is the scraper's own"),
        ({"labels": {"service": "pod", "instance": "pod"}}, "services[0].labels: service and instance have the same label 'pod'"),
        (
            {"services": [{"name": "a"}], "faults": [{"kind": "pool_exhausted"}]},
            "pool_exhausted needs a service with a database; none has one",
        ),
        ({"faults": [{"expected": {"action": "reboot"}}]}, "faults[0].expected.action: 'reboot' is unknown"),
        ([1, 2], "holds a list; a scenario is a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_place(data: object, told: str) -> None:
    assert any(told in problem for problem in problems(data)), problems(data)


@pytest.mark.parametrize("text", ["expected:", "params:", "params: {factor: }", "name:", "after_s:", "service:", "expected: {action: }"])
def test_an_empty_field_of_a_fault_is_as_good_as_absent(tmp_path: Path, text: str) -> None:
    scenario = load(written(tmp_path, f"faults:\n  - kind: cpu_burn\n    {text}\n"))
    assert scenario.faults == [Fault(kind="cpu_burn")]


@pytest.mark.parametrize("text", ["faults:", "load:", "services:", "load: {rps: }", "labels:", "metric_names: {errors: }", "worker_cpu:"])
def test_an_empty_field_of_the_file_is_as_good_as_absent(tmp_path: Path, text: str) -> None:
    assert load(written(tmp_path, text + "\n")) == Scenario()


def test_an_entry_of_which_nothing_is_said_is_the_default(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, "services:\n  -\nfaults:\n  -\n"))
    assert (scenario.services, scenario.faults) == ([Service(name="service-1")], [Fault()])


@pytest.mark.parametrize("text", ["calls:", "database:", "cache:", "flags:", "release:", "name:", "labels:"])
def test_an_empty_field_of_a_service_is_as_good_as_absent(tmp_path: Path, text: str) -> None:
    assert load(written(tmp_path, f"services:\n  - {text}\n")).services == [Service(name="service-1")]


def test_a_service_without_a_name_is_named_by_its_place() -> None:
    services = [{}, {"name": "service-2"}, {"workers": 3}, {"name": "service-4"}, {}]
    assert [one.name for one in parse({"services": services}).services] == ["service-1", "service-2", "service-3", "service-4", "service-5"]
    assert [one.name for one in parse({"services": [{"name": "service-2"}, {}]}).services] == ["service-2", "service-3"]


def test_names_are_free_text_where_nothing_depends_on_them(tmp_path: Path) -> None:
    scenario = load(
        written(
            tmp_path,
            "name: my shop\nservices: [{name: team/a, release: 2.4}, {name: b, release: 2026-11-24}, {name: 7, release: 12}]\n"
            "faults: [{name: bad release, kind: errors, service: team/a, expected: {root_cause: team/a}}]\n",
        )
    )
    assert (scenario.name, scenario.fault("bad release").service) == ("my shop", "team/a")
    assert [(one.name, one.release) for one in scenario.services] == [("team/a", "2.4"), ("b", "2026-11-24"), ("7", "12")]
    assert file_name("team/a", "db") == "team%2Fa.db"


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "load: {? {a: 1} : 2}", "name: 2026-13-45"])
def test_a_field_that_is_no_name_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["check", "--scenario", str(written(tmp_path, text))]) == 2
    assert "is not YAML" in capsys.readouterr().err


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    faults = "\n".join(f"  - {{kind: deploy, name: n{i}}}" for i in range(5000))
    path = written(tmp_path, f"faults:\n{faults}\n")
    command = [sys.executable, "-m", "sandbox", "faults", "--scenario", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("n0 ")
        process.stdout.close()
        assert process.stderr.read() == ""


def test_check_tells_where_the_system_is_not_to_the_letter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "load: {amplitude: 0.8}\nfaults: [{kind: cpu_burn, params: {factor: 2}}]\n"
    assert main(["check", "--scenario", str(written(tmp_path, text))]) == 0
    told = capsys.readouterr().out
    assert "note: load.amplitude: the load swings by 0.5, not 0.8" in told
    assert "note: faults[0].params.factor: 5.2 is used, for 2 would fit into what api's workers can serve" in told


def test_calls_in_a_circle_are_refused() -> None:
    services = [{"name": "a", "calls": [{"to": "b"}]}, {"name": "b", "calls": [{"to": "a"}]}]
    assert "a → b → a" in problems({"services": services})[0]


def test_a_field_written_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="'rps' stands twice"):
        load(written(tmp_path, "load: {rps: 40, rps: 50}\n"))


def test_check_exits_2_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "faults: [{kind: nonsense}]\n")
    assert main(["check", "--scenario", str(path)]) == 2
    assert f"{path}: faults[0].kind: 'nonsense' is unknown" in capsys.readouterr().err
    assert main(["check", "--scenario", str(written(tmp_path, CONTRACT))]) == 0


@pytest.mark.parametrize("text", ["a: [", "\tx", "name: {a: b: c}"])
def test_what_is_not_yaml_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert main(["check", "--scenario", str(written(tmp_path, text))]) == 2
    assert "is not YAML" in capsys.readouterr().err
    assert main(["check", "--scenario", str(tmp_path / "absent.yaml")]) == 2


def test_an_unknown_fault_exits_2_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, CONTRACT)
    arguments = ["run", "--scenario", str(path), "--fault", "flood", "--broker", "127.0.0.1:1", "--work-dir", str(tmp_path / "work")]
    assert main(arguments) == 2
    assert "no fault 'flood'; it has leak, crash, quiet" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_faults_are_listed_with_what_is_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "--scenario", str(written(tmp_path, CONTRACT)), "--json"]) == 0
    listed = {fault["name"]: fault for fault in json.loads(capsys.readouterr().out)}
    assert listed["leak"] == {
        "name": "leak",
        "kind": "memory_leak",
        "service": "inventory",
        "after_s": 60,
        "params": {"mb_per_s": 8},
        "expected": {"root_cause": "inventory", "action": "restart"},
    }
    assert listed["crash"]["params"] == {"every_s": 5}
    assert listed["quiet"]["expected"] == {}


def test_a_service_with_a_database_always_has_a_flag_that_is_off() -> None:
    scenario = Scenario.model_validate({"services": [{"name": "a", "database": {}, "flags": {"x": True}}]})
    assert scenario.flags(scenario.service("a")) == {"x": True, "live_reads": False}
