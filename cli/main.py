"""The `airra` command."""

from __future__ import annotations

import sys

import typer
from confluent_kafka import KafkaException

from cli.arming import act
from cli.backtest.command import backtest
from cli.backtest.detect import detect
from cli.bench import bench
from cli.config import ConfigError
from cli.demo.command import demo
from cli.dlq.command import dlq
from cli.ingest import ingest
from cli.operate import doctor, sql, topics
from cli.output import err, optional_file, say, takes_arguments
from cli.people import approvals, incident
from cli.run import api, up, worker
from cli.top.command import top
from streams.harness.errors import Fatal, Retryable, Unfit

DONE, FAILED, WRONG_USAGE = 0, 1, 2
EXIT_CODES = "Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration."

app = typer.Typer(
    name="airra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Incident response as a stream processor over Kafka. Every command takes --help and --json [FILE].",
    epilog=EXIT_CODES,
)
app.command()(demo)
app.command()(up)
app.command()(worker)
app.command()(api)
app.command()(top)
app.command()(doctor)
app.command()(sql)
app.command()(detect)
app.add_typer(topics, name="topics")
app.add_typer(dlq, name="dlq")
app.add_typer(ingest, name="ingest")
app.add_typer(bench, name="bench")
app.add_typer(backtest, name="backtest")
app.add_typer(act, name="act")
app.add_typer(approvals, name="approvals")
app.add_typer(incident, name="incident")
for group in (app, topics, dlq, ingest, bench, backtest, act, approvals, incident):
    for command in group.registered_commands:
        command.epilog = EXIT_CODES


def main() -> None:
    """Run one command; the kinds of error that a person can mend are a line each, without a trace."""
    words = sys.argv[1:]
    try:
        app(args=optional_file(words, any_word=not takes_arguments(typer.main.get_command(app), words)))
    except (ConfigError, Unfit) as error:
        say(f"airra: {error}", err)
        sys.exit(WRONG_USAGE)
    except (Fatal, Retryable, KafkaException) as error:
        say(f"airra: {error}", err)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
