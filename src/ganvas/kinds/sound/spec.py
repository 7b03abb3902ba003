"""What a data set of sounds is: the spec that systems are built from. Free of torch.

Not for where the data lies or how much of it there is; that is `ganvas.data.Dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SoundSpec:
    """Clips of one length. length: samples. rate: samples a second. channels: 1 mono, 2 stereo. depth: bits of the files."""

    length: int
    rate: int
    channels: int = 1
    depth: int = 16
    classes: tuple[str, ...] = ()
    kind: str = "sound"

    @property
    def shape(self) -> tuple[int, int]:
        """(channels, length)."""
        return (self.channels, self.length)

    @property
    def size(self) -> str:
        """What `--size` would have to be."""
        return str(self.length)
