"""Draws the pictures of docs/numbers.md into docs/pictures/numbers: `python docs/pictures/draw_numbers.py [NAME ...]`.

One function a picture. All data is simulated: points, and radiographs of the `chest` phantom. Every number in a picture is
computed by ganvas itself. Not for real data, and not part of the package.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from matplotlib.ticker import FixedLocator, NullLocator
from PIL import Image
from scipy.ndimage import gaussian_filter

from ganvas import metrics
from ganvas.data.phantoms import make_phantom, truth
from ganvas.evaluation.beside import linear_samples
from ganvas.evaluation.sets import Part
from ganvas.metrics.extractors import PixelExtractor
from ganvas.metrics.memorisation import feature_distances, membership_inference, memberships
from ganvas.metrics.pixels import histograms, ms_ssim
from ganvas.metrics.points import directions_of, sliced_wasserstein, wasserstein_on_line

OUT = Path(__file__).parent / "numbers"
LARGEST = 60_000  # bytes of a picture
REAL, MADE, OTHER, GREY, PALE = "#0072B2", "#D55E00", "#009E73", "#777777", "#DDDDDD"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#AAAAAA",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
}


def figure(height: float, *widths: float, width: float = 7.4) -> tuple[Figure, list[Any]]:
    """A figure with panels side by side, of these relative widths."""
    made = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    made.get_layout_engine().set(w_pad=0.08, h_pad=0.05)  # type: ignore[union-attr]
    return made, list(np.atleast_1d(made.subplots(1, len(widths), width_ratios=widths)))


def save(made: Figure, name: str) -> None:
    stream = io.BytesIO()
    made.savefig(stream, format="png")
    small = Image.open(stream).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(OUT / f"{name}.png", optimize=True)
    size = (OUT / f"{name}.png").stat().st_size
    print(f"{name}.png  {size / 1000:.0f} KB")
    if size > LARGEST:
        raise SystemExit(f"{name}.png has {size} bytes, more than {LARGEST}")


def plane(axes: Any, *clouds: np.ndarray, margin: float = 0.3) -> None:
    """A plane without numbers: equal scales, room for the clouds."""
    points = np.concatenate(clouds)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set(visible=True, color=PALE)


def balls(axes: Any, centres: np.ndarray, radius: np.ndarray, colour: str, **look: Any) -> None:
    look = {"facecolor": colour, "edgecolor": colour, "alpha": 0.12, "linewidth": 0.6} | look
    axes.add_collection(PatchCollection([Circle(c, r) for c, r in zip(centres, radius, strict=True)], **look))


def show(axes: Any, image: np.ndarray, text: str = "", colour: str = "black") -> None:
    """A grey image, black to white as in its file."""
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(text, color=colour, fontsize=8.5, loc="center")
    for spine in axes.spines.values():
        spine.set_visible(False)


def strip(images: np.ndarray, columns: int, gap: int = 3) -> np.ndarray:
    """Images (N, h, w, 1) side by side on white, `columns` in a row."""
    n, h, w = images.shape[:3]
    rows = -(-n // columns)
    out = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), 255, np.uint8)
    for k, image in enumerate(images[..., 0]):
        top, left = (k // columns) * (h + gap), (k % columns) * (w + gap)
        out[top : top + h, left : left + w] = image
    return out


def chest(count: int, seed: int, variant: str = "", size: int = 64) -> np.ndarray:
    return make_phantom("chest" + (f":{variant}" if variant else ""), count, seed, size=size).values


def changed(images: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Every image (h, w) float through `change`, back in 8 bits."""
    made = np.stack([change(image.astype(np.float64)) for image in images[..., 0]])
    return np.clip(np.round(made), 0, 255).astype(np.uint8)[..., None]


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return changed(images, lambda image: gaussian_filter(image, sigma))


def log_ticks(axis: Any, ticks: list[float]) -> None:
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([f"{tick:g}" for tick in ticks])


# Distances


def distances() -> None:
    rng = np.random.default_rng(1)
    n = 800
    real = rng.normal(size=(n, 2))
    comet = rng.exponential(size=(n, 2))

    def matched(points: np.ndarray) -> np.ndarray:
        """The points with the mean and the covariance of the real ones."""
        white = np.linalg.solve(np.linalg.cholesky(np.cov(points.T)), (points - points.mean(axis=0)).T)
        return (np.linalg.cholesky(np.cov(real.T)) @ white).T + real.mean(axis=0)

    cases = {
        "the same world": rng.normal(size=(n, 2)),
        "shifted": rng.normal(size=(n, 2)) + np.array([1, 0.4]),
        "lopsided, same mean and spread": matched(comet),
    }
    made, panels = figure(2.7, 1, 1, 1)
    for axes, (name, fake) in zip(panels, cases.items(), strict=True):
        kernel, frechet = metrics.kernel_distance(fake, real), metrics.frechet_distance(fake, real)
        axes.scatter(*real.T, s=4, color=REAL, alpha=0.4, linewidths=0, label="real")
        axes.scatter(*fake.T, s=4, color=MADE, alpha=0.6, linewidths=0, label="generated")
        for points, colour in ((real, REAL), (fake, MADE)):
            values, vectors = np.linalg.eigh(np.cov(points.T))
            angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
            size = 4 * np.sqrt(values)  # two standard deviations to each side
            axes.add_patch(Ellipse(points.mean(axis=0), size[1], size[0], angle=angle, fill=False, color=colour, linewidth=1.4))
        plane(axes, np.array([[-3.4, -3.2], [4.6, 3.8]]), margin=0)
        axes.set_title(f"{name}\nkernel {kernel.value:.2f} [{kernel.low:.2f}, {kernel.high:.2f}]\nFrechet {frechet.value:.2f}")
    panels[0].legend(loc="lower right", markerscale=2.5, handletextpad=0.1, borderaxespad=0.1)
    save(made, "distances")


