"""A campaign of demos goes on where it was, and what it came to stands in a table."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.config import ConfigError
from cli.demo import all as campaign
from cli.demo import ledger
from cli.demo.batch import NO_FAULT, Job, jobs, quiet
from cli.demo.ending import Until

ROOT = Path(__file__).resolve().parents[2]
SHOP = Path("sandbox/scenarios/shop.yaml")


def line(
    fault: str, seed: int, to_incident: float | None, *, cause: str | None = "inventory", met: bool = True, **more: Any
) -> dict[str, Any]:
    run = {"fault": fault, "seed": seed, "met": met, "incidents": int(to_incident is not None), "expected": {"root_cause": cause}}
    run |= {
        "seconds": {"fault_to_incident": to_incident, "total": 90.0},
        "said": [] if met else ["NOT MET  no incident was opened"],
        **more,
    }
    return {"scenario": "shop.yaml", "until": "incident", "commit": "abc", "on": "2026-11-30T00:00:00Z", "run": run}


def test_a_row_counts_what_was_found_in_time_and_what_was_found_of_nothing() -> None:
    lines = [line("leak", 1, 6.0), line("leak", 2, 21.0, met=False), line("leak", 3, None, met=False), line("peak", 1, 4.0, cause=None)]
    told = ledger.report(lines)
    assert "| leak | inventory | 3 | 1 | 1 of 3 | 13.5 | 21.0 |  | abc |" in told
    assert "| peak |  | 1 | 1 |  |  |  | 1 | abc |" in told
    assert "| **all** | inventory | 4 | 2 | 1 of 3 | 13.5 | 21.0 | 1 | abc |" in told
    assert "- leak, seed 3: NOT MET  no incident was opened" in told


def test_hours_without_a_fault_are_told_as_hours() -> None:
    told = ledger.report([line(NO_FAULT, 1, None, cause=None, seconds={"fault_to_incident": None, "total": 7200.0})])
    assert "| none | nothing, for 2.0 h | 1 | 1 |  |  |  | 0 | abc |" in told


def test_the_newest_line_of_a_run_counts(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    for took in (6.0, 7.0):
        ledger.append(kept, line("leak", 1, took))
    (found,) = ledger.read(kept).values()
    assert found["run"]["seconds"]["fault_to_incident"] == 7.0


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"run": {}}', '{"run": {"fault": "leak", "seed": "x"}, "scenario": "s", "until": "incident"}']
)
def test_what_is_no_line_is_named(text: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text(json.dumps(line("leak", 1, 6.0)) + "\n" + text + "\n")
    with pytest.raises(ConfigError, match=r"kept\.jsonl, line 2"):
        ledger.read(kept)


def test_a_quiet_run_is_given_its_seconds_and_is_waited_for_as_long() -> None:
    job = quiet(SHOP, 3, 7200.0)
    assert job.command(None)[-4:] == ["--seconds", "7200.0", "--yes", "--json"]
    assert (job.fault, job.waiting_s) == (NO_FAULT, 7200.0)


def test_what_stands_in_the_ledger_is_not_run_again_and_the_rest_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept.jsonl"
    ran: list[Job] = []
    answer = json.dumps(line("burn", 1, 5.0)["run"])

    def command(job: Job, _: Path | None) -> list[str]:
        ran.append(job)
        return [sys.executable, "-c", f"print({answer!r})"]

    monkeypatch.setattr(Job, "command", command)
    monkeypatch.setattr(campaign, "faults", lambda _: [{"name": "leak"}, {"name": "burn"}])
    arguments = ["demo-all", "--scenario", str(SHOP), "--seeds", "1", "--until", "incident", "--ledger", str(kept)]
    ledger.append(kept, line("leak", 1, 6.0))
    monkeypatch.setattr(sys, "argv", arguments)
    assert campaign.main() == 0
    assert [job.fault for job in ran] == ["burn"]
    assert set(ledger.read(kept)) == {("shop.yaml", name, 1, Until.INCIDENT, 0.0) for name in ("leak", "burn")}
    assert campaign.main() == 0
    assert len(ran) == 1
    monkeypatch.setattr(sys, "argv", [*arguments, "--again"])
    assert campaign.main() == 0
    assert [job.fault for job in ran] == ["burn", "leak", "burn"]


def test_a_run_after_more_clean_traffic_is_another_run(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    short, long = (jobs(SHOP, [{"name": "leak"}], [1], Until.WATCHED, calm_s)[0] for calm_s in (60.0, 300.0))
    ledger.append(kept, ledger.entry(short, {"fault": "leak", "seed": 1, "waiting_s": short.waiting_s}, "abc"))
    assert [ledger.key_of(job) in ledger.read(kept) for job in (short, long)] == [True, False]
    assert "--calm" not in short.command(None)
    assert long.command(None)[long.command(None).index("--calm") + 1] == "300.0"


def test_the_report_is_written_beside_its_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept.jsonl"
    ledger.append(kept, line("leak", 1, 6.0))
    monkeypatch.setattr(sys, "argv", ["demo-all", "--ledger", str(kept), "--report"])
    assert campaign.main() == 0
    assert "| leak | inventory | 1 | 1 | 1 of 1 | 6.0 | 6.0 |  | abc |" in (tmp_path / "kept.md").read_text()
    monkeypatch.setattr(sys, "argv", ["demo-all", "--report"])
    assert campaign.main() == 2


def test_the_table_in_the_docs_is_that_of_the_ledger() -> None:
    kept = ROOT / "docs" / "sandbox.jsonl"
    assert kept.with_suffix(".md").read_text() == ledger.report(ledger.read(kept).values())
