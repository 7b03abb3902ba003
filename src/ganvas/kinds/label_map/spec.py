"""What a data set of label maps is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelMapSpec:
    """Maps of one size, in which each pixel is of one class.

    names: of the pixels' classes, by index. values: what stands for each in the files, ascending. palette: a colour `#rrggbb`
    each. classes: of whole maps, as for every kind; most have none.
    """

    height: int
    width: int
    names: tuple[str, ...]
    values: tuple[int, ...]
    palette: tuple[str, ...]
    classes: tuple[str, ...] = ()
    kind: str = "label_map"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), of indices into `names`."""
        return (self.height, self.width)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return f"{self.height}x{self.width}"
