"""What was recorded is folded again, stage by stage, and must say the same in the same order; the doctor's account must add up, and bite.

The account is made of the live system first, control plane and store included, once every stage and the sink have come to the end of
what stood on their logs when the telemetry had stopped.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cli.conserve.check import NORMALISE, groups
from cli.conserve.logs import LiveLogs, Logs, Place
from cli.conserve.recording import Recording
from cli.demo.command import ROOT
from cli.demo.run import Run
from cli.demo.stack import Stack
from cli.settings import read_settings
from cli.wiring import folds
from schemas import topics
from streams.harness.app import group_of
from streams.harness.kafka import KafkaSettings
from streams.normalise.lanes import EVENTS
from tests.faults.kill_loop import CASES, run_case
from tests.faults.poison.flood import flood
from tests.faults.reliability import loop
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, Listed
from tests.faults.reliability.ledger import REPO
from tests.faults.reliability.order import behind, ends, out_of_order, unordered_sources
from tests.faults.store.sinking import until

SETTLED_S = 60.0
QUIET_WITHIN_S = 120.0  # windows that wait for late samples close, incidents are resolved
STAGES = ("normalise metrics", "detect", "dedup", "correlate", "reason", "approve", "admit", "report", "verify", "grants", "sink")


def airra(bootstrap: str, folder: Path, *arguments: str, **settings: object) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRRA_")}
    env |= {"AIRRA_KAFKA_BOOTSTRAP": bootstrap, "AIRRA_DATA_DIR": str(folder), "AIRRA_CONFIG_DIR": str(ROOT / "config")}
    env |= {f"AIRRA_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout if done.returncode < 2 and done.stdout else done.stderr


def account(bootstrap: str, folder: Path, *arguments: str, **settings: object) -> dict[str, dict[str, str]]:
    """Ask the doctor for its account of conservation."""
    code, said = airra(bootstrap, folder, "doctor", *arguments, "--json", **settings)
    try:
        findings = json.loads(said)["findings"]
    except ValueError as error:
        raise RuntimeError(f"airra doctor ended with {code}: {said[-500:]}") from error
    return {found["what"].removeprefix("conservation: "): found for found in findings if found["what"].startswith("conservation")}


def faults(accounts: dict[str, dict[str, str]], stages: tuple[str, ...]) -> list[str]:
    """Name what does not add up; a stage without an account, or with an empty one, is a fault too."""
    bad = [f"{name}: {found['detail']}" for name, found in accounts.items() if not found["ok"]]
    return bad + [f"{name} has taken nothing" for name in stages if accounts.get(name, {}).get("detail", "0 taken").startswith("0 taken")]


def judged(item: str, injected: int, accounts: dict[str, dict[str, str]], stages: tuple[str, ...], *wrong: str) -> Finding:
    """Say what the doctor's account says."""
    bad = faults(accounts, stages)
    taken = ", ".join(f"{name} {accounts[name]['detail'].split(' taken')[0]}" for name in stages if name in accounts)
    return Finding(item, injected, equal=not bad, notes=f"records taken: {taken}", failed=(*bad, *(text for text in wrong if text)))


def at_the_end(logs: Logs, of: Mapping[str, Sequence[str]], within_s: float = SETTLED_S) -> dict[Place, int]:
    """Wait until every group has taken what stands on its logs now, ticks aside; return these ends."""
    wanted = ends(logs, of)
    late: list[str] = []

    def taken() -> bool:
        late[:] = behind(logs, of, wanted)
        return not late

    try:
        until(taken, within_s, "every stage has folded to the end of its log")
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {'; '.join(late)}") from error
    return wanted


def quiet(logs: Logs, of: Mapping[str, Sequence[str]]) -> dict[Place, int]:
    """Wait until one stage after the other has come to its end and none has said anything more; return the ends."""
    deadline = time.monotonic() + QUIET_WITHIN_S
    wanted = at_the_end(logs, of)
    while (more := ends(logs, of)) != wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the logs do not come to rest: {[place for place, end in more.items() if end != wanted[place]]}")
        wanted = at_the_end(logs, of)
    return wanted


