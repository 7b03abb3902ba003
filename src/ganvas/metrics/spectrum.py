"""Radial power spectra of images: does a generator make as much fine detail as there is in real images?

Each channel of each image goes the same way: its mean under the window is removed, it is weighted with a Hann window
(otherwise the borders draw a cross into the spectrum), transformed, and its power is averaged over rings of equal
frequency in cycles per pixel, from one ring beside zero to 0.5; then the logarithm is taken, and channels and images are
averaged, in this order. The distance is the mean over rings of |generated - real| (Durall et al. 2020, arXiv 2003.01826,
section 3, with natural logarithms): 0.1 means that powers differ by about 10 %.

Known bias. Most generators miss the highest frequencies: transposed convolutions and nearest or bilinear enlargement
cannot follow the real decay (Durall et al. 2020), and what is left there is learnt late and badly (Dzanic et al. 2020,
arXiv 1911.06465). So hardly any generator matches real images in the top third; compare with real against held-out
images, not with 0. The top third is also what resizing, JPEG and rounding to 8 bits change: both sets must have come
through the same steps and have the same size, and sets of other sizes are refused. Not a measure of what is shown:
images with exchanged phases look like noise and have distance 0.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.features import _reader
from ganvas.metrics.measure import Measure

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

SMALLEST_SIDE = 8
FLOOR = 1e-12
"""Added to the power of a ring, so that a constant image has a logarithm. Rounding to 8 bits alone leaves 1.3e-6."""
TOP = 1 / 3
"""The top third begins at this frequency, in cycles per pixel."""
LONGEST_CURVE = 64  # rings up to which the curves are written out in `more`
_BLOCK = 2**21  # pixels that are worked on at a time


@dataclass(frozen=True)
class RadialSpectrum:
    """The radial spectrum of a set of images.

    frequencies: (R,) cycles per pixel of the rings. mean, sd: (R,) mean and standard deviation over the images of the
    natural logarithm of the power, where the range of the file type is 1 (white noise of variance v has log v, less a
    little in the first rings, where few coefficients are averaged). count: images. size: (height, width).
    """

    frequencies: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    count: int
    size: tuple[int, int]


class SpectrumMoments:
    """Radial spectrum of a stream of images: count, sum and sum of squares of their log spectra, which merge exactly."""

    def __init__(self) -> None:
        self.count = 0
        self.size: tuple[int, int] | None = None
        self._total: np.ndarray = np.zeros(0)
        self._squares: np.ndarray = np.zeros(0)

    def update(self, images: Images) -> None:
        """Take images in, in any form that `radial_spectrum` takes. Raises GanvasError when their size is another."""
        if len(images) == 0:
            return
        size, logs = log_spectra(images)
        self._add(size, len(logs), logs.sum(axis=0), (logs**2).sum(axis=0))

    def merge(self, other: SpectrumMoments) -> None:
        """Take in what another one has seen. Raises GanvasError when its images have another size."""
        if other.size is not None:
            self._add(other.size, other.count, other._total, other._squares)

    def _add(self, size: tuple[int, int], count: int, total: np.ndarray, squares: np.ndarray) -> None:
        if self.size is None:
            self.size, self._total, self._squares = size, np.zeros_like(total), np.zeros_like(squares)
        _same_size(self.size, size)
        self.count += count
        self._total = self._total + total
        self._squares = self._squares + squares

    def spectrum(self) -> RadialSpectrum:
        """Mean and standard deviation over all images seen. Raises GanvasError before the first image."""
        if self.size is None:
            raise GanvasError("no images have been seen: a spectrum needs at least 1")
        mean = self._total / self.count
        variance = (self._squares / self.count - mean**2) * self.count / max(1, self.count - 1)
        return RadialSpectrum(ring_frequencies(self.size), mean, np.sqrt(np.maximum(variance, 0)), self.count, self.size)

    def compute(self, real: SpectrumMoments, *, reference: str = "given") -> Measure:
        """The value of `spectrum_distance` without interval and chance, which need the single images.

        Raises GanvasError when either has seen no image or their sizes differ.
        """
        mine, theirs = self.spectrum(), real.spectrum()
        _same_size(mine.size, theirs.size)
        protocol = _protocol(mine.size, mine.count, theirs.count, reference)
        return Measure(_distance(mine.mean - theirs.mean), protocol, more=_details(mine, theirs))

    def state(self) -> dict[str, np.ndarray]:
        """Plain arrays for `from_state`."""
        size = np.array(self.size or (0, 0), np.int64)
        return {"count": np.array(self.count, np.int64), "size": size, "total": self._total, "squares": self._squares}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> SpectrumMoments:
        """The inverse of `state`."""
        made = cls()
        made.count = int(state["count"])
        made.size = (int(state["size"][0]), int(state["size"][1])) if made.count else None
        made._total, made._squares = np.array(state["total"], np.float64), np.array(state["squares"], np.float64)
        return made


def radial_spectrum(images: Images) -> RadialSpectrum:
    """The radial power spectrum of a set of images of any size from 8x8, square or not, odd or even.

    images: as `ganvas.metrics.image_features` takes them: NumPy (N, H, W) or (N, H, W, C) uint8 or uint16, or a torch
    float tensor (N, C, H, W) in [-1, 1]. Raises GanvasError for other forms, smaller images and an empty set.
    """
    moments = SpectrumMoments()
    moments.update(images)
    return moments.spectrum()


def spectrum_distance(
    generated: Images,
    real: Images,
    *,
    intervals: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    reference: str = "given",
) -> Measure:
    """Mean over rings of |mean log power of the generated - of the real images|: 0 and up, in natural logarithms.

    generated, real: images as `radial_spectrum` takes them, of one size. intervals: 95 %, by bootstrap over the images
    (`replicates` times, from `seed`), which are taken as independent. reference: what `real` is, for the protocol
    `spectrum/log-radial-hann/at=HxW/n=N/m=M/ref=<reference>`.

    more: `top_third` (mean over the rings from 1/3 cycle per pixel on of generated - real: negative where detail is
    missing) with `top_third_low`, `top_third_high`; `chance`: what random division of both sets together into two stays
    below in 95 of 100 cases (a distance is above 0 for any two finite sets, so read the value against this);
    `frequencies`, `generated`, `real` (the curves) up to 64 rings.

    Raises GanvasError for images of other forms or sizes, and for fewer than 2 in a set with intervals.
    """
    size, mine = log_spectra(generated)
    other, theirs = log_spectra(real)
    _same_size(size, other)
    n, m = len(mine), len(theirs)
    ours, reals = _summary(size, mine), _summary(size, theirs)
    more = _details(ours, reals)
    value = _distance(ours.mean - reals.mean)
    low = high = None
    if intervals:
        if min(n, m) < 2:
            raise GanvasError(f"an interval needs at least 2 images in each set, got {n} and {m}; give intervals=False")
        drawn = bootstrap_means(mine, replicates, seed) - bootstrap_means(theirs, replicates, seed + 1)
        low, high = shifted_interval(value, np.abs(drawn).mean(axis=1), least=0.0)
        top = ours.frequencies >= TOP
        more["top_third_low"], more["top_third_high"] = shifted_interval(more["top_third"], drawn[:, top].mean(axis=1))
        divided = divided_means(np.concatenate([mine, theirs]), n, replicates, seed)
        more["chance"] = float(np.quantile(np.abs(divided).mean(axis=1), 0.95))
    return Measure(value, _protocol(size, n, m, reference), low, high, more)


def ring_frequencies(size: tuple[int, int]) -> np.ndarray:
    """Frequencies (R,) of the rings in cycles per pixel: k / short side, k = 1, 2, ... up to 0.5.

    The long side resolves frequencies more finely than this; its coefficients are averaged into the same rings.
    """
    short = min(size)
    return np.arange(1, short // 2 + 1) / short


def log_spectra(images: Images) -> tuple[tuple[int, int], np.ndarray]:
    """((height, width), log power (N, R) of every image). Raises GanvasError as `radial_spectrum` does."""
    size: tuple[int, int] | None = None
    rows = []
    ring: Callable[[np.ndarray], np.ndarray]
    for pixels in unit_blocks(images):
        if size is None:
            size = (pixels.shape[2], pixels.shape[3])
            if min(size) < SMALLEST_SIDE:
                raise GanvasError(
                    f"a spectrum needs images of {SMALLEST_SIDE}x{SMALLEST_SIDE} or more, got {size[0]}x{size[1]}"
                )
            window = hann(size)
            ring = _ring_means(size)
        power = np.abs(np.fft.rfft2(windowed(pixels, window))) ** 2 / (window**2).sum()
        rows.append(np.log(ring(power) + FLOOR).mean(axis=1))
    if size is None:
        raise GanvasError("the set of images is empty: a spectrum needs at least 1")
    return size, np.concatenate(rows)


def unit_blocks(images: Images, pixels: int = _BLOCK) -> Iterator[np.ndarray]:
    """The images as blocks (n, C, H, W) float64 in [0, 1], the range of the file type; about `pixels` numbers a block."""
    read = _reader(images)
    step = max(1, pixels // max(1, math.prod(images.shape[1:])))
    for start in range(0, len(images), step):
        yield (read(images[start : start + step]).cpu().numpy().astype(np.float64) + 1) / 2


def hann(size: tuple[int, int]) -> np.ndarray:
    """The periodic Hann window (H, W): a pure frequency reaches one coefficient to each side and no farther."""
    down, across = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side) for side in size)
    return np.outer(down, across)


def windowed(pixels: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Pixels (n, C, H, W) without their mean under the window, times the window: nothing is left at frequency 0."""
    mean = (pixels * window).sum(axis=(2, 3), keepdims=True) / window.sum()
    return np.asarray((pixels - mean) * window)


