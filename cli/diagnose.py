"""What `airra doctor` looks at: each finding is well or says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from cli import runfile
from cli.config import ConfigError
from cli.conserve.account import Account
from cli.conserve.check import conserved
from cli.conserve.logs import LiveLogs
from cli.conserve.recording import Recording
from cli.reading import read
from cli.roles import ROLES
from cli.settings import described, read_settings
from cli.wiring import configuration, store_client
from schemas import topics
from schemas.base import digest
from schemas.samples import decode_series
from schemas.settings import Settings
from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import KafkaSettings, cluster_id
from streams.harness.topics import compare_topics

SHOWN = 20  # unmapped series listed by name


def finding(what: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"what": what, "ok": ok, "detail": detail}


def diagnose(recent: int | None) -> dict[str, Any]:
    """Look at everything; a part that cannot be read is a finding, never an end. `recent`: records of each log, None for all."""
    settings = read_settings()
    findings = [*_files(settings), *_kafka(settings), *_roles(settings)]
    if recent != 0 and all(finding["ok"] for finding in findings if finding["what"] in {"kafka", "topics"}):
        findings += _conservation(settings, recent)
    return {"settings": described(settings), "findings": findings}


def diagnose_recording(folder: Path) -> dict[str, Any]:
    """Look at a recording with the configuration that it holds; raises ConfigError where it is none."""
    recording = Recording(folder)
    settings = read_settings(**recording.overrides)
    return {"settings": described(settings), "findings": _accounts(conserved(recording, settings, None, None))}


def _conservation(settings: Settings, recent: int | None) -> list[dict[str, Any]]:
    try:
        try:
            client = store_client(settings)
        except (Fatal, Retryable):
            client = None  # told where the roles are
        return _accounts(conserved(LiveLogs(KafkaSettings.of(settings)), settings, client, recent))
    except (Fatal, ConfigError) as error:
        return [finding("conservation", ok=False, detail=str(error))]


def _accounts(accounts: list[Account]) -> list[dict[str, Any]]:
    return [{**finding(f"conservation: {one.name}", ok=one.holds, detail=str(one)), "fates": dict(one.fates)} for one in accounts]


def _files(settings: Settings) -> list[dict[str, Any]]:
    found = []
    for name in ("detect", "metrics", "correlate", "runbooks", "policy", "topology"):
        try:
            model = configuration(settings, name)
            found.append(finding(str(settings.file(name)), ok=True, detail=f"valid, digest {digest(model)[:12]}"))
        except ConfigError as error:
            found.append(finding(str(settings.file(name)), ok=False, detail=str(error)))
    return found


def _kafka(settings: Settings) -> list[dict[str, Any]]:
    kafka = KafkaSettings.of(settings)
    try:
        found = [finding("kafka", ok=True, detail=f"{kafka.bootstrap}, cluster {cluster_id(kafka)}")]
        differences = compare_topics(kafka, topics.CATALOGUE, settings.kafka_replication)
        found += [finding("topic", ok=False, detail=str(difference)) for difference in differences]
        if not differences:
            found.append(finding("topics", ok=True, detail="as the catalogue says"))
        unmapped = _unmapped(kafka)
        names = sorted({series["metric"] for series in unmapped})
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        detail = f"{len(unmapped)} series match no rule of {settings.file('metrics')}: {shown}" if names else "every series is mapped"
        found.append(finding("metrics mapping", ok=not names, detail=detail))
    except Fatal as error:
        return [finding("kafka", ok=False, detail=str(error))]
    except ValueError as error:
        return [*found, finding("metrics mapping", ok=False, detail=f"{topics.SERIES.name} holds what is no definition: {error}")]
    return found


def _unmapped(kafka: KafkaSettings) -> list[dict[str, Any]]:
    latest = {series.id: series for record in read(kafka, topics.SERIES.name) for series in decode_series(record.value)}
    return [{"metric": series.metric} for series in latest.values() if not series.mapped]


def _roles(settings: Settings) -> list[dict[str, Any]]:
    found = []
    for role in ROLES:
        running = runfile.read(settings.data_dir, role)
        if running is None:
            found.append(
                finding(
                    f"role {role}",
                    ok=False,
                    detail=f"does not run on this machine with {settings.data_dir}; start it with airra worker {role}",
                )
            )
            continue
        try:
            answer = httpx2.get(f"http://127.0.0.1:{running['observe_port']}/health/ready", timeout=3.0)
            found.append(finding(f"role {role}", ok=answer.status_code == httpx2.codes.OK, detail=f"pid {running['pid']}: {answer.text}"))
        except httpx2.HTTPError as error:
            found.append(finding(f"role {role}", ok=False, detail=f"pid {running['pid']} does not answer: {error}"))
    return found
