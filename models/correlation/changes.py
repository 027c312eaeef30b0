"""Follow what was changed on purpose: the nodes as the last change left them."""

from __future__ import annotations

from models.correlation.state import CorrelateState
from schemas.kinds import ChangeType
from schemas.signals import Change, ServiceNode


def follow(state: CorrelateState, change: Change) -> None:
    """Remember a change, and move its service's release or workers, unless a later change of the type already did."""
    state.changes[change.id] = change
    if state.topology is None or change.at < state.topology.at:
        return
    same = [c for c in state.changes.values() if (c.service, c.change) == (change.service, change.change)]
    if max(same, key=lambda c: (c.at, c.id)) is not change:
        return
    services = tuple(_moved(node, change) if node.name == change.service else node for node in state.topology.services)
    state.topology = state.topology.model_copy(update={"services": services})


def _moved(node: ServiceNode, change: Change) -> ServiceNode:
    if change.change is ChangeType.DEPLOY and change.after:
        return node.model_copy(update={"release": change.after})
    if change.change is ChangeType.SCALE and change.after.isdecimal():
        return node.model_copy(update={"workers": int(change.after)})
    return node