def frechet_sizes() -> None:
    rng = np.random.default_rng(2)
    d, most = 16, 3000
    real = rng.normal(size=(most, d))
    shift = np.zeros(d)
    shift[0] = 0.5
    makers = {
        "generator A": (rng.normal(size=(most, d)), 0.0, MADE),
        "generator B": (rng.normal(size=(most, d)) + shift, 0.25, OTHER),
    }
    sizes = np.array([50, 75, 120, 200, 400, 800, 1600, 3000])
    made, (left, right) = figure(2.7, 1, 1)
    for name, (fake, true, colour) in makers.items():
        values = [metrics.frechet_distance(fake[:k], real[:k], intervals=False).value for k in sizes]
        left.plot(sizes, values, "o-", color=colour, markersize=4, label=f"{name}, truth {true:g}")
        left.axhline(true, color=colour, linewidth=0.9, linestyle=":")
        right.plot(1 / sizes[4:], values[4:], "o", color=colour, markersize=4)
        end = metrics.frechet_extrapolated(fake, real)
        line = np.array([0, 1 / sizes[4]])
        right.plot(line, end.value + end.more["slope"] * line, color=colour, linewidth=1)
        right.errorbar(
            0, end.value, [[end.value - end.low], [end.high - end.value]], fmt="D", color=colour, capsize=3, markersize=5
        )
        text = f"{name}: {end.value:.3f} [{end.low:.3f}, {end.high:.3f}]"
        right.text(
            0.98, 0.25 if true else 0.16, text, color=colour, ha="right", va="center", fontsize=8.5, transform=right.transAxes
        )
        right.axhline(true, color=colour, linewidth=0.9, linestyle=":")
    left.set(xscale="log", yscale="linear", xlabel="samples on each side", ylabel="Frechet distance", ylim=(-0.08, None))
    log_ticks(left.xaxis, [50, 100, 200, 400, 800, 1600, 3000])
    left.set_title("few samples make any generator look bad")
    left.legend(loc="upper right")
    right.set(xlabel="1 / samples", ylabel="Frechet distance", ylim=(-0.08, 0.65))
    right.set_xticks([0, *(1 / sizes[4:])], ["0", "1/400", "1/800", "1/1600", ""])
    right.set_title("a straight line leads to N = infinity")
    save(made, "frechet_sizes")


def sliced() -> None:
    rng = np.random.default_rng(3)
    real = truth("patterns:sine", 400, 1).astype(np.float64)
    fake = truth("patterns:sine", 1200, 2).astype(np.float64)
    fake = fake[fake[:, 0] < 0.35][:400]
    fake = fake + rng.normal(size=fake.shape) * 0.06
    total = sliced_wasserstein(fake, real)
    lines = directions_of(2, 256)
    line = lines[:, [24]]
    made, (left, right) = figure(2.7, 1, 1.15)
    left.scatter(*real.T, s=5, color=REAL, linewidths=0, alpha=0.6, label="real")
    left.scatter(*fake.T, s=5, color=MADE, linewidths=0, alpha=0.6, label="generated")
    for k in (24, 88, 152, 216):
        direction = lines[:, k] * 1.35
        chosen = k == 24
        left.plot(
            *np.stack([-direction, direction]).T,
            color="black" if chosen else GREY,
            linewidth=1.6 if chosen else 0.7,
            linestyle="-" if chosen else "--",
        )
    plane(left, real, fake, margin=0.3)
    left.legend(loc="lower left", markerscale=2.5, handletextpad=0.1, borderaxespad=0.1)
    left.set_title(f"sliced Wasserstein distance {total:.3f}")
    grid = np.linspace(-1.5, 1.5, 500)
    shares = [np.searchsorted(np.sort((points @ line)[:, 0]), grid) / len(points) for points in (real, fake)]
    right.fill_between(grid, *shares, color="#EEDDAA", label="area between them")
    for share, colour, name in zip(shares, (REAL, MADE), ("real", "generated"), strict=True):
        right.plot(grid, share, color=colour, linewidth=1.6, label=name)
    right.set(xlabel="place along the black line", ylabel="share of points up to here", xlim=(-1.5, 1.5), ylim=(0, 1.02))
    right.legend(loc="upper left")
    right.set_title(f"along the black line: {wasserstein_on_line(fake @ line, real @ line)[0]:.3f}")
    save(made, "sliced_wasserstein")


# Fidelity and variety


