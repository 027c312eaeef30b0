"""Load: the lag of one plane never delays the other, nothing grows, every cap is reached once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from api.read_model import KEPT
from cli.demo.stack import Stack
from cli.roles import ROLES
from models.approvals.case import MAX_CASES, MAX_FORGOTTEN
from schemas.settings import Settings
from schemas.topics import RAW_METRICS, SAMPLES
from tests.faults.detecting import detecting
from tests.faults.load import behind as control_behind
from tests.faults.load import caps
from tests.faults.load.account import account
from tests.faults.load.probe import Probe, Times
from tests.faults.load.roles import DETECT_GROUP, NORMALISE_GROUP, Pids, behind, resident_mb
from tests.faults.load.tables import COUNTED, WAITED_FOR
from tests.faults.load.traffic import Shape, Traffic
from tests.faults.points.acting_world import configuration
from tests.faults.reliability.case import Case, Chapter, Finding, Ground, single
from tests.faults.reliability.ledger import REPO
from tests.faults.reliability.report import percentile

PER_SECOND, HOUR_S = 20_000, 3600
WITHIN_S = 2.0  # an alert, an approval
DRAINED_WITHIN_S = 3600.0
LOOK_EVERY_S = 5.0
STEADY_PER_SECOND = 2_000
SETTLED_S = 900  # of a soak: caches and allocators have their size
FILLED = max(KEPT, MAX_CASES + MAX_FORGOTTEN) + 100  # incidents: then the API's and approve's tables are full
FILLING, FILLED_WITHIN_S = 6, 3600.0  # at a time
ARMED_S = 4 * 3600.0
GROWTH = 1.05  # of a role's memory from then to the end


@contextlib.contextmanager
def everything(ground: Ground, bootstrap: str) -> Iterator[Stack]:
    """Run all roles as `airra up` does, in a dry run."""
    folder = ground.new_folder("load")
    with Stack(folder / "run", {"config_dir": configuration(folder)}, bootstrap) as stack:
        yield stack


def backlog(ground: Ground) -> Finding:
    """Write an hour of samples while nothing reads, then start everything; probe until all is folded, and account for every sample."""
    shape, seconds = (Shape(2_000), 60) if ground.sample else (Shape(PER_SECOND), HOUR_S)
    with ground.own_kafka() as broker:
        with everything(ground, broker.bootstrap) as stack:
            traffic = Traffic(broker.bootstrap, shape)
            traffic.history(seconds, ground.say)
            stack.start_roles()
            stack.wait_ready(["sink", "api", "dedup"])
            begun = time.monotonic()
            with Probe(stack) as probe:
                drained = _drained(broker.bootstrap, ground, begun)
                took = time.monotonic() - begun
        ground.say("  counting rows, and folding them linearly")
        found = account(broker.bootstrap, detecting(Settings(kafka_bootstrap=broker.bootstrap)))
    notes = f"{traffic.sent:,} samples drained in {took:.0f} s ({traffic.sent / took:,.0f}/s); {_told(probe)}"
    failed = [*_slow("alert", probe.alerts), *_slow("approval", probe.approvals), *found.failed]
    if not drained:
        failed.append(f"not drained within {DRAINED_WITHIN_S:.0f} s")
    if found.samples != traffic.sent:
        failed.append(f"{found.samples} raw samples stand on their log, {traffic.sent} were sent")
    return Finding(
        "backlog", 1, lost=found.lost, doubled=found.doubled, wrong=found.wrong, equal=found.equal, notes=notes, failed=tuple(failed)
    )


def other_plane(ground: Ground) -> Finding:
    """Stop the control role with a backlog before it, under load; the data plane must be on time until all of it is worked off."""
    with ground.own_kafka() as broker, everything(ground, broker.bootstrap) as stack:
        stack.start_roles()
        stack.wait_ready(["sink", "api", "dedup"])
        size = control_behind.SAMPLE if ground.sample else control_behind.FULL
        with control_behind.Steady(stack) as steady, Probe(stack) as probe:
            found = control_behind.stopped(stack, steady, size, ground.say)
        failed = [*_slow("alert", probe.alerts), *found.late(), *found.failed]
    notes = f"control stopped for {size.stopped_s:.0f} s, {found.behind:,} records behind, worked off in {found.took_s:.0f} s; "
    notes += f"alerts worst {max(probe.alerts.took.values(), default=0.0):.2f} s, {found.words()}"
    return Finding("control behind", 1, recovery_s=(found.took_s,), notes=notes, failed=tuple(failed))


def _drained(bootstrap: str, ground: Ground, begun: float) -> bool:
    while time.monotonic() - begun < DRAINED_WITHIN_S:
        raw, samples = behind(bootstrap, NORMALISE_GROUP, RAW_METRICS.name), behind(bootstrap, DETECT_GROUP, SAMPLES.name)
        if raw == 0 and samples == 0:
            return True
        ground.say(f"  {raw:,} raw records and {samples:,} batches behind")
        time.sleep(LOOK_EVERY_S)
    return False


def _told(probe: Probe) -> str:
    return "; ".join(
        f"{name} p50 {percentile(times, 0.5):.2f} p99 {percentile(times, 0.99):.2f} worst {max(times):.2f} s of {len(times)}"
        for name, times in (
            (name, list(found.took.values())) for name, found in (("alerts", probe.alerts), ("approvals", probe.approvals)) if found.took
        )
    )


def _slow(name: str, times: Times) -> list[str]:
    late = [value for value in times.took.values() if value > WITHIN_S]
    unanswered = times.waiting()
    failed = [f"{len(late)} of {len(times.took)} {name}s took more than {WITHIN_S:.0f} s, the worst {max(late):.1f} s"] if late else []
    if unanswered:
        failed.append(f"{len(unanswered)} {name}s had no answer at the end")
    if not times.took:
        failed.append(f"no {name} was answered")
    return failed


def soak(ground: Ground) -> Finding:
    """Run everything for an hour at a steady load; compare each role's memory after a quarter of an hour with that at the end."""
    sizes: dict[str, list[tuple[float, float]]] = {role: [] for role in ROLES}
    with ground.own_kafka() as broker, everything(ground, broker.bootstrap) as stack:
        stack.start_roles()
        stack.wait_ready([role for role in ROLES if role != "control"])  # control is not ready before it is armed
        stack.arm(ARMED_S)  # else nothing that is granted ever ends, and waits for an operator in a table of ten thousand
        stack.wait_ready(ROLES)
        pids = Pids.of(stack, ROLES)
        _fill(ground, stack)
        traffic = Traffic(broker.bootstrap, Shape(STEADY_PER_SECOND))
        begun = time.time()
        with Probe(stack) as probe:
            for second in range(HOUR_S):
                time.sleep(max(0.0, begun + second - time.time()))
                traffic.second(int(begun) + second)
                if second % 10 == 0:
                    for role in ROLES:
                        sizes[role].append((float(second), resident_mb(stack, role)))
                if second % 300 == 0:
                    ground.say("  " + ", ".join(f"{role} {sizes[role][-1][1]:.0f} MB" for role in ROLES))
            traffic.flush()
        failed = _slow("alert", probe.alerts) + _slow("approval", probe.approvals) + pids.failures(stack)
    told = []
    for role, found in sizes.items():
        early = percentile([size for at, size in found if SETTLED_S <= at < SETTLED_S + 600], 0.5)
        late = percentile([size for at, size in found if at >= HOUR_S - 600], 0.5)
        told.append(f"{role} {early:.0f} → {late:.0f} MB")
        if late > early * GROWTH:
            failed.append(f"{role} grew from {early:.0f} to {late:.0f} MB")
    return Finding("soak", 1, notes=f"{STEADY_PER_SECOND} samples/s; {', '.join(told)}; {_told(probe)}", failed=tuple(failed))


