"""What a trained system can do, as protocols: callers ask `isinstance(system, Samples)`. The words for it are `uses`.

A capability is never a base class, and a system may have several. Protocols are added here when the first system offers
them. All are called in evaluation mode without gradients (a search switches them on again), draw random numbers from `noise`
alone, and leave no trace. Images are (B, C, H, W) in [-1, 1].

Where records have several fields, a method takes further ones by keyword, in the form that their kind gives them; a keyword
that is named as a field is that field. Free of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from .batches import Noise


@runtime_checkable
class Samples(Protocol):
    """Makes new records from noise."""

    def sample(self, count: int, noise: Noise, labels: Tensor | None = None, **fields: Tensor) -> Tensor:
        """(count, *spec.shape) records in the game's units ([-1, 1] for images), from the best copy of the generator.

        labels: (count,) int64 class indices where the system is conditional; None draws them. fields: (count, ...) each, such
        as the captions of what is to be made.
        """
        ...


@dataclass(frozen=True)
class Code:
    """A number that a system puts into what it makes, and whose meaning it finds by itself. name: by which it is asked for.

    values: how many it is one of, 0 .. values - 1; 0: any number, which while learning lay between low and high.
    """

    name: str
    values: int = 0
    low: float = -1.0
    high: float = 1.0


@runtime_checkable
class TakesCodes(Protocol):
    """Makes records of codes that are asked for. Systems that do offer `Samples` as well, with a further keyword:
    `sample(..., codes: Tensor | None = None)`, (count, number of codes), the value of every code; None draws them."""

    def known_codes(self) -> tuple[Code, ...]:
        """What may be asked for, in the order of the columns."""
        ...


@runtime_checkable
class TakesAttributes(Protocol):
    """Makes records that show named attributes as they are asked for. Systems that do offer `Samples` as well, with a further
    keyword: `sample(..., shown: Tensor | None = None)`, (count, attributes) int64, the index of every attribute's value; None
    draws them from what was learnt. A system that itself draws what nobody asked for says so (`leaves_open = True`): it is
    given -1 there, and None where nothing was asked for at all."""

    described: str
    """The field whose columns are the attributes."""

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """What may be asked for: attribute -> its values."""
        ...

    def learnt_rows(self) -> Tensor:
        """What records that were learnt from show (N, attributes) int64, -1 where it is not known; of many the latest."""
        ...


@runtime_checkable
class TakesProperties(Protocol):
    """Makes records that have numbers as they are asked for, where it learnt from records with a field `properties`, a table.
    Systems that do offer `Samples` as well, with a further keyword: `sample(..., properties: Tensor | None = None)`, rows of
    that table (count, D) in the form of the game; None draws them from what was learnt."""

    def learnt_properties(self) -> Tensor:
        """The rows of records that were learnt from (N, D + 1), the class behind them, -1 where none is known; of many the
        latest."""
        ...


@runtime_checkable
class Translates(Protocol):
    """Turns a record of one class into one of another, or one field into another; sides are multiples of `multiple`, or,
    where that is 0, those of training.

    A system that translates to some of its classes alone names them, as a tuple of indices `targets`.
    """

    multiple: int

    def translate(self, images: Tensor, target: int | None, noise: Noise, **fields: Tensor) -> Tensor:
        """Records as the class with index `target` would show them, of the same shape. ValueError for one it was not taught.

        Of records of several fields: the main field, made of another one; target is None.
        """
        ...


@runtime_checkable
class Edits(Protocol):
    """Changes named attributes of a record, and leaves the others as they are; sides are multiples of `multiple`."""

    multiple: int
    described: str
    """The field whose columns are the attributes."""

    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """What may be asked for: attribute -> its values."""
        ...

    def edit(self, images: Tensor, changes: Mapping[str, str], noise: Noise) -> Tensor:
        """Records with these attributes changed (attribute -> one of its values), of the same shape; no change: as they are
        made again."""
        ...


@runtime_checkable
class SortsCells(Protocol):
    """A value of an attribute stands for several cells of a table, as ages 40 to 49 for 42. Who does offers `Edits` too."""

    def value_of(self, name: str, text: str) -> str | None:
        """The value of the attribute that a cell belongs to, and that a user means who names it; a value is its own; None for
        what belongs to none."""
        ...


@runtime_checkable
class Restores(Protocol):
    """Gives back what an image has lost; `scale` times as large in height and width. Sizes are multiples of `multiple`."""

    scale: int
    multiple: int

    def degrade(self, images: Tensor, noise: Noise) -> Tensor:
        """What `restore` is to undo, done to whole images: (B, C, H, W) -> (B, C, H // scale, W // scale)."""
        ...

    def restore(self, images: Tensor, noise: Noise) -> Tensor:
        """(B, C, h, w) -> (B, C, scale * h, scale * w). Large images come in tiles, so what is far away must not matter."""
        ...


@runtime_checkable
class Deblurs(Protocol):
    """Gives back what motion has blurred, without knowing the motion. Sides are multiples of `multiple`."""

    multiple: int

    def blur(self, images: Tensor, noise: Noise) -> Tensor:
        """What `deblur` is to undo, done to whole images (B, C, H, W), as in training."""
        ...

    def deblur(self, images: Tensor, noise: Noise) -> Tensor:
        """(B, C, H, W) -> the same shape. Large images come in tiles, so what is far away must not matter."""
        ...


@runtime_checkable
class Denoises(Protocol):
    """Gives back what noise has hidden. Sides are multiples of `multiple`."""

    multiple: int

    def add_noise(self, images: Tensor, noise: Noise) -> Tensor:
        """What `denoise` is to undo, done to whole images (B, C, H, W), as in training."""
        ...

    def denoise(self, images: Tensor, noise: Noise) -> Tensor:
        """(B, C, H, W) -> the same shape. Large images come in tiles, so what is far away must not matter."""
        ...


@runtime_checkable
class Inpaints(Protocol):
    """Draws what is missing of an image, from what is around it."""

    def hole(self, images: Tensor, noise: Noise) -> Tensor:
        """What `fill` is to fill, as in training: of images (B, C, H, W) it is (B, 1, H, W), 1 where they are missing."""
        ...

    def fill(self, images: Tensor, holes: Tensor, noise: Noise) -> Tensor:
        """Images of the size of training, of which nothing counts where holes (B, 1, H, W) are 1 -> images (B, C, H, W), with
        the whole drawn anew; what was known is put back by who calls it. Larger images come in windows, one by one."""
        ...


@runtime_checkable
class Accompanies(Protocol):
    """Writes a melody over chords, of as many bars as they have."""

    def accompany(self, tunes: Tensor, noise: Noise) -> Tensor:
        """Tunes (B, 2, T) of whole bars, of which the chords alone count -> the same chords under a melody."""
        ...


@runtime_checkable
class Blends(Protocol):
    """Lays a part of one image into another, so that the two look like one picture."""

    def compose(self, images: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """What `blend` is to lay into images (B, C, H, W), as in training: sources (B, C, H, W), masks (B, 1, H, W), and what
        the images would be with it in their own light (B, C, H, W)."""
        ...

    def blend(self, images: Tensor, source: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """Images and sources (B, C, H, W) of any size, masks (B, 1, H, W) from 0 to 1, the share of the source -> images."""
        ...


@runtime_checkable
class Reposes(Protocol):
    """Draws the person of an image in another pose, that of a further field, which `repose` takes by its name."""

    def body(self, poses: Tensor) -> Tensor:
        """Poses (B, K, 3) -> (B, 1, H, W), 1 on the body, 0 beside it."""
        ...

    def repose(self, images: Tensor, noise: Noise, **fields: Tensor) -> Tensor:
        """Images (B, C, H, W) of the size of training -> the same people in other poses, of the same shape."""
        ...


@runtime_checkable
class Animates(Protocol):
    """Makes a still picture move as another one's video does. Learnt from clips; both are of the size of training."""

    def animate(self, images: Tensor, noise: Noise, driving: Tensor, relative: bool = True) -> Tensor:
        """Images (B, C, H, W) and a driving clip for all or each, (1 or B, C, T, H, W), T as long as it may be -> clips (B, C,
        T, H, W). relative: an image moves as the driving video has since its first frame; else it takes the pose of that."""
        ...


@runtime_checkable
class Colours(Protocol):
    """Colours drawings or grey pictures, and listens to hints: colours that were given in places.

    keeps_luminance: whether what it colours keeps its grey values. Drawings are (B, 1, H, W) in [-1, 1], white is 1; hints
    (B, C + 1, H, W): channels of colour, 0 where none was given, and one that is 1 where one was, else -1.
    """

    keeps_luminance: bool

    def drain(self, images: Tensor, noise: Noise) -> Tensor:
        """Drawings, or grey values, of images (B, C, H, W), as in training."""
        ...

    def dab(self, images: Tensor, noise: Noise) -> Tensor:
        """Hints of the colours of images (B, C, H, W), as in training."""
        ...

    def colour(self, drawings: Tensor, hints: Tensor, noise: Noise) -> Tensor:
        """Drawings of the size of training with hints -> images (B, C, H, W)."""
        ...


@runtime_checkable
class Remasters(Protocol):
    """Makes old films clean, and colours them after pictures. Clips are (B, C, T, H, W), of any number of frames; sides are
    multiples of `multiple`. Grey clips have one channel."""

    multiple: int

    def age(self, clips: Tensor, noise: Noise) -> Tensor:
        """What is to be undone, as in training: clips of any size, worn and without colour, of the same shape."""
        ...

    def clean(self, greys: Tensor, noise: Noise) -> Tensor:
        """Worn grey clips (B, 1, T, H, W) -> clean ones. Large ones come in tiles, so what is far away must not matter."""
        ...

    def tint(self, greys: Tensor, references: Tensor | None, noise: Noise) -> Tensor:
        """Clean grey clips, and pictures (B, 3, K, h, w), sides multiples of `multiple` too -> clips (B, C, T, H, W) of that
        luminance. None: no picture."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Makes a solid of one picture of it. Solids are (B, 1, S, S, S), inside above one half."""

    def depict(self, solids: Tensor, noise: Noise) -> Tensor:
        """Pictures (B, C, H, W) of solids, each from a side drawn at random, as in training."""
        ...

    def build(self, pictures: Tensor, noise: Noise, drawn: bool = False) -> Tensor:
        """Pictures of the size of training -> solids. drawn: one of those that a picture leaves open, drawn from noise, in the
        place of the likeliest."""
        ...


@runtime_checkable
class Plays(Protocol):
    """Plays notes of a pitch; its records are sounds. Offers `TakesAttributes` as well, the first of which is the pitch."""

    def pitches(self) -> tuple[int, ...]:
        """What each value of the first attribute is as a MIDI number, 60 for middle C."""
        ...

    def latents(self, count: int, noise: Noise) -> Tensor:
        """(count, latent) of how notes sound beside what is asked for; between two of them lie others."""
        ...

    def play(self, latents: Tensor, shown: Tensor) -> Tensor:
        """Latents (B, latent), and the index of every attribute's value (B, attributes), -1 where it is left open -> sounds
        (B, *spec.shape)."""
        ...


@runtime_checkable
class Vocodes(Protocol):
    """Makes sound of mel spectrograms.

    mel: the transform of its spectrograms (`networks.mel.Mel`), which knows their settings. usual: (), the loudest value that
    its spectrograms usually have. reach: how many columns a sample depends on, on each side.
    """

    mel: Any
    usual: Any
    reach: int

    def vocode(self, mels: Tensor, noise: Noise, first: int = 0) -> Tensor:
        """Spectrograms (N, bands, columns) -> waves (N, columns * hop). Long ones come in pieces; first: the number of a
        piece's first column in the whole, which what is drawn at random has to follow."""
        ...


@runtime_checkable
class Speaks(Protocol):
    """Makes sound of phones (`kinds.tokens.phones`).

    classes: its voices. spelling: texts (B, words) int64 of the run's own words -> places in `PHONES` (B, K), -1 behind the
    end; its `heard()` are the phones that words of the data are made of.
    """

    classes: int
    spelling: Any

    def utter(
        self, phones: Tensor, noise: Noise, labels: Tensor | None = None, *, frames: int = 0, pace: float = 1.0,
        higher: float = 0.0,
    ) -> Tensor:  # fmt: skip
        """Phones (B, K) -> sounds (B, C, T), each of the voice `labels` (B,). frames: how many at most; 0: as many as the
        longest takes. pace: how much faster than usual. higher: octaves."""
        ...


@runtime_checkable
class Postfilters(Protocol):
    """Gives averaged speech natural detail, by spectrograms whose differences filter sounds.

    mel, usual: as in `Vocodes`. latents: numbers of noise for a column. reach: how many columns a column depends on, on each
    side. Spectrograms (N, bands, columns) have their loudest value at the usual one.
    """

    mel: Any
    usual: Any
    latents: int
    reach: int

    def smoothing(self, mels: Tensor, drawn: Tensor) -> Tensor:
        """What `sharpening` is to undo, as in training: by how much spectrograms change. drawn: as there, not needed."""
        ...

    def sharpening(self, mels: Tensor, drawn: Tensor) -> Tensor:
        """By how much spectrograms change; drawn (N, latents, columns) standard normal."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """Says of which class a record is. class_names: classes of the data, in the order of its answers."""

    class_names: tuple[str, ...]

    def classify(self, records: Tensor, noise: Noise) -> Tensor:
        """Records of the spec's size -> probabilities (B, K) of the K classes. Called by position."""
        ...


@runtime_checkable
class ScoresAnomaly(Protocol):
    """Says how far a record is from what it learnt to be normal, and where."""

    def anomaly(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Records of the spec's size -> scores (B,) and maps, not negative; larger is less normal.

        A map says where: of images (B, C, H, W) it is (B, H, W), of series (B, T, C) it is (B, T). Called by position.
        """
        ...


@runtime_checkable
class ScoresParts(Protocol):
    """Says besides which of the quantities that are measured together are unlike what it learnt. Offers `ScoresAnomaly` too."""

    def anomaly_by_part(self, records: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor]:
        """As `anomaly`, and a score of each quantity at each place, not negative: of series (B, T, C) they are (B, T, C)."""
        ...


@runtime_checkable
class Projects(Protocol):
    """Finds the latents whose image comes nearest to a given one."""

    def project(self, images: Tensor, noise: Noise) -> Tensor:
        """Images of the spec's size -> latents (B, ...)."""
        ...

    def reconstruct(self, latents: Tensor) -> Tensor:
        """Latents of `project` -> images."""
        ...


@runtime_checkable
class Repaints(Protocol):
    """Draws images again from latents, which brush strokes can move."""

    def repaint(self, images: Tensor, colours: Tensor, strength: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Images of the spec's size, colours that are wanted (B, C, H, W) and how much, (B, 1, H, W) from 0 to 1 -> drawings
        (B, C, H, W): the images again, and as they are once the strokes are followed. What that changes is laid on by who calls
        it."""
        ...


@runtime_checkable
class MixesStyles(Protocol):
    """Takes coarse features from one latent and fine ones from another, at one of `style_layers` - 1 places."""

    style_layers: int

    def mix(self, coarse: Tensor, fine: Tensor, layer: int, noise: Noise) -> Tensor:
        """coarse, fine: (B, latent) standard normal. layer: the first that listens to `fine`, 1 .. style_layers - 1."""
        ...


@runtime_checkable
class ActsApart(Protocol):
    """Makes clips of a look and a motion that are asked for apart. content_size, motion_size: how many numbers say what is
    seen, and how each frame moves."""

    content_size: int
    motion_size: int

    def act(self, contents: Tensor, motions: Tensor, labels: Tensor | None = None) -> Tensor:
        """contents (B, content_size) and motions (B, 1 + T, motion_size), standard normal; labels (B,) int64 of the actions
        where it takes classes -> clips (B, C, T, H, W) of any length T, which begin alike whatever it is."""
        ...


@runtime_checkable
class MakesTextures(Protocol):
    """Makes images of any size that look alike everywhere.

    grain: pixels that a number of its noise stands for; sides of seamless images are multiples of it. styles: how many numbers
    say what texture it is; 0: it makes one alone.
    """

    grain: int
    styles: int

    def drawn_styles(self, count: int, noise: Noise) -> Tensor:
        """(count, styles) of textures as it learnt them."""
        ...

    def texture(self, styles: Tensor, height: int, width: int, noise: Noise, seamless: bool = False) -> Tensor:
        """styles (K, styles) that stand side by side, each going over into the next -> one image (1, C, height, width), on the
        CPU. seamless: opposite ends fit together; sides are then multiples of `grain`."""
        ...


@runtime_checkable
class Assembles(Protocol):
    """Makes things of many records that only count together: a graph of its edges. Systems that do offer `Samples` as well."""

    def assemble(self, count: int, noise: Noise, records: int, effort: float = 1.0) -> Tensor:
        """(count, records, *spec.shape). effort: below 1 for a quick look."""
        ...


@runtime_checkable
class ScoresLinks(Protocol):
    """Says which pairs of nodes of its graph are likely to be joined."""

    def link_scores(self, pairs: Tensor, noise: Noise) -> Tensor:
        """Pairs (K, 2) int64 -> scores (K,); larger is likelier."""
        ...


@dataclass(frozen=True)
class Panel:
    """What is to be looked at. records: (B, K, *shape) of the main field, in the game's units, K of them side by side in each
    of B rows. columns: K captions. rows: B captions, such as the sentence that a row was drawn for; empty for none."""

    records: Tensor
    columns: tuple[str, ...]
    rows: tuple[str, ...] = ()


@runtime_checkable
class Shows(Protocol):
    """Says what is to be looked at while it trains: a grid of samples is not it, or not enough."""

    def show(self, batch: Any, noise: Noise) -> Panel:
        """For a batch (B records) of the stream `data`: a row for each of its records, drawn from `noise` alone."""
        ...
