"""policy.yaml: what is shipped equals the defaults, and a mistake is an error."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from models.approvals import ruling
from schemas.config.policy import Policy, Ruling
from schemas.kinds import ActionName, Criticality

SHIPPED = Path(__file__).parents[2] / "config" / "policy.yaml"


def test_the_shipped_file_is_the_default_and_asks_a_human_for_everything() -> None:
    policy = Policy.model_validate(yaml.safe_load(SHIPPED.read_text()))
    assert policy == Policy()
    for action in ActionName:
        for criticality in Criticality:
            assert ruling(policy, action, "any", criticality).decide is Ruling.HUMAN


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{decide: maybe}]",
        "rules: [{decide: human, action: restart}]",
        "rules: [{decide: human, actions: [reboot]}]",
        "rules: [{decide: human, quorum: 2}]",
        "budget: {live_per_hour: -1}",
        "verificaton: {}",
    ],
)
def test_a_mistake_is_an_error(text: str) -> None:
    with pytest.raises(ValidationError):
        Policy.model_validate(yaml.safe_load(text))


def test_without_rules_everything_is_forbidden() -> None:
    assert ruling(Policy(rules=()), ActionName.RESTART, "orders", Criticality.LOW).decide is Ruling.FORBIDDEN