def _fill(ground: Ground, stack: Stack) -> None:
    """Fill the tables that are bounded by a number of incidents, proposals or actions: until then memory grows as it should."""
    ground.say(f"  {FILLED:,} incidents first, until the tables that keep so many are full")
    begun = time.monotonic()
    with Probe(stack, lives=FILLING, name="fill-") as probe:
        while (done := len(probe.ended)) < FILLED:
            if time.monotonic() - begun > FILLED_WITHIN_S:
                raise RuntimeError(f"{done} of {FILLED} incidents within {FILLED_WITHIN_S:.0f} s")
            time.sleep(1.0)
    ground.say(f"  {done:,} incidents in {time.monotonic() - begun:.0f} s")


def every_cap(ground: Ground) -> Finding:
    """Run the unit and property tests: each bounded table must have been full in one of them, and all of them must pass."""
    ran = caps.tried(folder := ground.new_folder("caps"), REPO)
    missing = ran.missing()
    every = sum(map(len, COUNTED.values())) + len(WAITED_FOR)
    failed = [] if ran.code == 0 else [f"the tests ended with exit code {ran.code}; see {folder.name}/pytest.log"]
    notes = f"{every - len(missing)} tables full, of {len(COUNTED) + len(WAITED_FOR)} caps; {len(ran.passed)} tests pass"
    return Finding("caps", every, notes=notes, failed=(*failed, *missing))


CHAPTER = Chapter(
    "load",
    "Load",
    (
        Case(
            "backlog",
            "an hour at 20,000 samples/s waits: it drains, alerts and approvals meanwhile within 2 s",
            single("backlog", backlog),
            minutes=30,
        ),
        Case(
            "control-behind",
            "the control role stands still with a backlog before it, under load: rows, readings and alerts are on time meanwhile",
            single("control behind", other_plane),
            minutes=4,
        ),
        Case(
            "soak",
            "an hour at steady load: no role's memory grows, and each is the same process at the end",
            single("soak", soak),
            minutes=90,
        ),
        Case("caps", "every bounded table is full once, and counts by table what it evicts", single("caps", every_cap), minutes=4),
    ),
)
