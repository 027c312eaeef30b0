"""Let Prometheus scrape node_exporter and itself, and write into AIRRA: python -m tests.golden.into_airra [--program prometheus=FILE …].

Apache Kafka and the roles api, normalise and detect run as they ship; Prometheus writes by the stanza that docs/ingest.md gives: by 1.0, and
Prometheus 3 then by 2.0. node_exporter ends in mid-run. Once nothing is scraped any more, what Prometheus' own API has must be in AIRRA.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.bed import ROOT, Bed, bed
from bench.meter import scrape
from cli.config import load
from cli.demo.stack import Stack
from models.detection.fates import ARRIVALS, RowFate
from schemas.config.metrics import MetricsMapping
from schemas.samples import decode_series
from schemas.topics import DLQ, SAMPLES, SERIES, WRITE, TopicSpec
from streams.harness.embedded import free_port
from streams.harness.stage import Record
from streams.normalise.formats.port import Described
from streams.normalise.series import NAME, Resolver, Unmapped
from tests.faults.ledger import read_all
from tests.golden.producers.prometheus import Api, command_of, exporting
from tests.golden.programs import Programs, running, until
from tests.golden.told import ENDED, NO_VALUE, Told, differing, has, of_value, stanza, stored, written
from tests.kafka.broker import missing
from tests.unit.golden_reading import Labels

CONFIG_DIR = ROOT / "config"
ROLES = ("api", "normalise", "detect")
NODE, PROMETHEUS = "prometheus-node-exporter", "prometheus"
SOURCE = "prometheus-a"  # whose token it is
EXTERNAL = {"cluster": "golden"}  # labels that Prometheus adds for those outside
SECONDS = 70  # so that the types, which 1.0 sends once a minute, are sent too
MOST_SECONDS = 500  # its API is asked for ten minutes
WITHIN_S = 120.0
VERSIONS = ("1.0", "2.0")
ONLY_1 = re.compile(r"version [12]\.")  # of Prometheus
SENDING = "prometheus_remote_storage_samples_"
SAYS = {"prometheus_tsdb_head_samples_appended_total": "appended", f"{SENDING}total": "sent", f"{SENDING}pending": "pending"} | {
    f"{SENDING}{what}_total": what for what in ("failed", "retried", "dropped")
}
SAYS["prometheus_remote_storage_metadata_failed_total"] = "types failed"

CONFIG = """global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  external_labels: {{cluster: golden}}
{stanza}"""
JOBS = """scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def prove(programs: Programs, version: str, seconds: int, rules: Path) -> dict[str, Any]:
    """Run it by one version of remote_write; return figures, and what differs."""
    token = secrets.token_urlsafe(24)
    with bed() as ours, ours.roles(*ROLES, write_tokens=f"{SOURCE}:{token}", config_dir=CONFIG_DIR, metrics_file=rules) as stack:
        stack.wait_ready(ROLES)
        address = f"http://127.0.0.1:{stack.address('api', 'api_port')}"
        told, says = _scraped(programs, ours, stanza((ROOT / "docs" / "ingest.md").read_text(), address, token, version), seconds)
        mapped = _mapped({one[0] for one in told}, rules)
        rows = Counter(one for one in told.elements() if one[0] in mapped and one[2] != NO_VALUE)
        _wait(lambda: _fates(stack, "detect", "detect_rows").total() >= rows.total())
        return {"remote_write": version, **_compared(ours, stack, told, rows, says)}


def _scraped(programs: Programs, ours: Bed, stanza_: str, seconds: int) -> tuple[Counter[Told], Counter[str]]:
    """Scrape for so long; once all is sent, return what Prometheus has, and what it says of its sending."""
    port, exporter = free_port(), free_port()
    node: list[str | Path] = [programs.find(NODE), f"--web.listen-address=127.0.0.1:{exporter}"]
    config, file = CONFIG.format(stanza=stanza_), ours.folder / "prometheus.yml"
    file.write_text(config + JOBS.format(exporter=exporter, port=port))
    command = [*command_of(programs, PROMETHEUS, "prometheus", port), "--web.enable-lifecycle"]
    with exporting(node, ours.folder, exporter) as end_node, running(command, ours.folder):
        api = Api(port)
        until(lambda: all(api.count(job, 1) >= seconds for job in ("node", "prometheus")), f"{seconds} scrapes", seconds + WITHIN_S)
        end_node()
        until(lambda: api.count("node", 0) > 0, "a scrape that misses node_exporter")
        file.write_text(config)
        urlopen(Request(f"http://127.0.0.1:{port}/-/reload", method="POST")).close()  # answers once nothing is scraped any more
        _wait(lambda: (says := _says(port))["sent"] == says["appended"] and not says["pending"])
        return has(api.samples(), EXTERNAL), _says(port)


