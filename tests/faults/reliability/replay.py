"""What was recorded is folded again, stage by stage, and must say the same; the doctor's account of it must add up, and must bite."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cli.demo.command import ROOT
from cli.demo.stack import Stack
from schemas import topics
from tests.faults.kill_loop import CASES, run_case
from tests.faults.poison.flood import flood
from tests.faults.reliability.case import Case, Chapter, Finding, Ground
from tests.faults.reliability.ledger import REPO
from tests.faults.store.sinking import until

KILLS = ("control-after-proposal", "control-after-started", "detect-mid-loop", "normalise-mid-loop", "dedup-mid-loop", "sink-mid-loop")
SETTLED_S = 60.0
STAGES = ("normalise metrics", "detect", "dedup", "correlate", "reason", "approve", "admit", "report", "verify", "grants", "sink")


def airra(bootstrap: str, folder: Path, *arguments: str, **settings: object) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    env |= {"AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_DATA_DIR": str(folder), "AIRRA_CONFIG_DIR": str(ROOT / "config")}
    env |= {f"AIRRA_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout if done.returncode < 2 and done.stdout else done.stderr


def account(bootstrap: str, folder: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """Ask the doctor for its account of conservation."""
    code, said = airra(bootstrap, folder, "doctor", *arguments, "--json")
    try:
        findings = json.loads(said)["findings"]
    except ValueError as error:
        raise RuntimeError(f"airra doctor ended with {code}: {said[-500:]}") from error
    return {found["what"].removeprefix("conservation: "): found for found in findings if found["what"].startswith("conservation")}


def judged(item: str, injected: int, accounts: dict[str, dict[str, str]], stages: tuple[str, ...], *wrong: str) -> Finding:
    """Say what the doctor's account says; a stage without an account, or with an empty one, is a fault too."""
    bad = [f"{name}: {found['detail']}" for name, found in accounts.items() if not found["ok"]]
    empty = [f"{name} has taken nothing" for name in stages if accounts.get(name, {}).get("detail", "0 taken").startswith("0 taken")]
    taken = ", ".join(f"{name} {accounts[name]['detail'].split(' taken')[0]}" for name in stages if name in accounts)
    return Finding(item, injected, equal=not bad, notes=f"records taken: {taken}", failed=(*bad, *empty, *(text for text in wrong if text)))


def campaign(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """A fault of the sandbox from injection to outcome, with a SIGKILL in its course; recorded; folded again."""
    for name in KILLS:
        if name in done:
            continue
        folder = ground.new_folder("campaign")
        with ground.own_kafka() as broker:
            case = next(case for case in CASES if case.name == name)
            wrong = run_case(case, broker.bootstrap, folder / "run", lambda line: ground.say(f"    {line}"))
            recording = folder / "recording"
            written = {
                name: folder / "run" / "sandbox" / f"{name.removesuffix('_file')}.yaml" for name in ("metrics_file", "topology_file")
            }
            code, said = airra(
                broker.bootstrap, folder, "topics", "record", str(recording), **written
            )  # what the sandbox wrote was in force
            if code:
                yield Finding(name, 1, failed=(f"airra topics record: {said[-300:]}",))
                continue
        accounts = account("127.0.0.1:9", folder, "--recording", str(recording))
        yield judged(name, 1, accounts, STAGES, *wrong)
        if f"{name}, harmed" not in done:
            yield bites(f"{name}, harmed", folder, recording)


def bites(item: str, folder: Path, recording: Path) -> Finding:
    """Take one record out of a recording, in turn from each topic: the doctor must miss it."""
    blind = []
    for topic in WRITTEN:
        harmed = folder / "harmed"
        shutil.copytree(recording, harmed)
        if not without_one(harmed, topic):
            blind.append(f"{topic}: nothing to take out")
        elif all(found["ok"] for found in account("127.0.0.1:9", folder, "--recording", str(harmed)).values()):
            blind.append(f"{topic}: a record was taken out and the doctor said nothing")
        shutil.rmtree(harmed)
    return Finding(item, len(WRITTEN), failed=tuple(blind))


def without_one(recording: Path, topic: str) -> bool:
    """Take out the last record that a stage has written, and what a crash repeated of it; the offsets of the others stay."""
    for file in sorted(recording.glob(f"{topic}-*.jsonl")):
        lines = file.read_text().splitlines(keepends=True)
        for index in range(len(lines) - 1, -1, -1):
            headers = {name: base64.b64decode(value) for name, value in json.loads(lines[index])[4]}
            if headers.get("airra.type") in WRITTEN[topic]:
                value = json.loads(lines[index])[3]
                file.write_text("".join(line for line in lines if json.loads(line)[3] != value))
                return True
    return False


WRITTEN = {
    topics.SAMPLES.name: {b"samples"},
    topics.SIGNALS.name: {b"anomaly", b"health"},
    topics.INCIDENTS.name: {b"incident"},
    topics.APPROVALS.name: {b"decision"},
    topics.ACTIONS.name: {b"grant"},
    topics.OUTCOMES.name: {b"outcome"},
    topics.NOTICES.name: {b"notice"},
}


def live(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """The data plane under good records and poison, looked at while it runs, killed, and looked at again; then recorded."""
    item = "the data plane, live and recorded"
    if item in done:
        return
    folder = ground.new_folder("live")
    roles = ("normalise", "detect", "dedup")
    with ground.own_kafka() as broker, Stack(folder, {"config_dir": ROOT / "config"}, broker.bootstrap, roles=roles) as stack:
        stack.start_roles()
        stack.wait_ready(roles)
        good = 3_000 if ground.sample else 200_000
        for topic, count in (("metrics", good), ("alerts", 200), ("changes", 50)):
            flood(broker.bootstrap, topic, count // 2, count // 20)
        assert stack.supervisor is not None
        for role in roles:
            os.kill(stack.supervisor.pid(role) or 0, 9)
        for topic, count in (("metrics", good), ("alerts", 200), ("changes", 50)):
            flood(broker.bootstrap, topic, count // 2, count // 20)
        wanted = ("normalise metrics", "normalise alerts", "normalise changes", "detect", "dedup")
        seen: dict[str, dict[str, str]] = {}

        def taken() -> bool:
            seen.update(account(broker.bootstrap, folder, "--whole"))
            return all("wait" not in seen[name]["detail"] for name in wanted[:3])

        until(taken, SETTLED_S, "normalise has taken everything")
        code, said = airra(broker.bootstrap, folder, "topics", "record", str(folder / "recording"))
    recorded = account("127.0.0.1:9", folder, "--recording", str(folder / "recording"))
    wrong = [f"live, {name}: {found['detail']}" for name, found in seen.items() if not found["ok"] and name in wanted]
    yield judged(item, len(roles), recorded, wanted, *wrong, "" if code == 0 else said)


CHAPTER = Chapter(
    "replay",
    "Replay and conservation",
    (
        Case(
            "campaign",
            "a fault of the sandbox with a SIGKILL in its course, recorded: every stage folds its log again to identical records, the account "
            "adds up; and with one record taken out of any topic it does not",
            campaign,
            minutes=18,
        ),
        Case("doctor", "the doctor's account of a data plane that runs and is killed, live and recorded", live, minutes=2, in_sample=True),
    ),
)
