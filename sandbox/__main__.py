"""The command line of the sandbox: run, check, faults, trial."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path

from sandbox.check import ScenarioError, load
from sandbox.kinds import KINDS
from sandbox.notes import notes
from sandbox.plan import make
from sandbox.run import WARM_UP_S, Options, run
from sandbox.scenario import Fault, Scenario
from sandbox.trial import trial

EXAMPLES = """examples:
  python -m sandbox check  --scenario sandbox/scenarios/shop.yaml
  python -m sandbox faults --scenario sandbox/scenarios/shop.yaml --json
  python -m sandbox run    --scenario sandbox/scenarios/shop.yaml --fault leak --seed 1 --broker 127.0.0.1:9092 --work-dir /tmp/shop
  python -m sandbox trial  --scenario sandbox/scenarios/shop.yaml --fault leak

`run` needs the topics metrics, alerts and changes. It prints a JSON line for each step on standard output, and stops with all its
processes on SIGTERM, on Ctrl-C, when the process that started it ends, or when its standard input is a pipe and is closed.
`trial` needs no broker: it does a fault, shows which metric of which service moved, does the cure, and shows what came back.
"""
TOKEN_FILE = "control.token"  # noqa: S105 - the file's name


class UsageError(Exception):
    """What was asked for cannot be."""


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        scenario = load(options.scenario)
        code = int(options.do(scenario, options))
        sys.stdout.flush()
        return code
    except (ScenarioError, UsageError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read has read enough; Python would flush once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(scenario: Scenario, options: argparse.Namespace) -> int:
    fault = _fault(scenario, options.fault)
    options.work_dir.mkdir(parents=True, exist_ok=True)
    return run(
        Options(
            scenario=scenario,
            fault=fault,
            seed=options.seed,
            broker=options.broker,
            work=options.work_dir.resolve(),
            token=_token(options.token_env, options.work_dir),
            warm_up_s=options.warm_up_s,
            test_hooks=options.test_hooks,
        )
    )


def _check(scenario: Scenario, options: argparse.Namespace) -> int:
    print(f"{options.scenario}: {scenario.name}: {len(scenario.services)} services, {len(scenario.faults)} faults: valid")
    for note in notes(make(scenario)):
        print(f"note: {note}")
    return 0


def _faults(scenario: Scenario, options: argparse.Namespace) -> int:
    faults = [
        {
            "name": fault.label,
            "kind": fault.kind,
            "service": scenario.guilty(fault),
            "after_s": fault.after_s,
            "params": {name: fault.param(name) for name in KINDS[fault.kind].params},
            "expected": fault.expected.model_dump(exclude_none=True),
        }
        for fault in scenario.faults
    ]
    if options.json:
        print(json.dumps(faults))
        return 0
    for fault in faults:
        print(f"{fault['name']:<16} {fault['kind']:<15} {fault['service']:<16} {KINDS[str(fault['kind'])].what}")
    return 0


def _trial(scenario: Scenario, options: argparse.Namespace) -> int:
    chosen = [fault for fault in scenario.faults if options.fault in {"all", fault.label}]
    if not chosen:
        raise UsageError(_no_such_fault(scenario, options.fault))
    return trial(scenario, chosen, seed=options.seed, base_s=options.base_s)


def _fault(scenario: Scenario, name: str) -> Fault | None:
    if name == "none":
        return None
    try:
        return scenario.fault(name)
    except KeyError as error:
        raise UsageError(_no_such_fault(scenario, name)) from error


def _no_such_fault(scenario: Scenario, name: str) -> str:
    known = ", ".join(fault.label for fault in scenario.faults)
    return f"--fault: scenario {scenario.name} has no fault {name!r}; it has {known or 'none'}"


def _token(variable: str | None, work: Path) -> str:
    """Take the control plane's token from the environment, or make one that only a file in the work folder holds."""
    if variable is None:
        token = secrets.token_urlsafe(32)
        descriptor = os.open(work / TOKEN_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token)
        return token
    value = os.environ.pop(variable, "")
    if not value:
        raise UsageError(f"--token-env: the variable {variable} is not set")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return value


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    what = "A small live system to break and repair."
    parser = argparse.ArgumentParser("python -m sandbox", description=what, epilog=EXAMPLES, formatter_class=shape)
    commands = parser.add_subparsers(required=True, metavar="run | check | faults | trial")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--scenario", type=Path, required=True, metavar="FILE", help="the scenario file")

    sub = commands.add_parser("run", parents=[common], help="run the system, and one fault", epilog=EXAMPLES, formatter_class=shape)
    sub.add_argument("--fault", default="none", metavar="NAME", help="a fault of the file, or none (the default)")
    sub.add_argument("--seed", type=int, default=1, help="of every random draw (default: 1)")
    sub.add_argument("--broker", required=True, metavar="HOST:PORT", help="the Kafka broker to publish to")
    sub.add_argument("--work-dir", type=Path, required=True, metavar="DIR", help="for the files that it writes")
    sub.add_argument("--token-env", metavar="VARIABLE", help=f"holds the control plane's token (default: one is made, in DIR/{TOKEN_FILE})")
    sub.add_argument("--warm-up-s", type=_seconds, default=WARM_UP_S, metavar="S", help="clean traffic before a fault (default: 60)")
    sub.add_argument("--test-hooks", action="store_true", help="let POST /test/delay slow the next action down")
    sub.set_defaults(do=_run)

    sub = commands.add_parser("check", parents=[common], help="check the scenario file")
    sub.set_defaults(do=_check)

    sub = commands.add_parser("faults", parents=[common], help="list the faults of the scenario file")
    sub.add_argument("--json", action="store_true", help="as JSON")
    sub.set_defaults(do=_faults)

    sub = commands.add_parser("trial", parents=[common], help="do faults and their cures, and show what moved")
    sub.add_argument("--fault", default="all", metavar="NAME", help="a fault of the file, or all (the default)")
    sub.add_argument("--seed", type=int, default=1, help="of every random draw (default: 1)")
    sub.add_argument("--base-s", type=_seconds, default=20.0, metavar="S", help="clean traffic before the fault (default: 20)")
    sub.set_defaults(do=_trial)
    return parser


if __name__ == "__main__":
    sys.exit(main())
