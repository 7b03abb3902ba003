"""What a data set of poses is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PoseSpec:
    """Named points in the coordinates of pictures of one size; the middle of the first pixel is (0, 0).

    names: of the points. links: pairs of their places that bones join, (first, second). classes: of whole poses, as for every
    kind; most have none.
    """

    height: int
    width: int
    names: tuple[str, ...]
    links: tuple[tuple[int, int], ...] = ()
    classes: tuple[str, ...] = ()
    kind: str = "pose"

    def __post_init__(self) -> None:  # JSON has lists only
        object.__setattr__(self, "links", tuple((int(one), int(other)) for one, other in self.links))

    @property
    def shape(self) -> tuple[int, int]:
        """(points, 3): x, y and visibility of each."""
        return (len(self.names), 3)

    @property
    def size(self) -> str:
        """What `--size` would have to be: that of the pictures."""
        return f"{self.height}x{self.width}"