def _inside(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(points, balls) bool."""
    return np.linalg.norm(points[:, None] - centres[None], axis=2) < radius[None]


def precision_recall() -> None:
    rng = np.random.default_rng(5)
    n = 60
    real = np.concatenate([rng.normal([-1.3, 0], 0.45, (n // 2, 2)), rng.normal([1.3, 0.2], 0.5, (n - n // 2, 2))])
    fake = np.concatenate([rng.normal([-1.3, 0], 0.36, (46, 2)), rng.normal([-0.2, 2.0], 0.35, (14, 2))])
    found = metrics.precision_recall_density_coverage(fake, real)
    made, panels = figure(2.75, 1, 1)
    for axes, (name, judged, centres, colour, own) in zip(
        panels, (("precision", fake, real, REAL, MADE), ("recall", real, fake, MADE, REAL)), strict=True
    ):
        radius = metrics.radii(centres, 5)
        inside = _inside(judged, centres, radius).any(axis=1)
        assert np.isclose(inside.mean(), found[name].value)
        balls(axes, centres, radius, colour, alpha=0.07)
        axes.scatter(*centres.T, s=5, color=colour, linewidths=0)
        axes.scatter(*judged[inside].T, s=20, color=own, edgecolor="white", linewidths=0.5, zorder=3)
        axes.scatter(*judged[~inside].T, s=20, marker="x", color=own, linewidths=1.2, zorder=3)
        plane(axes, real, fake, margin=0.4)
        which = "generated dots lie in a blue ball" if name == "precision" else "real dots lie in an orange ball"
        m = found[name]
        axes.set_title(f"{name} {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]\n{inside.sum()} of {n} {which}")
    save(made, "precision_recall")


def density_coverage() -> None:
    rng = np.random.default_rng(8)
    n = 60
    real = np.concatenate([rng.normal([-1.6, 0], 0.5, (n - 2, 2)), [[1.6, 0.7], [2.2, -0.8]]])
    fake = np.concatenate([rng.normal([-1.5, 0.2], 0.3, (22, 2)), rng.uniform([0.6, -1.3], [2.6, 1.3], (38, 2))])
    found = metrics.precision_recall_density_coverage(fake, real)
    radius = metrics.radii(real, 5)
    inside = _inside(fake, real, radius)
    made, (left, right) = figure(2.75, 1, 1)
    assert np.isclose(inside.sum() / (5 * n), found["density"].value)
    assert np.isclose(inside.any(axis=0).mean(), found["coverage"].value)
    balls(left, real, radius, REAL, alpha=0.05)
    left.scatter(*real.T, s=5, color=REAL, linewidths=0)
    dots = left.scatter(
        *fake.T, s=24, c=inside.sum(axis=1) / 5, cmap="YlOrRd", edgecolor="#555555", linewidths=0.5, zorder=3, vmin=0
    )
    made.colorbar(dots, ax=left, shrink=0.8, pad=0.02).set_label("balls around it / 5")
    holds = inside.any(axis=0)
    balls(right, real[holds], radius[holds], REAL, alpha=0.06)
    balls(
        right,
        real[~holds],
        radius[~holds],
        GREY,
        facecolor="none",
        edgecolor="#444444",
        alpha=0.9,
        linestyle="--",
        linewidth=0.8,
    )
    right.scatter(*real[holds].T, s=9, color=REAL, linewidths=0)
    right.scatter(*real[~holds].T, s=16, marker="x", color="#444444", linewidths=1)
    right.scatter(*fake.T, s=12, color=MADE, edgecolor="white", linewidths=0.3, zorder=3)
    for axes in (left, right):
        plane(axes, real, fake, margin=0.5)
    left.set_title(f"density {found['density'].value:.2f} (precision says {found['precision'].value:.2f})")
    right.set_title(f"coverage {found['coverage'].value:.2f} ({holds.sum()} of {n} real balls)")
    save(made, "density_coverage")


def bins() -> None:
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(4)
    real = rng.normal(size=(1000, 2)) * [1.5, 0.9]
    fake = rng.normal(size=(600, 2)) * [1.5, 0.9]
    fake = fake[fake[:, 0] < 1.1][:400]
    count = 16
    found = metrics.different_bins(fake, real, bins=count)
    clusters = KMeans(count, n_init=1, random_state=0).fit(real)  # the bins of `different_bins`
    shares = [np.bincount(clusters.predict(points), minlength=count) / len(points) for points in (real, fake)]
    pooled = (shares[0] * len(real) + shares[1] * len(fake)) / (len(real) + len(fake))
    z = (shares[1] - shares[0]) / np.sqrt(pooled * (1 - pooled) * (1 / len(real) + 1 / len(fake)))
    kind = np.where(z > 1.96, 2, np.where(z < -1.96, 1, 0))
    assert (kind > 0).sum() == found.more["different"]
    made, (left, right) = figure(2.7, 1.25, 1)
    side = [np.linspace(low, high, 400) for low, high in ((-4.6, 4.6), (-2.9, 2.9))]
    grid = np.stack(np.meshgrid(*side), axis=-1).reshape(-1, 2)
    cell = clusters.predict(grid).reshape(400, 400)
    colours = np.array([[1, 1, 1], [0.99, 0.87, 0.78], [0.80, 0.93, 0.86]])
    left.imshow(colours[kind[cell]], extent=(-4.6, 4.6, -2.9, 2.9), origin="lower", interpolation="nearest")
    for k in range(count):
        left.contour(side[0], side[1], cell == k, levels=[0.5], colors="#999999", linewidths=0.6)
    left.scatter(*real[:500].T, s=3, color=REAL, linewidths=0, alpha=0.6)
    left.scatter(*fake.T, s=4, color=MADE, linewidths=0, alpha=0.8)
    plane(left, np.array([[-4.6, -2.9], [4.6, 2.9]]), margin=0)
    left.set_title(f"different bins {found.value:.2f}: {found.more['different']} of {count}")
    order = np.argsort(clusters.cluster_centers_[:, 0])
    place = np.arange(count)
    right.bar(place - 0.2, 100 * shares[0][order], 0.4, color=REAL, label="real")
    right.bar(place + 0.2, 100 * shares[1][order], 0.4, color=MADE, label="generated")
    for at in np.flatnonzero(kind[order]):
        right.text(at, 100 * max(shares[0][order][at], shares[1][order][at]) + 0.2, "*", ha="center", fontsize=11)
    right.set(xlabel="bins, from left to right", ylabel="% of records", xticks=[])
    right.set_title("* differs beyond chance")
    right.legend(loc="upper right", handlelength=1, borderaxespad=0)
    right.set_ylim(0, 100 * max(shares[0].max(), shares[1].max()) * 1.3)
    save(made, "bins")


def diversity() -> None:
    rng = np.random.default_rng(6)
    real, reference = chest(48, 11), chest(48, 12)
    collapsed = chest(3, 13)[rng.integers(3, size=48)]
    collapsed = changed(collapsed, lambda image: image * rng.uniform(0.98, 1.02))
    noise = rng.integers(0, 256, real.shape).astype(np.uint8)
    made, panels = figure(1.5, 1, 1, 1)
    for axes, name, images, colour in zip(
        panels,
        ("other real images", "a collapsed generator", "noise"),
        (real, collapsed, noise),
        (REAL, MADE, OTHER),
        strict=True,
    ):
        m = metrics.pairwise_diversity(images, reference)
        show(axes, strip(images[:3], 3), colour=colour)
        axes.set_title(
            f"{name}\ndiversity {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]\n{m.more['ratio']:.0%} of real",
            fontsize=9,
            color=colour,
        )
    save(made, "diversity")


def similarity() -> None:
    import torch

    rng = np.random.default_rng(7)
    normal, effusion = chest(4, 21, "normal", 80), chest(4, 22, "effusion", 80)
    twin = changed(normal[:1], lambda image: image * 1.05 + rng.normal(size=image.shape) * 4)
    noise = rng.integers(0, 256, (2, *normal.shape[1:])).astype(np.uint8)
    pairs = {
        "a near twin": (normal[0], twin[0]),
        "real, alike": (normal[3], effusion[0]),
        "real, less alike": (normal[1], normal[2]),
        "noise": (noise[0], noise[1]),
    }
    made, panels = figure(1.35, 1, 1, 1, 1)
    for axes, (name, pair) in zip(panels, pairs.items(), strict=True):
        a, b = (torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None] for image in pair)
        show(axes, strip(np.stack(pair), 2))
        axes.set_title(f"{name}\nMS-SSIM {float(ms_ssim(a, b)):.2f}", fontsize=9)
    save(made, "ms_ssim")


# Pixels


def spectrum() -> None:
    rng = np.random.default_rng(9)
    real, other = chest(300, 31), chest(300, 32)
    cases = {
        "sharp, as real": (other, OTHER),
        "blurred": (blurred(other, 0.7), MADE),
        "with noise": (changed(other, lambda image: image + rng.normal(size=image.shape) * 8), "#7A5195"),
    }
    made = Figure(figsize=(7.4, 2.9), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    grid = made.add_gridspec(3, 2, width_ratios=(0.42, 1))
    axes = made.add_subplot(grid[:, 1])
    base = metrics.radial_spectrum(real)
    axes.axvspan(1 / 3, 0.5, color="#F3F3F3", zorder=0)
    axes.text(0.417, 0.97, "top third", transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=8, color=GREY)
    axes.plot(base.frequencies, np.exp(base.mean), color=REAL, linewidth=4, alpha=0.4, label="real")
    for row, (name, (images, colour)) in enumerate(cases.items()):
        m, curve = metrics.spectrum_distance(images, real), metrics.radial_spectrum(images)
        axes.plot(
            curve.frequencies,
            np.exp(curve.mean),
            color=colour,
            linewidth=1.6,
            label=f"{name}: {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]",
        )
        picture = made.add_subplot(grid[row, 0])
        show(picture, strip(images[1:4, 8:56], 3))
        picture.set_title(name, color=colour, fontsize=9, loc="left", pad=3)
    axes.set(
        yscale="log",
        xlabel="frequency (cycles per pixel): coarse at the left, finest detail at the right",
        ylabel="power",
        xlim=(base.frequencies[0], 0.5),
    )
    axes.legend(loc="lower left", title="spectrum distance", title_fontsize=8.5, alignment="left")
    save(made, "spectrum")


def intensity() -> None:
    real, other = chest(150, 41), chest(150, 42)
    pale = changed(other, lambda image: 60 + image * 0.72)
    found = [metrics.intensity_distance(images, real) for images in (other, pale)]
    made, (left, middle, right) = figure(2.25, 0.7, 0.7, 1.35)
    show(left, strip(real[:4], 2), "real", REAL)
    show(middle, strip(pale[:4], 2), "generated, washed out", MADE)
    levels = np.arange(256)
    for images, name, colour, look in (
        (real, "real", REAL, {"linewidth": 3.5, "alpha": 0.4}),
        (other, f"as real: {found[0].value:.3f} [{found[0].low:.3f}, {found[0].high:.3f}]", OTHER, {"linewidth": 1.2}),
        (pale, f"washed out: {found[1].value:.3f} [{found[1].low:.3f}, {found[1].high:.3f}]", MADE, {"linewidth": 1.2}),
    ):
        counts = histograms(images).sum(axis=0)[0]
        shares = gaussian_filter(100 * counts / counts.sum(), 2)
        right.plot(levels, shares, color=colour, label=name, **look)
    right.set(xlabel="grey value", ylabel="% of pixels", xlim=(0, 255))
    right.set_ylim(0, 2.5)
    right.legend(loc="upper left", title="intensity distance", title_fontsize=8.5, alignment="left")
    save(made, "intensity")


def checkerboard() -> None:
    size = 96
    real, other = chest(40, 51, size=size), chest(40, 52, size=size)
    y, x = np.mgrid[:size, :size]
    planted = changed(other, lambda image: image + 5 * np.where((x + y) % 2, 1, -1) + 4 * np.where(x % 4 < 2, 1, -1))
    made, panels = figure(2.15, 1, 1, 0.12, 1, 1)
    panels[2].set_axis_off()
    window = np.outer(np.hanning(size), np.hanning(size))
    for place, (images, name, colour) in ((0, (other, "as real", OTHER)), (3, (planted, "with a grid", MADE))):
        m = metrics.checkerboard_energy(images, real)
        show(panels[place], images[0, 24:64, 30:70], f"{name} (enlarged)", colour)
        power = np.mean([np.abs(np.fft.fft2((i - i.mean()) * window)) ** 2 for i in images[..., 0].astype(np.float64)], axis=0)
        axes = panels[place + 1]
        axes.imshow(
            np.log(np.fft.fftshift(power)),
            cmap="magma",
            extent=(-0.5, 0.5, 0.5, -0.5),
            interpolation="nearest",
            vmin=5,
            vmax=18,
        )
        axes.set(xticks=[-0.5, -0.25, 0, 0.25], yticks=[-0.5, -0.25, 0, 0.25])
        axes.set_xticklabels(["-1/2", "-1/4", "0", "1/4"], fontsize=7.5)
        axes.set_yticklabels(["-1/2", "-1/4", "0", "1/4"], fontsize=7.5)
        axes.set_title(f"excess {m.value:.2f}\n[{m.low:.2f}, {m.high:.2f}]", fontsize=8.5, loc="center", color=colour)
        if place:
            for at in ((-0.49, -0.49), (-0.25, 0), (0.25, 0)):
                axes.add_patch(Circle(at, 0.055, fill=False, color="#3399FF", linewidth=1.2, clip_on=False))
    save(made, "checkerboard")


# Classes


def classifier() -> None:
    rng = np.random.default_rng(10)
    n, kinds = 1000, 5

    def sure(labels: np.ndarray) -> np.ndarray:
        logits = rng.normal(size=(n, kinds)) * 0.6
        logits[np.arange(n), labels] += 6
        p = np.exp(logits)
        return p / p.sum(axis=1, keepdims=True)

    vague = rng.dirichlet(np.full(kinds, 25.0), n)
    labels = rng.integers(kinds, size=n)
    copies = np.repeat(sure(np.arange(n) % kinds)[:kinds], n // kinds, axis=0)
    cases = {
        "unsure": vague,
        "sure, one class": sure(np.zeros(n, int)),
        "sure, all classes": sure(labels),
        "one image a class": copies,
    }
    made, panels = figure(2.3, 1, 1, 1, 1)
    for axes, (name, p) in zip(panels, cases.items(), strict=True):
        m = metrics.classifier_score(p, classifier="picture")
        rows = p[:20] if name != "one image a class" else p[:: n // 20]
        axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.set(yticks=[], xticks=range(kinds), xticklabels="ABCDE")
        axes.set_title(f"{name}\nscore {m.value:.2f}", fontsize=9)
        for spine in axes.spines.values():
            spine.set(visible=True, color=PALE)
        axes.tick_params(length=0)
    panels[0].set_ylabel("20 of 1000 images")
    made.supxlabel("class: the darker, the surer the classifier", fontsize=9)
    save(made, "classifier_score")


def classes() -> None:
    rng = np.random.default_rng(12)
    names = ["normal", "nodule", "effusion", "cardiomegaly", "pneumothorax"]
    real = rng.choice(5, 800, p=[0.4, 0.2, 0.16, 0.16, 0.08])
    asked = rng.choice(real, 400)
    slips = np.array(
        [
            [0.95, 0.02, 0.01, 0.02, 0],
            [0.55, 0.45, 0, 0, 0],
            [0.1, 0, 0.85, 0.05, 0],
            [0.15, 0, 0.05, 0.8, 0],
            [0.9, 0.1, 0, 0, 0],
        ]
    )
    seen = np.array([rng.choice(5, p=slips[k]) for k in asked])
    found = metrics.class_coverage(seen, 5, real=real)
    made, (left, right) = figure(2.75, 1.15, 1)
    shares = np.array(found["covered"].more["shares"])
    place = np.arange(5)
    left.barh(place - 0.2, 100 * np.array(found["covered"].more["real_shares"]), 0.4, color=REAL, label="real")
    left.barh(
        place + 0.2,
        100 * shares[:, 0],
        0.4,
        color=MADE,
        label="generated",
        xerr=100 * np.abs(shares[:, 1:] - shares[:, :1]).T,
        error_kw={"linewidth": 1, "ecolor": "#444444"},
    )
    left.set_yticks(place, names)
    left.invert_yaxis()
    left.set_xlabel("% of images, as the classifier sees them")
    left.legend(loc="lower right", handlelength=1)
    js = found["js"]
    left.set_title(
        f"classes covered {found['covered'].value:.0f} of 5\ndivergence {js.value:.3f} [{js.low:.3f}, {js.high:.3f}]"
    )
    table = np.zeros((5, 5))
    np.add.at(table, (asked, seen), 1)
    rates = table / table.sum(axis=1, keepdims=True)
    right.imshow(rates, cmap="Oranges", vmin=0, vmax=1)
    for a in range(5):
        for b in range(5):
            right.text(
                b,
                a,
                f"{table[a, b]:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if rates[a, b] > 0.6 else "#555555",
            )
    short = ["norm.", "nod.", "eff.", "card.", "pneu."]
    right.set_xticks(place, short)
    right.set_yticks(place, short)
    right.tick_params(length=0)
    right.set(xlabel="what the classifier sees", ylabel="what was asked for")
    right.set_title(f"classes as asked {(asked == seen).mean():.2f}\n(the diagonal)")
    save(made, "classes")


# Memorisation


def findings() -> None:
    """Three phantoms: as asked, with a finding that nobody asked for, with two that never stand together."""
    from ganvas.data.phantoms.chest import FINDINGS, make

    planted = np.zeros((3, len(FINDINGS)), bool)
    planted[1, FINDINGS.index("effusion")] = True
    planted[2, [FINDINGS.index("effusion"), FINDINGS.index("pneumothorax")]] = True
    made = [make(None, 1, 12, (96, 96), findings=row[None]).values[0] for row in planted]
    canvas, panels = figure(2.5, 1, 1, 1)
    texts = ("asked: normal", "asked: normal, shows an effusion", "effusion and pneumothorax: impossible")
    for axes, image, text, colour in zip(panels, made, texts, (GREY, MADE, MADE), strict=True):
        show(axes, image, text, colour)
    save(canvas, "findings")


def near_copies() -> None:
    rng = np.random.default_rng(14)
    train, heldout, fake = chest(400, 61), chest(200, 62), chest(200, 63)
    planted = 20

    def copied(image: np.ndarray) -> np.ndarray:
        moved = np.roll(image, (rng.integers(-3, 4), rng.integers(-3, 4)), (0, 1))
        return moved[:, ::-1] * 0.85 + 25 + rng.normal(size=image.shape) * 4

    fake[:planted] = changed(train[:planted], copied)
    extractor = PixelExtractor(train)
    mirrored = [extractor.features(np.ascontiguousarray(part[:, :, ::-1])) for part in (train, heldout)]
    g, t, h = (extractor.features(part) for part in (fake, train, heldout))
    found = metrics.audit(g, t, h, train_flipped=mirrored[0], heldout_flipped=mirrored[1], pictures=(fake, train, heldout))
    space = found.spaces[1]
    near = found.measures["near_copies"]
    made, (a, b, c, right) = figure(2.4, 0.5, 0.5, 0.5, 1.75)
    pair = found.pairs[0]
    show(a, fake[pair.sample], "sample", MADE)
    show(b, train[pair.record], "nearest\ntraining record", REAL)
    show(c, heldout[pair.heldout], "nearest\nheld-out record", GREY)
    bins = np.linspace(0, 1, 41).tolist()
    for values, name, colour in ((space.null, "unseen real records", "#999999"), (space.ratio, "samples", MADE)):
        right.hist(values, bins=bins, weights=np.full(len(values), 100 / len(values)), color=colour, alpha=0.65, label=name)
    limit = near.more["thresholds"]["pixels"]
    right.axvline(limit, color="black", linewidth=1, linestyle="--")
    right.text(limit - 0.01, right.get_ylim()[1] * 0.97, "1 % of unseen\nreal records", ha="right", va="top", fontsize=8)
    right.set(xlabel="distance to the nearest training record / to the next", ylabel="% of records", xlim=(0, 1))
    right.legend(loc="upper left", bbox_to_anchor=(0.0, 0.75))
    right.set_title(
        f"near copies {near.value:.0f} of {len(fake)} ({near.more['expected']:.1f} by chance)\nverdict: {found.verdict}"
    )
    save(made, "near_copies")


def dcr() -> None:
    rng = np.random.default_rng(15)
    train, heldout = rng.normal(size=(2, 35, 2))
    cases = {
        "a generator that learnt": rng.normal(size=(40, 2)),
        "one that clings to its training data": train[rng.integers(35, size=40)] + rng.normal(size=(40, 2)) * 0.12,
    }
    made, panels = figure(3.2, 1, 1)
    for axes, (name, fake) in zip(panels, cases.items(), strict=True):
        m = metrics.audit(fake, train, heldout).measures["dcr_share"]
        distance = feature_distances(fake, np.concatenate([train, heldout]))
        nearer = distance.argmin(axis=1) < len(train)
        for mine, colour in ((nearer, REAL), (~nearer, OTHER)):
            balls(axes, fake[mine], distance.min(axis=1)[mine], colour, alpha=0.8, facecolor="none", linewidth=1)
        axes.scatter(*train.T, s=16, color=REAL, linewidths=0, label="training")
        axes.scatter(*heldout.T, s=16, marker="s", color=OTHER, linewidths=0, label="held-out")
        axes.scatter(*fake.T, s=12, marker="+", color=MADE, linewidths=1, label="sample")
        plane(axes, train, heldout, *cases.values(), margin=0.25)
        axes.set_title(
            f"{name}\nDCR share {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]\n"
            f"(unseen real data 0.5 [{m.more['null_low']:.2f}, {m.more['null_high']:.2f}])"
        )
    panels[1].legend(loc="upper left", handletextpad=0.1, borderaxespad=0.2)
    save(made, "dcr")


def membership() -> None:
    rng = np.random.default_rng(26)
    d, n = 8, 400
    train, heldout = rng.normal(size=(2, n, d))
    cases = {
        "learnt by heart": (train[rng.integers(n, size=n)] + rng.normal(size=(n, d)) * 0.45, MADE),
        "learnt": (rng.normal(size=(n, d)), OTHER),
    }
    swaps = memberships(np.arange(2 * n), n, None, 200, np.random.default_rng(0))
    made, (left, right) = figure(2.7, 1.1, 1)
    rates = []
    for place, (name, (fake, colour)) in enumerate(cases.items()):
        nearest = feature_distances(fake, np.concatenate([train, heldout])).min(axis=0)
        found, _ = membership_inference(nearest, n, swaps, "picture")
        if place == 0:
            edges = np.linspace(nearest.min(), nearest.max(), 36).tolist()
            left.hist(nearest[:n], bins=edges, color=REAL, alpha=0.6, label="training records")
            left.hist(nearest[n:], bins=edges, color=OTHER, alpha=0.6, label="held-out records")
        bar = np.sort(nearest)
        true, false = ((part[None] <= bar[:, None]).mean(axis=1) for part in (nearest[:n], nearest[n:]))
        m, rate = found["mia_auc"], found["mia_tpr_at_1_fpr"]
        right.plot(false, true, color=colour, linewidth=1.8, label=f"{name}: AUC {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]")
        rates.append(f"{rate.value:.1%}")
    right.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle="--")
    right.axvline(0.01, color="black", linewidth=0.8, linestyle=":")
    right.set(xlabel="held-out records taken for training", ylabel="training records found", xlim=(-0.01, 1), ylim=(0, 1.01))
    right.legend(loc="lower right", borderaxespad=0, handlelength=1, fontsize=8)
    right.set_title(f"found at 1 % false alarms (dotted):\n{rates[0]} and {rates[1]}")
    left.set(xlabel="distance to the nearest sample", ylabel="records")
    left.legend(loc="upper right")
    left.set_title("samples that lie near training records\ntell who was in the training data")
    save(made, "membership")


def authenticity() -> None:
    rng = np.random.default_rng(17)
    made, (left, right) = figure(2.85, 0.8, 1.2)
    train = np.array([[-0.75, 0.05], [0.75, -0.25], [0.1, 1.55]])
    apart = [np.sort(np.linalg.norm(train - t, axis=1))[1] for t in train]
    samples = np.array([[-0.4, -0.35], [0.95, 0.25], [2.4, 2.0], [-2.6, 0.6]])
    nearest = np.linalg.norm(samples[:, None] - train[None], axis=2)
    own = nearest.argmin(axis=1)
    authentic = nearest.min(axis=1) > np.array(apart)[own]
    for k in (0, 1, 2):
        left.add_patch(Circle(train[k], apart[k], fill=False, color=REAL, linewidth=1, linestyle="--", alpha=0.7))
    for k in range(len(samples)):
        left.plot(*np.stack([samples[k], train[own[k]]]).T, color=MADE, linewidth=0.8)
    left.scatter(*train.T, s=30, color=REAL, label="training", zorder=3)
    left.scatter(*samples[authentic].T, s=34, color=MADE, zorder=3, label="authentic")
    left.scatter(*samples[~authentic].T, s=34, marker="x", color=MADE, linewidths=1.8, zorder=3, label="not authentic")
    plane(left, np.array([[-3.0, -3.6], [3.0, 3.5]]), margin=0)
    left.legend(loc="lower left", handletextpad=0.1, borderaxespad=0.1)
    left.set_title(f"AuthPct: {authentic.sum()} of {len(samples)} samples are authentic", fontsize=9)

    d, n = 6, 500
    known, heldout = rng.normal(size=(2, n, d))
    cases = {
        "copying": known[rng.integers(n, size=n)] + rng.normal(size=(n, d)) * 0.35,
        "honest": rng.normal(size=(n, d)),
        "noisy": rng.normal(size=(n, d)) * 1.35,
    }
    edges = np.linspace(0, 4.5, 46)
    middle = (edges[1:] + edges[:-1]) / 2
    for (name, fake), colour in zip({"held-out": heldout, **cases}.items(), (GREY, MADE, OTHER, "#7A5195"), strict=True):
        distance = feature_distances(fake, known).min(axis=1)
        counts = gaussian_filter(np.histogram(distance, edges)[0].astype(np.float64), 1)
        if name == "held-out":
            right.fill_between(middle, counts, color="#CCCCCC", label="held-out records")
            continue
        found = metrics.audit(fake, known, heldout).measures
        text = f"{name}: C_T {found['c_t'].value:+.1f}, AuthPct {found['auth_pct'].value:.0f}"
        right.plot(middle, counts, color=colour, linewidth=1.6, label=text)
        null = found["auth_pct"].more["null"]
    right.set(xlabel="distance to the nearest training record", ylabel="records", ylim=(0, None))
    right.legend(loc="upper right", borderaxespad=0)
    right.set_ylim(0, right.get_ylim()[1] * 1.2)
    right.set_title(f"C_T compares these distances (held-out AuthPct {null:.0f})", fontsize=9)
    save(made, "authpct_ct")


# Reading


def anchors() -> None:
    n = 100
    train, heldout = chest(400, 71), chest(n, 72)
    better = chest(n, 73)
    y = np.linspace(0, 1, 64)[:, None]
    samples = changed(blurred(better, 0.6), lambda image: image * (0.9 + 0.1 * y))
    linear = linear_samples(Part(train, None, np.arange(len(train))), n)
    sides = {"real": (train[:n], REAL), "samples": (samples, MADE), "linear": (linear, OTHER)}
    reference = metrics.image_features(heldout, size=64)
    made = Figure(figsize=(7.4, 2.2), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    grid = made.add_gridspec(2, 3, height_ratios=(0.75, 1))
    axes = made.add_subplot(grid[1, :])
    for place, (name, (images, colour)) in enumerate(sides.items()):
        show(made.add_subplot(grid[0, place]), strip(images[:4], 4), name, colour)
        m = metrics.kernel_distance(metrics.image_features(images, size=64), reference)
        axes.errorbar(m.value, 0, xerr=[[m.value - m.low], [m.high - m.value]], fmt="o", color=colour, capsize=4, markersize=7)
        axes.annotate(
            f"{name}\n{m.value:.3f}", (m.value, 0), xytext=(0, 9), textcoords="offset points", ha="center", color=colour
        )
    axes.set(
        yticks=[],
        ylim=(-0.5, 1.2),
        xlabel="kernel distance to held-out records: the scale on which the number of the samples is read",
    )
    axes.spines["left"].set_visible(False)
    save(made, "anchors")


def sample_size() -> None:
    rng = np.random.default_rng(19)
    d = 64
    sizes = [50, 100, 200, 400, 800, 1600]
    real = rng.normal(size=(max(sizes), d))
    shift = np.zeros(d)
    shift[:8] = 0.35
    makers = {
        "generator A": (rng.normal(size=(max(sizes), d)) + shift, MADE),
        "generator B": (rng.normal(size=(max(sizes), d)) + 0.8 * shift, OTHER),
    }
    made, (left, right) = figure(2.7, 1, 1)
    for place, (name, (fake, colour)) in enumerate(makers.items()):
        for axes, measure in (
            (left, metrics.kernel_distance),
            (right, lambda a, b: metrics.precision_recall_density_coverage(a, b)["recall"]),
        ):
            found = [measure(fake[:k], real[:k]) for k in sizes]
            value = np.array([m.value for m in found])
            ends = np.array([[m.value - m.low, m.high - m.value] for m in found]).T
            axes.errorbar(
                np.array(sizes) * (0.95 + 0.1 * place),
                value,
                yerr=ends,
                fmt="o-",
                color=colour,
                capsize=3,
                markersize=4,
                linewidth=1,
                label=name,
            )
    for axes, name in ((left, "kernel distance"), (right, "recall")):
        axes.set(xscale="log", xlabel="samples on each side")
        log_ticks(axes.xaxis, [float(k) for k in sizes])
        axes.set_title(f"{name}, with its 95 % interval")
    left.axhline(0, color="#999999", linewidth=0.8)
    left.legend(loc="upper right")
    save(made, "sample_size")


PICTURES = {
    "distances": distances,
    "frechet_sizes": frechet_sizes,
    "sliced_wasserstein": sliced,
    "precision_recall": precision_recall,
    "density_coverage": density_coverage,
    "bins": bins,
    "diversity": diversity,
    "ms_ssim": similarity,
    "spectrum": spectrum,
    "intensity": intensity,
    "checkerboard": checkerboard,
    "classifier_score": classifier,
    "classes": classes,
    "findings": findings,
    "near_copies": near_copies,
    "dcr": dcr,
    "membership": membership,
    "authpct_ct": authenticity,
    "anchors": anchors,
    "sample_size": sample_size,
}

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    with rc_context(STYLE):
        for chosen in sys.argv[1:] or PICTURES:
            PICTURES[chosen]()
