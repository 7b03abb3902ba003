"""The proof of `deblurgan`: what it makes sharp looks more like the photograph than what squared error does, at about its PSNR.

Photographs cut into pieces, each blurred by a motion of its own that no arm has seen. The judge is EfficientNet-lite2, as in
the proof of srgan: it has other widths, depths and weights than the lite0 that deblurgan trains with. Wiener's filter and
Richardson-Lucy are those of scikit-image, a package that this proof alone needs, and are told the motion, which the others are
not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganvas.batches import Noise
from ganvas.data import open_data
from ganvas.errors import MissingExtra
from ganvas.kinds import decode, encode
from ganvas.networks.motion import blurred, kernels
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._perceptual import perceptual_distance, perceptual_judge
from ganvas.proofs.srgan import _source

SIDE = 96
BLUR = 11
MOST = 200  # pieces that are judged
COMMON = {
    "norm": "none", "skips": True, "width": 16, "blocks": 4, "discriminator_width": 16, "critic_turns": 2, "crop_size": 48,
    "batch_size": 4, "learning_rate": 3e-4, "ema_half_life": 500.0, "blur_size": BLUR,
}  # fmt: skip
LARGE = COMMON | {
    "norm": "instance",
    "skips": False,
    "width": 64,
    "blocks": 9,
    "discriminator_width": 64,
    "critic_turns": 5,
    "crop_size": 0,
}
GAME = {"pixel_weight": 10.0, "perceptual_weight": 1.0, "adversarial_weight": 0.01}
SQUARED = {"pixel_weight": 10.0, "perceptual_weight": 0.0, "adversarial_weight": 0.0}
WIENER, LUCY, AS_IT_IS = "wiener", "richardson-lucy", "blurred"
BALANCE, ITERATIONS = 1e-3, 30
SHOWN = 6

Repair = Callable[[Tensor, Tensor], Tensor]
"""(blurred images, their kernels) -> images."""


def learnt(task: Task, weights: dict[str, float]) -> Outcome:
    settings: dict[str, Any] = {"fit": "patches", "size": str(SIDE), "threads": 1, "precision": "32", "channels_last": "off"}
    config = {**(LARGE if task.large else COMMON), **weights}
    run, facts = trained(task, "deblurgan", config, data=_source(task), **settings)
    return _judged(task, lambda soft, own: run.system.deblur(soft, Noise.seeded(0)), facts)


def told_the_motion(task: Task, method: str) -> Outcome:
    """scikit-image's, channel by channel. Raises MissingExtra without the package."""
    try:
        from skimage.restoration import richardson_lucy, wiener
    except ImportError:
        raise MissingExtra("scikit-image", "proofs") from None

    def one(channel: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        point = kernel[::-1, ::-1]  # images are correlated with kernels, these functions convolve
        made: np.ndarray = (
            wiener(channel, point, BALANCE) if method == WIENER else richardson_lucy(channel, point, num_iter=ITERATIONS)
        )
        return made

    def repair(soft: Tensor, own: Tensor) -> Tensor:
        unit = ((soft + 1) / 2).double().numpy()
        made = [[one(channel, kernel) for channel in image] for image, kernel in zip(unit, own.double().numpy(), strict=True)]
        return torch.from_numpy(np.array(made, np.float32)).clamp(0, 1) * 2 - 1

    return _judged(task, repair, {})


def _judged(task: Task, repair: Repair, facts: dict[str, Any]) -> Outcome:
    """Held-out pieces, blurred and rounded as a file would hold them, repaired and compared with themselves."""
    dataset = open_data(_source(task), size=SIDE, fit="patches", seed=task.seed, progress=False)
    held = np.sort(np.random.default_rng(0).permutation(dataset.heldout_indices())[:MOST])
    noise, judge = Noise.seeded(1000 + task.seed), perceptual_judge()
    found: dict[str, list[Tensor]] = {"distance": [], "psnr": []}
    shown = []
    with torch.no_grad():
        for part in np.array_split(held, max(1, len(held) // 32)):
            true = encode(np.asarray(dataset.values[part]), dataset.spec)
            own = kernels(noise, len(true), BLUR)
            soft = encode(decode(blurred(true, own), dataset.spec), dataset.spec)
            pixels = decode(repair(soft, own), dataset.spec)
            made = encode(pixels, dataset.spec)
            inner = (..., slice(BLUR, -BLUR), slice(BLUR, -BLUR))  # at borders methods differ in what lies beyond
            found["distance"].append(perceptual_distance(judge, made[inner], true[inner]))
            error = (made - true)[inner].square().mean((1, 2, 3)) / 4
            found["psnr"].append(-10 * torch.log10(error + 1e-8))
            shown.append(np.stack([decode(soft, dataset.spec), pixels, np.asarray(dataset.values[part])], 1))
    figures = {name: float(torch.cat(values).mean()) for name, values in found.items()}
    value = figures.pop("distance")
    pictures = np.concatenate(shown)
    chosen = pictures[np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).astype(int)]
    protocol = f"perceptual/effnet-lite2/motion={BLUR}/patches={SIDE}; psnr: all channels, {BLUR} px shaved, mean of patches"
    return Outcome(value, protocol, {**figures, "patches": len(held), **facts}, chosen.reshape(-1, *chosen.shape[2:]))


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] < min(row.values["baseline"], row.values[AS_IT_IS])
        and abs(row.more["system"]["psnr"] - row.more["baseline"]["psnr"]) <= 1.0
        for row in rows
    )


PROOF = Proof(
    claim="features and a critic make blurred photographs look more like the true ones than squared error, at about its PSNR",
    baseline="the same generator trained on squared error alone, at equal rounds",
    metric="perceptual distance to pieces of photographs kept out of training, blurred by motion (lower is better)",
    direction=LOWER,
    mark="with every seed below squared error alone and below the blurred pieces; its PSNR within 1 dB of squared error's",
    met=met,
    arms={
        "system": lambda task: learnt(task, GAME),
        "baseline": lambda task: learnt(task, SQUARED),
        AS_IT_IS: lambda task: _judged(task, lambda soft, own: soft, {}),
        WIENER: lambda task: told_the_motion(task, WIENER),
        LUCY: lambda task: told_the_motion(task, LUCY),
    },
    budget="3000r",
    quick_budget="40r",
    large_budget="30000r",
    real="natural-photos",
    phantom="chest",
    note="Wiener's filter and Richardson-Lucy are told the motion of each piece, which no system is: a bound, no baseline.",
)