def _wait(reached: Callable[[], bool]) -> None:
    """Wait for it; what is not there in time, the comparison tells."""
    with contextlib.suppress(TimeoutError):
        until(reached, "", WITHIN_S)


def _says(port: int) -> Counter[str]:
    """Return how many samples Prometheus says it has taken, and what became of them in its remote_write."""
    found: Counter[str] = Counter()
    for (metric, labels), value in scrape(port).items():
        if metric in SAYS:
            found[" ".join((SAYS[metric], *dict(labels).get("reason", "").split()))] += int(value)
    return found


def _fates(stack: Stack, role: str, name: str) -> Counter[str]:
    """Return a role's counter by fate, whatever else it is by."""
    found: Counter[str] = Counter()
    for (metric, labels), value in scrape(stack.address(role, "observe_port")).items():
        if metric == f"airra_{name}_total":
            found[dict(labels)["fate"]] += int(value)
    return +found


def _mapped(series: set[Labels], rules: Path) -> set[Labels]:
    """Return those that a rule names: normalise counts the others, and passes them on to nobody."""
    resolver = Resolver(load(MetricsMapping, rules))
    return {one for one in series if not isinstance(resolver.resolve(Described(dict(one))), Unmapped)}


def _compared(ours: Bed, stack: Stack, told: Counter[Told], rows: Counter[Told], says: Counter[str]) -> dict[str, Any]:
    def all_of(topic: TopicSpec) -> list[Record]:
        return read_all(ours.bootstrap, topic.name)

    requests, letters = all_of(WRITE), Counter(letters=len(all_of(DLQ)))
    found, definitions = stored(all_of(SAMPLES))
    nameless = {one.metric for record in all_of(SERIES) for one in decode_series(record.value) if not one.mapped}
    api, detect = _fates(stack, "api", "api_write_samples"), _fates(stack, "detect", "detect_rows")
    normalise = _fates(stack, "normalise", "normalise_samples")
    idle, ended = of_value(told, NO_VALUE), of_value(rows, ENDED)
    others = Counter(one for one in (told - rows).elements() if one[2] != NO_VALUE)
    fates = Counter(accepted=rows.total(), no_value=idle.total(), unmapped=others.total())
    judged = Counter(judged=sum(detect[fate] for fate in ARRIVALS), ended=detect[RowFate.ENDED])
    differs = [
        *differing("Prometheus", Counter(appended=told.total(), sent=told.total()), +says),
        *differing("the API", Counter(accepted=told.total()), api),
        *differing(WRITE.name, told, written(requests)),
        *differing("normalise", +fates, normalise),
        *differing(SAMPLES.name, rows, found),
        *differing("sources", Counter({SOURCE: len(definitions)}), Counter(one.source for one in definitions.values())),
        *differing("metrics that no rule names", Counter({dict(one[0])[NAME] for one in others}), Counter(nameless)),
        *differing("detect", Counter(judged=rows.total() - ended.total(), ended=ended.total()), judged),
        *differing(DLQ.name, Counter(), +letters),
    ]
    return {
        "scrapes": Counter(dict(one[0])["job"] for one in told.elements() if dict(one[0])[NAME] == "up" and one[2] == 1),
        "series": len({one[0] for one in told}),
        "samples": told.total() - of_value(told, ENDED).total(),
        "ended": of_value(told, ENDED).total(),
        "prometheus": says,
        "requests": len(requests),
        "api": api,
        "normalise": normalise,
        "dead_letters": letters["letters"],
        "rows": {"series": len({one[0] for one in found}), "all": found.total(), "ended": of_value(found, ENDED).total()},
        "detect": detect,
        "differs": differs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=FILE", help="a program that is not on the PATH")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="of scraping, with a scrape each")
    parser.add_argument("--rules", type=Path, default=CONFIG_DIR / "metrics.yaml", help="which metrics are mapped; without it as they ship")
    asked = parser.parse_args()
    if not 0 < asked.seconds <= MOST_SECONDS:
        parser.error(f"--seconds {asked.seconds}: from 1 to {MOST_SECONDS}")
    if lacks := missing():
        raise SystemExit(lacks)
    programs = Programs.named(asked.program)
    scraping, scraped = (programs.version(name, "--version").partition(" (")[0] for name in (PROMETHEUS, NODE))
    versions = VERSIONS[:1] if ONLY_1.search(scraping) else VERSIONS
    runs = [prove(programs, version, asked.seconds, asked.rules.resolve()) for version in versions]
    print(json.dumps({"programs": [scraping, scraped], "runs": runs}))
    raise SystemExit(any(run["differs"] for run in runs))


if __name__ == "__main__":
    main()