def _ring_means(size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from half spectra (..., H, W // 2 + 1) to their means over rings (..., R)."""
    height, width = size
    rings = len(ring_frequencies(size))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(down, across)
    number = np.rint(radius * min(size)).astype(np.int64)
    number[(radius > 0.5 + 1e-9) | (number > rings)] = 0  # the corners, and frequency 0 itself
    # The half that is not computed mirrors the other, except for the columns that mirror themselves.
    twice = np.where((across > 0) & (across * 2 < 1 - 1e-9), 2.0, 1.0) * np.ones_like(radius)
    order = np.argsort(number, axis=None, kind="stable")
    order = order[np.count_nonzero(number == 0) :]
    starts = np.searchsorted(number.ravel()[order], np.arange(1, rings + 1))
    weights = twice.ravel()[order]
    totals = np.add.reduceat(weights, starts)

    def means(power: np.ndarray) -> np.ndarray:
        flat = power.reshape(*power.shape[:-2], -1)[..., order] * weights
        return np.asarray(np.add.reduceat(flat, starts, axis=-1) / totals)

    return means


def bootstrap_means(rows: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """Means (replicates, K) of rows (N, K) drawn with replacement, N at a time."""
    return np.concatenate(
        [counts @ rows / len(rows) for counts in resampled_counts(len(rows), replicates, seed)]
    )  # fmt: skip


def resampled_counts(count: int, replicates: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of `count` images is drawn (b, count), in blocks, `replicates` rows altogether."""
    rng = np.random.default_rng([seed, 0xB007])
    for start in range(0, replicates, 100):
        yield rng.multinomial(count, np.full(count, 1 / count), size=min(100, replicates - start)).astype(np.float64)


def divided_means(rows: np.ndarray, first: int, replicates: int, seed: int) -> np.ndarray:
    """Mean of `first` random rows less the mean of the others (replicates, K): what chance alone makes of two sets."""
    rng = np.random.default_rng([seed, 0xD17])
    total, count = rows.sum(axis=0), len(rows)
    made = []
    for start in range(0, replicates, 100):
        places = rng.permuted(np.tile(np.arange(count), (min(100, replicates - start), 1)), axis=1)
        part = (places < first).astype(np.float64) @ rows
        made.append(part / first - (total - part) / (count - first))
    return np.concatenate(made)


def shifted_interval(value: float, drawn: np.ndarray, least: float = -math.inf) -> tuple[float, float]:
    """95 % bootstrap interval of `value`, not below `least`.

    Resampling adds noise of its own, which a distance counts as distance: so the drawn values are shifted to have their
    mean at the value.
    """
    low, high = np.quantile(drawn, (0.025, 0.975)) - drawn.mean() + value
    return max(min(float(low), value), least), max(float(high), value)  # where all are equal, rounding stays on its side


def _summary(size: tuple[int, int], logs: np.ndarray) -> RadialSpectrum:
    sd = logs.std(axis=0, ddof=1) if len(logs) > 1 else np.zeros(logs.shape[1])
    return RadialSpectrum(ring_frequencies(size), logs.mean(axis=0), sd, len(logs), size)


def _distance(differences: np.ndarray) -> float:
    return float(np.abs(differences).mean())


def _details(generated: RadialSpectrum, real: RadialSpectrum) -> dict[str, Any]:
    top = real.frequencies >= TOP
    more: dict[str, Any] = {"top_third": float((generated.mean - real.mean)[top].mean())}
    if len(real.frequencies) <= LONGEST_CURVE:
        curves = {"frequencies": real.frequencies, "generated": generated.mean, "real": real.mean}
        more |= {name: [round(float(v), 5) for v in curve] for name, curve in curves.items()}
    return more


def _protocol(size: tuple[int, int], n: int, m: int, reference: str) -> str:
    return f"spectrum/log-radial-hann/at={size[0]}x{size[1]}/n={n}/m={m}/ref={reference}"


def _same_size(a: tuple[int, int], b: tuple[int, int]) -> None:
    if a != b:
        raise GanvasError(
            f"images of {a[0]}x{a[1]} and {b[0]}x{b[1]} have spectra that do not compare: bring both sets to one size by "
            "the same resizing first"
        )


def draw_spectrum(
    path: str | Path,
    generated: Images | RadialSpectrum,
    real: Images | RadialSpectrum,
    anchors: Mapping[str, Images | RadialSpectrum] | None = None,
) -> None:
    """Write a picture of the spectra, PNG or SVG by the ending of `path`: curves with bands of one standard deviation
    over images, and below them how many times the real power each has.

    generated, real: images, or their `radial_spectrum`. anchors: further sets by name (`heldout`, `untrained`, ...), drawn
    as thin lines. Holds no image, only means over sets. Raises GanvasError for another ending and for other sizes than
    those of `real`; RunError in one line when the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ganvas.files import write_atomically

    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg"):
        raise GanvasError(f"{path.name}: a spectrum is drawn as .png or .svg; name the file so")
    base = _spectrum_of(real)
    ours = _spectrum_of(generated)
    others = [(name, _spectrum_of(images)) for name, images in (anchors or {}).items()]
    for spectrum in (ours, *(spectrum for _, spectrum in others)):
        _same_size(base.size, spectrum.size)

    figure = Figure(figsize=(7.0, 5.6), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    x = base.frequencies
    for name, spectrum, colour in (("generated", ours, "#D55E00"), ("real", base, "#0072B2")):
        low, high = np.exp(spectrum.mean - spectrum.sd), np.exp(spectrum.mean + spectrum.sd)
        above.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        above.plot(x, np.exp(spectrum.mean), color=colour, linewidth=2, label=f"{name} (n = {spectrum.count:,})", zorder=3)
    shades = ("#009E73", "#7A5195", "#E69F00", "#56B4E9", "#444444")
    styles = ("--", ":", "-.")
    for place, (name, spectrum) in enumerate(others):
        look = {"color": shades[place % len(shades)], "linestyle": styles[place % len(styles)], "linewidth": 1.4}
        above.plot(x, np.exp(spectrum.mean), label=f"{name} (n = {spectrum.count:,})", **look)
        below.plot(x, np.exp(spectrum.mean - base.mean), **look)
    below.axhline(1, color="#0072B2", linewidth=1.2)
    error = 1.96 * np.sqrt(ours.sd**2 / ours.count + base.sd**2 / base.count)
    gap = ours.mean - base.mean
    below.fill_between(x, np.exp(gap - error), np.exp(gap + error), color="#D55E00", alpha=0.2, linewidth=0)
    below.plot(x, np.exp(gap), color="#D55E00", linewidth=2)

    above.set_yscale("log")
    below.set_yscale("log")
    reach = max(1.5, *(float(np.exp(np.abs(s.mean - base.mean).max())) for s in (ours, *(s for _, s in others))))
    below.set_ylim(1 / reach**1.1, reach**1.1)
    _plain_ratio_ticks(below, reach)
    below.set_xlim(float(x[0]), 0.5)
    below.set_xlabel("frequency (cycles per pixel)")
    above.set_ylabel("power (range of the file = 1)")
    below.set_ylabel("times the real power")
    above.set_title("Radial power spectrum, with one standard deviation over images", fontsize=11, loc="left")
    below.set_title("generated / real, with the 95 % interval of the mean", fontsize=9, loc="left")
    for axes in (above, below):
        axes.axvspan(TOP, 0.5, color="#F3F3F3", zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#BBBBBB")
        axes.tick_params(labelsize=9, colors="#444444")
        axes.grid(color="#E4E4E4", linewidth=0.7)
        axes.set_axisbelow(True)
    above.text(0.5 * (TOP + 0.5), 0.97, "top third", transform=above.get_xaxis_transform(), ha="center", va="top",
               fontsize=8, color="#777777")  # fmt: skip
    above.legend(frameon=False, fontsize=9, loc="lower left")
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "ganvas"}):  # the same picture gives the same bytes
        figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": "ganvas"})
    write_atomically(path, buffer.getvalue())


def _spectrum_of(images: Images | RadialSpectrum) -> RadialSpectrum:
    return images if isinstance(images, RadialSpectrum) else radial_spectrum(images)


def _plain_ratio_ticks(axes: Any, reach: float) -> None:
    """Ticks that read 0.5, 1, 2 and not 5 x 10^-1, as many as there is room for."""
    from matplotlib.ticker import FixedLocator, NullLocator

    steps = next(s for most, s in ((3, (1, 1.5, 2)), (12, (1, 2, 5, 10)), (150, (1, 10, 100)), (math.inf, (1, 1e2, 1e4, 1e6)))
                 if reach <= most)  # fmt: skip
    ticks = sorted({*steps, *(1 / s for s in steps)})
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(ticks, [f"{t:.2g}" if t < 1 else f"{t:g}" for t in ticks])
