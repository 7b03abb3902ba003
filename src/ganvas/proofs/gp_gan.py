"""The proof of `gp-gan`: what is laid in has the right light, and a border without a seam.

An ellipse of one held-out photograph, in another light, is laid into another held-out one. In which light it should be is
known: that of its own photograph, before it was changed. So cloning, which takes the light from the border alone, is off by
what the two differ in there, and pasting by the change of light. Seamless cloning is OpenCV's (Perez, Gangnet, Blake, 2003), a
package that this proof needs. Photographs are judged at twice the size that the network knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ganvas.batches import Noise
from ganvas.data import open_data
from ganvas.errors import MissingExtra
from ganvas.inference.poisson import blended
from ganvas.kinds import decode, encode
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.uses.blend import colour_error
from ganvas.uses.inpaint import steps

SIDE, LARGE_SIDE = 32, 64
TWICE = 2
LIGHT = 0.3
MOST = 200  # composites that are judged
COMMON = {
    "part": "blocks", "foreign": 0.5, "anew": False, "width": 16, "code_size": 256, "batch_size": 32, "light": LIGHT,
    "critic_turns": 1, "critic_burst": 0, "generator_learning_rate": 5e-4, "ema_half_life": 2000.0,
}  # fmt: skip
LARGE = COMMON | {"width": 64, "code_size": 4000, "batch_size": 64, "critic_turns": 5}
CLONED, PASTED, BLIND = "baseline", "pasted", "no network"
SEAM = 1.5  # steps across the border, of those of the pictures, at most
SHOWN = 5

Blend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(targets, sources, masks) -> images."""


def learnt(task: Task) -> Outcome:
    config, side = (LARGE, LARGE_SIDE) if task.large else (COMMON, SIDE)
    run, facts = trained(task, "gp-gan", config, data=task.data, size=str(side), fit="crop", threads=1, precision="32")
    return _judged(task, lambda *given: run.system.blend(*given, Noise.seeded(0)), facts)


def blind(task: Task) -> Outcome:
    """The Gauss-Poisson equation, with the colours of the pasted image."""
    side = LARGE_SIDE if task.large else SIDE

    def change(pasted: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros_like(interpolate(pasted, size=(side, side)))

    def blend(target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        return blended(target, source, mask, change, side, 1.0, 0.5).clamp(-1, 1)

    return _judged(task, blend, {})


def cloned(task: Task) -> Outcome:
    """OpenCV's seamless cloning. Raises MissingExtra without the package."""
    try:
        import cv2
    except ImportError:
        raise MissingExtra("opencv-python-headless", "proofs") from None

    def one(target: np.ndarray, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        place = [int(own[0] + own[-1] + 1) // 2 for own in (columns, rows)]
        part, whole = (np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:2], 3))) for x in (source, target))
        made: np.ndarray = cv2.seamlessClone(part, whole, mask.astype(np.uint8) * 255, place, cv2.NORMAL_CLONE)
        return made[..., : target.shape[2]]

    def blend(target: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        images = [((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy() for x in (target, source)]
        made = [one(*own) for own in zip(*images, mask[:, 0].numpy() > 0, strict=True)]
        return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2) / 127.5 - 1

    return _judged(task, blend, {})


def pasted(task: Task) -> Outcome:
    return _judged(task, lambda target, source, mask: source * mask + target * (1 - mask), {})


def _judged(task: Task, blend: Blend, facts: dict[str, Any]) -> Outcome:
    side = TWICE * (LARGE_SIDE if task.large else SIDE)
    dataset = open_data(task.data, size=side, fit="crop", seed=task.seed, progress=False)
    held = encode(np.asarray(dataset.values[dataset.heldout_indices()]), dataset.spec)
    rng = np.random.default_rng(2000 + task.seed)
    into = rng.integers(0, len(held), MOST)
    of = (into + rng.integers(1, len(held), MOST)) % len(held)
    target, own, mask = held[into], held[of], torch.from_numpy(np.stack([ellipse(rng, side) for _ in range(MOST)]))[:, None]
    gain, offset = (torch.from_numpy(other_light(rng, MOST, own.shape[1])) for _ in range(2))
    source = encode(decode(((own + 1) * gain.exp() - 1 + offset).clamp(-1, 1), dataset.spec), dataset.spec)
    wanted = own * mask + target * (1 - mask)
    with torch.no_grad():
        parts = [blend(*given) for given in zip(*(x.split(25) for x in (target, source, mask)), strict=True)]
    pixels = decode(torch.cat(parts), dataset.spec)
    made = encode(pixels, dataset.spec)
    more = {
        "seam": float(steps(made, mask) / steps(target, mask)),
        "outside": float(50 * ((made - target).abs() * (1 - mask)).mean()),
        "composites": MOST,
    }
    value = float(50 * colour_error(made, wanted, mask).mean())
    simple = decode(source * mask + target * (1 - mask), dataset.spec)
    shown = np.stack([simple[:SHOWN], pixels[:SHOWN], decode(wanted[:SHOWN], dataset.spec)], 1)
    protocol = f"mean colour of the part, percent of the range, mean of channels/light={LIGHT}/{side} px/n={MOST}"
    kept = shown.reshape(-1, *shown.shape[2:]) if task.phantom else None  # no photograph of the data is put into a picture
    return Outcome(value, protocol, more | facts, kept)


def ellipse(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) of 0 and 1: an ellipse that keeps off the border."""
    half = rng.uniform(0.12, 0.3, 2) * side
    middle = [rng.uniform(own + 3, side - own - 4) for own in half]
    rows, columns = np.mgrid[:side, :side]
    return (((rows - middle[0]) / half[0]) ** 2 + ((columns - middle[1]) / half[1]) ** 2 <= 1).astype(np.float32)


def other_light(rng: np.random.Generator, count: int, channels: int) -> np.ndarray:
    """(count, channels, 1, 1): a change for all channels and one for each, as in training."""
    drawn = rng.normal(size=(count, 1, 1, 1)) + rng.normal(size=(count, channels, 1, 1))
    return (LIGHT * 0.5**0.5 * drawn).astype(np.float32)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] < min(value for name, value in row.values.items() if name != "system")
        and row.more["system"]["seam"] <= SEAM
        for row in rows
    )


PROOF = Proof(
    claim="a part of a photograph, laid into another, gets its right light, not that of the border alone, and leaves no seam",
    baseline="seamless cloning (OpenCV), which needs no training",
    metric="mean colour of the part, off by how many percent of the range, on held-out photographs (lower is better)",
    direction=LOWER,
    mark=(
        "with every seed below seamless cloning, pasting and the Gauss-Poisson equation without a network; "
        "steps across the border at most 1.5 times those of the pictures"
    ),
    met=met,
    arms={"system": learnt, CLONED: cloned, PASTED: pasted, BLIND: blind},
    budget="1500r",
    quick_budget="40r",
    large_budget="20000r",
    real="natural-photos",
    phantom="chest",
)
