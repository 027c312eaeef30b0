"""The arming on the approvals log: where and how long live actions are allowed."""

from models.approvals import armed
from tests.acting_world import CLUSTER, T0, arming
from tests.unit.approval_log import Log


def test_an_arming_is_in_force_on_its_cluster_until_it_ends_or_is_taken_back() -> None:
    log = Log()
    assert armed(log.book, CLUSTER, T0) is None
    log.take(arming(until=T0 + 10))
    assert armed(log.book, CLUSTER, T0 + 10) is not None
    assert armed(log.book, CLUSTER, T0 + 11) is None
    assert armed(log.book, "another", T0) is None
    log.take(arming(armed=False, name="2"))
    assert armed(log.book, CLUSTER, T0) is None
    log.take(arming(until=T0 + 10))
    assert armed(log.book, CLUSTER, T0) is None, "an old record repeated must not arm again"
