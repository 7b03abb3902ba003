"""What a data set of images is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageSpec:
    """Images of one shape.

    channels, height, width: pixels. depth: bits per channel of the files, 8, 16 or 32 (float).
    low, high: the values in file units that map to -1 and +1 (0 and 255 for 8-bit images; a NIfTI volume keeps its own
    robust range). classes: label names in index order, empty when unlabelled. spacing: millimetres per pixel
    (row, column) where the files give it, already scaled for resizing. format: the file format samples are written in
    when the user names none (`png`, `tiff`, `dicom`, `nifti`). axis: along which all volumes were cut, None where they were
    cut along several or there are none.
    """

    channels: int
    height: int
    width: int
    depth: int = 8
    low: float = 0.0
    high: float = 255.0
    classes: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None
    format: str = "png"
    axis: int | None = None
    kind: str = "image"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return f"{self.height}x{self.width}"
