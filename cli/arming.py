"""`airra act`: arm acting for a while, withdraw it, see whether it is in force."""

from __future__ import annotations

import getpass
import re
import time
from typing import Annotated

import typer

from cli.acting import arm, of_type
from cli.config import ConfigError
from cli.output import JsonTo, show
from cli.settings import read_settings
from schemas import topics
from schemas.approvals import Arming
from streams.harness.kafka import KafkaSettings, cluster_id

act = typer.Typer(no_args_is_help=True, help="Arm acting, or see whether it is armed. Without an arming in force nothing is executed.")


LONGEST_S = 24 * 3600


def seconds(text: str) -> float:
    """Read 90s, 15m, 8h."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smh])", text)
    if found is None:
        raise ConfigError(f"{text!r} is no duration; write 90s, 15m or 8h")
    duration = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
    if not 0 < duration <= LONGEST_S:
        raise ConfigError(f"{text} is not between 1s and {LONGEST_S // 3600}h: an arming is renewed, not given for ever")
    return duration


@act.command("arm")
def act_arm(
    duration: Annotated[str, typer.Option("--for", help="How long it holds: 90s, 15m, 8h.")] = "8h",
    by: Annotated[str, typer.Option(help="Who arms.")] = "",
    json_to: JsonTo = None,
) -> None:
    """Arm this cluster for a while; it ends by itself.

    Example:  airra act arm --for 8h
    """
    record = arm(KafkaSettings.of(read_settings()), by or getpass.getuser(), seconds(duration))
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.until / 1000))
    show(json_to, record.model_dump(mode="json"), [f"armed on cluster {record.cluster} by {record.by} until {until}"])


@act.command("disarm")
def act_disarm(by: Annotated[str, typer.Option(help="Who disarms.")] = "", json_to: JsonTo = None) -> None:
    """End the arming now.

    Example:  airra act disarm
    """
    record = arm(KafkaSettings.of(read_settings()), by or getpass.getuser(), 0, armed=False)
    show(json_to, record.model_dump(mode="json"), [f"disarmed on cluster {record.cluster} by {record.by}"])


@act.command("status")
def act_status(json_to: JsonTo = None) -> None:
    """Say whether acting is armed, by whom and until when; exit 1 where it is not.

    Example:  airra act status
    """
    settings = read_settings()
    kafka = KafkaSettings.of(settings)
    cluster = cluster_id(kafka)
    now = int(time.time() * 1000)
    # No arming holds longer than this, so an older record cannot be in force.
    since = now - (LONGEST_S + 3600) * 1000
    said = [Arming.model_validate_json(value) for value in of_type(kafka, topics.APPROVALS.name, "arming", since)]
    record = next((one for one in reversed(said) if one.cluster == cluster), None)
    in_force = record is not None and record.armed and now < record.until
    told = {
        "armed": in_force,
        "dry_run_mode": settings.dry_run_mode,
        "cluster": cluster,
        "arming": record.model_dump(mode="json") if record else None,
    }
    if in_force and record is not None:
        line = f"armed by {record.by}, {(record.until - now) // 1000} s left"
    elif record is None:
        line = "not armed; airra act arm --for 8h arms"
    else:
        line = f"not armed: the last arming by {record.by} " + ("was withdrawn" if not record.armed else "is over")
    note = (
        "AIRRA_DRY_RUN_MODE is true: nothing is executed live whatever is approved"
        if settings.dry_run_mode
        else "live execution is enabled"
    )
    show(json_to, told, [line, note])
    raise typer.Exit(0 if in_force else 1)
