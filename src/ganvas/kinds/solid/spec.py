"""What a data set of solids is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SolidSpec:
    """Solid shapes as cubes of voxels, 1 inside and 0 outside, z up.

    side: voxels. format: of the files (`obj`, `nifti` ...). up: the axis that points up in their meshes, if the user says so.
    """

    side: int
    classes: tuple[str, ...] = ()
    format: str = "obj"
    up: str | None = None
    kind: str = "solid"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, side, side, side)."""
        return (1, self.side, self.side, self.side)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.side)
