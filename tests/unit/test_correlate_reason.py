"""From signals to a proposal: what correlate writes is what reason needs."""

from pathlib import Path

from incident_world import SERVICES, T0, Run, anomaly, change, health, topology

from agents.reason import stage as reason
from cli.config import load
from schemas.approvals import APPROVAL_EVENTS
from schemas.config.correlate import CorrelateConfig
from schemas.config.runbooks import RunbookCatalogue
from schemas.kinds import ActionName, ChangeType, Kind
from schemas.signals import Phase, Tick
from schemas.topics import APPROVALS, INCIDENTS
from streams.correlate import stage as correlate
from streams.harness.stage import Record

CATALOGUE = load(RunbookCatalogue, Path(__file__).parents[2] / "config" / "runbooks.yaml")


def test_a_flag_that_empties_a_pool_is_proposed_back_eleven_seconds_after_the_callers_symptom():
    """The caller is heard first; the guilty callee's pool and the other services' health come seconds later."""
    signals, incidents = Run(correlate(CorrelateConfig())), Run(reason(CATALOGUE))
    script = {
        0: [change(ChangeType.FLAG, "inventory", "false", "true", name="live_stock", at=T0)],
        4: [anomaly("gateway", Kind.ERRORS, Phase.OPENED, T0 + 4000, value=9.0, z=60)],
        7: [
            anomaly("orders", Kind.ERRORS, Phase.OPENED, T0 + 7000, value=9.0, z=40),
            anomaly("inventory", Kind.LATENCY, Phase.OPENED, T0 + 7000, value=0.4, z=9),
            anomaly("inventory", Kind.POOL, Phase.OPENED, T0 + 7000, value=1.0, z=9),
        ],
        10: [health(name, kind, T0 + 10_000) for name in SERVICES for kind in (Kind.REQUESTS, Kind.CPU, Kind.MEMORY)],
    }
    signals.send(topology(), T0 - 1000)
    found = []
    for second in range(40):
        now = T0 + 1000 * second
        for signal in (*script.get(second, []), Tick(at=now)):
            for out in signals.send(signal, now):
                if out.topic == INCIDENTS.name:
                    incidents.offset += 1
                    made = incidents.take(Record(out.topic, 0, incidents.offset, now + 100, out.key, out.value, out.headers))
                    found += [(second, APPROVAL_EVENTS.validate_json(o.value)) for o in made if o.topic == APPROVALS.name]
        incidents.send(Tick(at=now + 500), now + 500)
    assert [(at, p.chosen.spec.action, p.chosen.spec.service) for at, p in found] == [(15, ActionName.TOGGLE_FEATURE_FLAG, "inventory")]
    assert found[0][1].chosen.spec.params == {"flag": "live_stock", "enabled": False}
    assert {out.topic for out in signals.outputs} == {INCIDENTS.name, "airra.notices.v1"}
