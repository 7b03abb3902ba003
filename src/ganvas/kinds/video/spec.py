"""What a data set of clips is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoSpec:
    """Clips of so many frames, of one size.

    frames: of a clip. height, width: pixels. channels: 1 (grey) or 3 (colour). rate: frames a second. depth: bits a value of
    the files, 8 or 16; black is 0 and white the greatest value. classes: label names in index order, empty when unlabelled.
    """

    frames: int
    height: int
    width: int
    channels: int = 3
    rate: int = 10
    depth: int = 8
    classes: tuple[str, ...] = ()
    kind: str = "video"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(channels, frames, height, width)."""
        return (self.channels, self.frames, self.height, self.width)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return f"{self.height}x{self.width}"

    @property
    def white(self) -> int:
        """The value of white."""
        return 2**self.depth - 1