def ordered(folder: Path, of: Mapping[Place, int], roles: Collection[str] | None = None) -> list[str]:
    """Name what stands in a recording in another order than its stages say, and who had not come to these ends."""
    recording = Recording(folder)
    settings = read_settings(**recording.overrides)
    reading = {group: named for group, named in groups(settings).items() if roles is None or group in roles}
    stages = [stage for stage in folds(settings) if group_of(stage.name) in reading]
    return [*behind(recording, reading, of), *out_of_order(recording, stages), *unordered_sources(recording)]


def looked(at: dict[Place, int], written: Mapping[str, Path], run: Run) -> list[str]:
    """Make the account of a live system, store included, once it has come to rest; note where each log ends then."""
    assert run.stack is not None
    try:
        at |= quiet(LiveLogs(run.stack.kafka), groups(read_settings(config_dir=ROOT / "config")))
    except RuntimeError as error:
        return [f"live: {error}"]
    accounts = account(run.stack.bootstrap, run.plan.directory, "--whole", **written)
    unasked = [f"{name}: {found['detail']}" for name, found in accounts.items() if "was not asked" in found["detail"]]
    return [f"live, {text}" for text in (*faults(accounts, STAGES), *unasked)]


def campaign(ground: Ground, done: frozenset[str]) -> Iterator[Finding]:
    """A fault of the sandbox from injection to outcome, with a SIGKILL in its course; looked at live; recorded; folded again."""
    for name in loop.RECORDED[: 1 if ground.sample else None]:
        if {name, f"{name}, harmed"} <= done:
            continue
        folder = ground.new_folder("campaign")
        recording = folder / "recording"
        at: dict[Place, int] = {}
        # What the sandbox wrote was in force.
        written = {name: folder / "run" / "sandbox" / f"{name.removesuffix('_file')}.yaml" for name in ("metrics_file", "topology_file")}
        with ground.own_kafka() as broker:
            case = next(case for case in CASES if case.name == name)
            found = run_case(
                case, broker.bootstrap, folder / "run", lambda line: ground.say(f"    {line}"), look=partial(looked, at, written)
            )
            code, said = airra(broker.bootstrap, folder, "topics", "record", str(recording), **written)
        if code:
            yield replace(found, failed=(*found.failed, f"airra topics record: {said[-300:]}"))
            continue
        accounts = account("127.0.0.1:9", folder, "--recording", str(recording))
        told = judged(name, 1, accounts, STAGES, *ordered(recording, at))
        yield replace(found, equal=told.equal, notes=told.notes, failed=(*found.failed, *told.failed))
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
    item = LIVE
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
        of = groups(read_settings(config_dir=ROOT / "config"))
        at = quiet(LiveLogs(KafkaSettings(broker.bootstrap)), {group: of[group] for group in DATA_PLANE})
        code, said = airra(broker.bootstrap, folder, "topics", "record", str(folder / "recording"))
    recorded = account("127.0.0.1:9", folder, "--recording", str(folder / "recording"))
    wrong = [f"live, {name}: {found['detail']}" for name, found in seen.items() if not found["ok"] and name in wanted]
    yield judged(item, len(roles), recorded, wanted, *wrong, "" if code == 0 else said, *ordered(folder / "recording", at, DATA_PLANE))


LIVE = "the data plane, live and recorded"
DATA_PLANE = (NORMALISE, f"airra-{EVENTS}", group_of("detect"), group_of("dedup"))


CHAPTER = Chapter(
    "replay",
    "Replay and conservation",
    (
        Case(
            "campaign",
            "a fault of the sandbox with a SIGKILL in its course, looked at live and recorded: every stage and the sink come to the end of "
            "their logs, every stage folds its log again to identical records in the same order, the account adds up; and with one record "
            "taken out of any topic it does not",
            Listed(tuple(item for name in loop.RECORDED for item in (name, f"{name}, harmed")), campaign),
            minutes=24,
        ),
        Case(
            "doctor",
            "the doctor's account of a data plane that runs and is killed, live and recorded",
            Listed((LIVE,), live),
            minutes=2,
            in_sample=True,
        ),
        *loop.CASES,
    ),
)
