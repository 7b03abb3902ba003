"""What a data set of one graph is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphSpec:
    """Edges of one graph, undirected and simple. nodes: how many. names: of the nodes; empty where they are their numbers.

    format: of the file (`edges`, `graphml`, `csv`, `npz`).
    """

    nodes: int
    names: tuple[str, ...] = ()
    format: str = "edges"
    classes: tuple[str, ...] = ()
    kind: str = "graph"

    @property
    def shape(self) -> tuple[int]:
        """(2,): a record is an edge, a pair of nodes."""
        return (2,)
