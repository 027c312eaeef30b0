"""The service graph as networkx sees it: distances for joining, neighbourhoods for the evidence table."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import networkx as nx

from schemas.signals import Call, Topology


def call_graph(services: Collection[str], calls: Collection[Call]) -> nx.DiGraph:
    """Return a directed graph with an edge from caller to callee; a service that calls itself gets no edge."""
    graph = nx.DiGraph()
    graph.add_nodes_from(services)
    graph.add_edges_from((call.caller, call.callee) for call in calls if call.caller != call.callee)
    return graph


@lru_cache(maxsize=4)
def graph_of(topology: Topology | None) -> nx.DiGraph:
    """Return the frozen call graph of a topology; empty for None."""
    if topology is None:
        return nx.freeze(nx.DiGraph())
    return nx.freeze(call_graph([node.name for node in topology.services], topology.calls))


def distance(graph: nx.DiGraph, members: Collection[str], service: str, hops: int) -> int | None:
    """Count the calls, in either direction, between a service and the nearest member; None beyond `hops`.

    A service that the graph does not know is near itself only.
    """
    if service in members:
        return 0
    if service not in graph:
        return None
    reached = nx.single_source_shortest_path_length(graph.to_undirected(as_view=True), service, cutoff=hops)
    return min((steps for name, steps in reached.items() if name in members), default=None)


def neighbourhood(graph: nx.DiGraph, members: Collection[str], limit: int) -> tuple[str, ...]:
    """Return the members, then what is around them: the whole component(s) up to `limit` services, else that many neighbours."""
    known = sorted(set(members) & set(graph))
    around: set[str] = set()
    undirected = graph.to_undirected(as_view=True)
    for name in known:
        if name not in around:
            around |= nx.node_connected_component(undirected, name)
    if len(around) > limit:
        around = {near for name in known for near in (*graph.predecessors(name), *graph.successors(name))}
    return (*sorted(set(members)), *sorted(around - set(members))[:limit])
