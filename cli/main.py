"""The `airra` command."""

from __future__ import annotations

import sys

import typer

from cli.arming import act
from cli.config import ConfigError
from cli.demo.command import demo
from cli.operate import dlq, doctor, sql, topics
from cli.output import err, optional_file
from cli.people import approvals, incident
from cli.run import api, up, worker
from streams.harness.errors import Fatal

DONE, FAILED, WRONG_USAGE = 0, 1, 2

app = typer.Typer(
    name="airra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Incident response as a stream processor over Kafka. Every command takes --help and --json [FILE].",
    epilog="Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration.",
)
app.command()(demo)
app.command()(up)
app.command()(worker)
app.command()(api)
app.command()(doctor)
app.command()(sql)
app.add_typer(topics, name="topics")
app.add_typer(dlq, name="dlq")
app.add_typer(act, name="act")
app.add_typer(approvals, name="approvals")
app.add_typer(incident, name="incident")


def main() -> None:
    """Run one command; the two kinds of error that a person can mend are one line each, without a trace."""
    try:
        app(args=optional_file(sys.argv[1:]))
    except ConfigError as error:
        err.print(f"airra: {error}", markup=False)
        sys.exit(WRONG_USAGE)
    except Fatal as error:
        err.print(f"airra: {error}", markup=False)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
