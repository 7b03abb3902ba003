"""What a data set of volumes is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeSpec:
    """Cubes of intensities, along superior, posterior and left as DICOM and ITK count slices, rows and columns.

    side: voxels. depth: bits a value of the files, 8, 16 or 32 (floats). low, high: the values that mean -1 and +1; values may
    lie beyond. spacing: millimetres from slice to slice, row to row and column to column (the usual one, where records
    differ); () where nothing says it. affine: of a record that was read for use, the 16 numbers by which NIfTI places (column,
    row, slice) of it in millimetres (right, anterior, superior); () of data sets. sides: of such a record, (slices, rows,
    columns) where it is no cube; () of cubes. format: what samples are written as.
    """

    side: int
    depth: int = 8
    low: float = 0.0
    high: float = 255.0
    spacing: tuple[float, ...] = ()
    affine: tuple[float, ...] = ()
    sides: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()
    format: str = "nifti"
    kind: str = "volume"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, slices, rows, columns)."""
        slices, rows, columns = self.sides or (self.side,) * 3
        return (1, slices, rows, columns)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.side)
