"""The `airra` command."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from importlib import import_module

import typer
from confluent_kafka import KafkaException

from cli.config import ConfigError
from cli.output import err, optional_file, say, takes_arguments
from streams.harness.errors import Fatal, Retryable, Unfit

DONE, FAILED, WRONG_USAGE = 0, 1, 2
EXIT_CODES = "Exit codes: 0 done, 1 the work failed, 2 wrong usage or configuration."

# Each is imported when it is asked for: a role is back in half the time if it does not load what backtests need.
COMMANDS: Mapping[str, str] = {
    "demo": "cli.demo.command",
    "up": "cli.run",
    "worker": "cli.run",
    "api": "cli.run",
    "top": "cli.top.command",
    "doctor": "cli.operate",
    "sql": "cli.operate",
    "detect": "cli.backtest.detect",
    "topics": "cli.operate",
    "dlq": "cli.dlq.command",
    "ingest": "cli.ingest",
    "bench": "cli.bench",
    "backtest": "cli.backtest.command",
    "act": "cli.arming",
    "approvals": "cli.people",
    "incident": "cli.people",
}


def program(names: Collection[str] = COMMANDS.keys()) -> typer.Typer:
    """Return the command line with these commands, or groups of them."""
    app = typer.Typer(
        name="airra",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=EXIT_CODES,
    )
    app.callback(help="Incident response as a stream processor over Kafka. Every command takes --help and --json [FILE].")(_together)
    groups = [app]
    for name in names:
        found = getattr(import_module(COMMANDS[name]), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
            groups.append(found)
        else:
            app.command()(found)
    for group in groups:
        for command in group.registered_commands:
            command.epilog = EXIT_CODES
    return app


def _together() -> None:
    """Be a group of commands, with one among them, too."""


def main() -> None:
    """Run one command; the kinds of error that a person can mend are a line each, without a trace."""
    words = sys.argv[1:]
    app = program(words[:1] if words and words[0] in COMMANDS else COMMANDS)
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
