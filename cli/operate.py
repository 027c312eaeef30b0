"""Operate: topics, the doctor, SQL."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError

from cli import logs, preflight
from cli.conserve.check import RECENT, groups
from cli.conserve.logs import LiveLogs
from cli.conserve.recording import record
from cli.diagnose import diagnose, diagnose_recording
from cli.output import JsonTo, err, rows, say, show
from cli.settings import read_settings
from cli.wiring import store_client
from schemas import topics as catalogue
from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import compare_topics, create_topics

topics = typer.Typer(no_args_is_help=True, help="The catalogue of topics against the broker.")


@topics.command("create")
def create(json_to: JsonTo = None) -> None:
    """Create the topics of the catalogue that are not there; what exists is left as it is.

    Example:  AIRRA_KAFKA_BOOTSTRAP=kafka:9092 AIRRA_KAFKA_REPLICATION=3 airra topics create
    """
    settings = read_settings()
    created = create_topics(KafkaSettings.of(settings), catalogue.CATALOGUE, settings.kafka_replication)
    show(json_to, {"created": created}, [f"created {name}" for name in created] or ["every topic is there"])


@topics.command("check")
def check(json_to: JsonTo = None) -> None:
    """Compare the broker's topics with the catalogue; exit 1 where they differ.

    Example:  airra topics check
    """
    settings = read_settings()
    differences = compare_topics(KafkaSettings.of(settings), catalogue.CATALOGUE, settings.kafka_replication)
    show(json_to, {"differences": differences}, [str(difference) for difference in differences] or ["as the catalogue says"])
    raise typer.Exit(1 if differences else 0)


@topics.command("record")
def record_topics(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    json_to: JsonTo = None,
) -> None:
    """Record every topic, how far each stage has come, and the configuration into a folder: what airra doctor --recording looks at.

    Example:  airra topics record ./recording
    """
    settings = read_settings()
    preflight.folder(folder, "FOLDER")
    written = record(LiveLogs(KafkaSettings.of(settings)), settings, groups(settings), folder, lambda line: say(line, err))
    show(json_to, {"folder": str(folder), "records": written}, [f"{written} records in {folder}"])


def doctor(
    recording: Annotated[Path | None, typer.Option(help="Look at a recording (airra topics record) instead of the live system.")] = None,
    recent: Annotated[int, typer.Option(help="Records of each log, the newest, that are accounted for; 0: none.", min=0)] = RECENT,
    whole: Annotated[bool, typer.Option("--whole", help="Account for all of every log, however long that takes.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Say what is well and what is not: settings and where each came from, files, broker, topics, roles, unmapped series, conservation.

    Conservation: every record that a stage took in has exactly one fate, and each stage says again what stands in its outputs.
    Exit 1 where something needs a hand.

    Examples:  airra doctor  ·  airra doctor --whole  ·  airra doctor --recording ./recording --json
    """
    logs.configure("error", "doctor")  # stages are folded again: what they log is old news
    report = diagnose(None if whole else recent) if recording is None else diagnose_recording(recording)
    if json_to is not None:
        show(json_to, report)
    if json_to != "-":
        rows(None, "settings", ["setting", "value", "from"], [row for row in report["settings"] if row["from"] != "default"])
        for finding in report["findings"]:
            say(f"{'ok  ' if finding['ok'] else 'LOOK'}  {finding['what']}: {finding['detail']}")
    raise typer.Exit(0 if all(finding["ok"] for finding in report["findings"]) else 1)


def sql(
    query: Annotated[str, typer.Argument(help="Any SELECT; the tables: SHOW TABLES.")],
    json_to: JsonTo = None,
) -> None:
    """Ask the store, while everything runs: the embedded one through its read-only port, or the server of AIRRA_STORE_URL.

    Examples:  airra sql "SELECT * FROM calibration_ece"  ·  airra sql "SELECT * FROM calibration_bins" --json
    """
    # The error that is raised says it; the client would print it a second time.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    try:
        client = store_client(read_settings())
        result = client.query(query)
    except Retryable as error:
        raise Fatal(f"{error}; airra doctor tells whether the sink runs") from error
    except (ClickHouseError, OSError) as error:
        raise Fatal(f"sql: {str(error).strip()}") from error
    rows(json_to, "", list(result.column_names), [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows])
