"""The proof of `srgan`: it restores what looks more like the photograph than squared error does, at a larger error.

The judge is EfficientNet-lite2. It has other widths, depths and weights than the lite0 that srgan trains with, and takes no
part in any training. Its package is needed for this proof alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ganvas.data import open_data
from ganvas.kinds import decode, encode
from ganvas.networks.srgan import resized
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained
from ganvas.proofs._perceptual import perceptual_distance, perceptual_judge

SCALE = 4
SIDE = 96
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)  # BT.601, studio swing: what super-resolution is measured on
SHOWN = 16
BICUBIC = "bicubic"

Restore = Callable[[Tensor], Tensor]


def learnt(task: Task, **changes: Any) -> Outcome:
    """`ganvas train srgan` with the default preset, and with what `changes` says."""
    source = _source(task)
    settings = {"fit": "patches", "size": str(SIDE), "threads": 1, "precision": "32", "channels_last": "off"}
    run, facts = trained(task, "srgan", {"scale": SCALE, **changes}, data=source, **settings)
    noise: Any = None  # nothing is drawn
    return _judged(task, lambda small: run.system.restore(small, noise), facts)


def bicubic(task: Task) -> Outcome:
    """No network at all."""
    return _judged(task, lambda small: resized(small, SCALE).clamp(-1, 1), {})


def _judged(task: Task, restore: Restore, facts: dict[str, Any]) -> Outcome:
    """Every held-out patch, reduced as a file would hold it, restored, rounded to 8 bits and compared with itself."""
    dataset = open_data(_source(task), size=SIDE, fit="patches", seed=task.seed, progress=False)
    held = dataset.heldout_indices()
    judge = perceptual_judge()
    found: dict[str, list[Tensor]] = {"distance": [], "psnr": [], "contrast": [], "shift": []}
    restored = []
    with torch.no_grad():
        for part in np.array_split(held, max(1, len(held) // 32)):
            true = encode(dataset.values[part], dataset.spec)
            small = encode(decode(resized(true, 1 / SCALE).clamp(-1, 1), dataset.spec), dataset.spec)
            pixels = decode(restore(small), dataset.spec)
            restored.append(pixels)
            made = encode(pixels, dataset.spec)
            found["distance"].append(perceptual_distance(judge, made, true))
            found["psnr"].append(_psnr(made, true))
            found["contrast"].append(_contrast_error(made, true))
            found["shift"].append((made - true).mean(dim=(2, 3)).abs().mean(dim=1) * 127.5)
    figures = {name: float(torch.cat(values).mean()) for name, values in found.items()}
    value = figures.pop("distance")
    pictures = np.concatenate(restored)
    order = np.argsort([-float(np.abs(np.diff(dataset.values[k].astype(np.float32), axis=1)).mean()) for k in held])
    shown = pictures[np.sort(order[: len(order) // 2])]  # the half with most detail: the sky looks alike in all arms
    shown = shown[np.linspace(0, len(shown) - 1, min(SHOWN, len(shown))).astype(int)]
    protocol = f"perceptual/effnet-lite2/x{SCALE}/patches={SIDE}; psnr: Y of BT.601, 8 bits, {SCALE} px shaved, mean of patches"
    return Outcome(value, protocol, {**figures, "patches": len(held), **facts}, shown)


def _psnr(made: Tensor, true: Tensor) -> Tensor:
    """(B,) decibels of luma."""
    if made.shape[1] == 3:
        weights = torch.tensor(LUMA)[:, None, None]
        made, true = ((x * weights).sum(dim=1, keepdim=True) for x in (made, true))
    error = (made - true)[:, :, SCALE:-SCALE, SCALE:-SCALE].square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(error + 1e-8)


def _contrast_error(made: Tensor, true: Tensor) -> Tensor:
    """(B,): by how many octaves the strength of fine detail differs, mean over squares of 8 pixels. No network is in it.

    Fine detail is what a blur over 3x3 pixels takes away; strengths below one grey level of 255 count as one.
    """

    def strength(images: Tensor) -> Tensor:
        detail = images - functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
        return (functional.avg_pool2d(detail.square().mean(dim=1, keepdim=True), 8) + (2 / 255) ** 2).log2() / 2

    return (strength(made) - strength(true)).abs().mean(dim=(1, 2, 3))


def _source(task: Task) -> str:
    """The folder of photographs; of a phantom, pictures that are large enough to be cut."""
    if not task.phantom:
        return task.data
    from ganvas.data.phantoms._files import write_phantom

    folder = task.folder / "data"
    if not (folder / "facts.jsonl").exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_phantom(task.data, 40, folder, seed=0, size=2 * SIDE)
        shutil.rmtree(folder / "masks", ignore_errors=True)
    return str(folder)


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        row.values["system"] < min(row.values["baseline"], row.values[BICUBIC])
        and row.more["system"]["psnr"] < row.more["baseline"]["psnr"]
        for row in rows
    )


PROOF = Proof(
    claim="adversarial training restores photographs that look more like the true ones, at a larger squared error",
    baseline="the same generator trained on squared error alone, at equal samples",
    metric="perceptual distance to whole photographs kept out of training, enlarged 4 times",
    direction=LOWER,
    mark="with every seed below squared error alone and below bicubic, and its PSNR below that of squared error alone",
    met=met,
    arms={"system": learnt, "baseline": lambda task: learnt(task, pretraining_share=1.0), BICUBIC: bicubic},
    budget="20k",
    quick_budget="640",
    real="photos",
    phantom="chest",
    note=(
        "The second run. In the first, with pretraining=0.4 in the preset, the second seed did not meet the mark: 0.2703 "
        "against 0.2697 of squared error alone (first seed 0.3918 against 0.4041). The share was then set to about the "
        "paper's, 10^6 of 1.2 10^6 rounds; on photographs that no seed holds out, few rounds of the game had been better than "
        "many. Marks and everything else are as before. After three seeds the mark was met, but the interval of their gaps, "
        "[-0.009, 0.031], held 0, since the photographs held out differ widely; three more seeds were added."
    ),
    seeds=6,
)
