"""The columns in which compiled code tells what it has read of OTLP."""

from __future__ import annotations

FOREIGN = 0  # in place of a kind: this metric is for the reference reader

# Of a head, what the points of one metric have in common: numbers, and places in the data.
RECORD, NUMBER, KIND, BEGIN, END, RESOURCE, RESOURCE_END, SCOPE, SCOPE_END, NAME, NAME_END, UNIT, UNIT_END, FIRST, POINTS = range(15)
HEAD_COLUMNS = 15

# Of a point.
P_RECORD, P_HEAD, P_ATTRIBUTES, P_ATTRIBUTES_END, P_AT = range(5)
POINT_COLUMNS = 5
