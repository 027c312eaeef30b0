"""Operate: topics, the dead-letter topic, the doctor, SQL."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer
from clickhouse_connect.driver.exceptions import ClickHouseError

from cli import runfile
from cli.config import ConfigError
from cli.diagnose import diagnose
from cli.output import JsonTo, rows, say, show
from cli.reading import read
from cli.settings import read_settings
from schemas import topics as catalogue
from streams.harness.errors import Fatal, Retryable
from streams.harness.kafka import KafkaSettings
from streams.harness.topics import compare_topics, create_topics
from streams.sink.store import connect

topics = typer.Typer(no_args_is_help=True, help="The catalogue of topics against the broker.")
dlq = typer.Typer(no_args_is_help=True, help="What could not be read, with the reason.")


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


def _dead_letters(limit: int) -> list[dict[str, Any]]:
    found = []
    for record in read(KafkaSettings.of(read_settings()), catalogue.DLQ.name, newest=limit):
        told = {
            name.removeprefix("airra.error."): value.decode(errors="replace")
            for name, value in record.headers
            if name.startswith("airra.error.")
        }
        found.append({"number": record.offset, **told, "at": record.timestamp, "value": record.value})
    return found


@dlq.command("ls")
def dlq_ls(limit: Annotated[int, typer.Option(help="The newest this many.")] = 50, json_to: JsonTo = None) -> None:
    """List dead letters: where each came from and why it could not be read.

    Example:  airra dlq ls --limit 10
    """
    letters = [{**letter, "bytes": len(letter["value"]), "value": None} for letter in _dead_letters(limit)]
    rows(json_to, "dead letters", ["number", "stage", "reason", "detail", "topic", "partition", "offset", "bytes"], letters)


@dlq.command("show")
def dlq_show(number: Annotated[int, typer.Argument(help="As listed by airra dlq ls.")], json_to: JsonTo = None) -> None:
    """Show one dead letter with its original bytes.

    Example:  airra dlq show 3
    """
    letter = next((letter for letter in _dead_letters(1_000_000) if letter["number"] == number), None)
    if letter is None:
        raise ConfigError(f"no dead letter {number}; airra dlq ls lists them")
    letter["value"] = letter["value"].decode(errors="backslashreplace")
    show(json_to, letter, [f"{name}: {value}" for name, value in letter.items()])


def doctor(json_to: JsonTo = None) -> None:
    """Say what is well and what is not: settings and where each came from, files, broker, topics, roles, unmapped series.

    Exit 1 where something needs a hand.  Example:  airra doctor
    """
    report = diagnose()
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
    settings = read_settings()
    url, password = settings.store_url, settings.store_password.get_secret_value()
    if not url:
        running = runfile.read(settings.data_dir, "sink")
        url, password = f"http://127.0.0.1:{running['store_port'] if running else settings.store_port}", ""
    try:
        client = connect(url, password)
        result = client.query(query)
    except Retryable as error:
        raise Fatal(f"{error}; airra doctor tells whether the sink runs") from error
    except (ClickHouseError, OSError) as error:
        raise Fatal(f"sql: {str(error).strip()}") from error
    rows(json_to, "", list(result.column_names), [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows])
