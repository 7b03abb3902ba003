"""The proof of `deepremaster`: convolutions and attention through time make worn clips clean with less flicker than the same
networks frame by frame, at no worse lightness, and pictures given as references bring the right colours.

Clips of characters and photographs that no arm has seen are worn by the film model that training uses, with other numbers.
Lightness and chroma are those of ITU-R BT.601. Frames that serve as references are left out of every error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained
from ganvas.proofs.vgan import walk_characters

SIDE, LARGE_SIDE = 32, 64
CLIPS, HELDOUT, JUDGED = 1_000, 200, 150
SHOWN = (6, 14, 2, 10)  # frames that are references, the first alone, the first two, all four
COUNTS = (0, 1, 2, 4)
COMMON: dict[str, Any] = {
    "width": 12, "halvings": 2, "norm": "none", "skips": True, "initial_attention": 1.0, "matching": "alike", "references": 4,
    "length": 5, "chroma_weight": 3.0, "optimiser": "adam", "learning_rate": 5e-4, "decay_start": 0.5, "ema_half_life": 0.0,
    "batch_size": 4,
}  # fmt: skip
LARGE = {"width": 64, "norm": "batch", "batch_size": 20, "halvings": 3}
ALONE = {"temporal": False, "references": 0}
PACE = 2.0  # rounds frame by frame in the processor time of one through time: 0.106 and 0.22 s
STEADIER, COLOURED, NO_WORSE = 0.9, 0.6, 1.02


def arm(task: Task, config: dict[str, Any], pace: float = 1.0) -> Outcome:
    """Train, and remaster held-out clips."""
    own = replace(task, budget=f"{round(pace * int(task.budget.removesuffix('r')))}r")
    settings = COMMON | (LARGE if task.large else {}) | config
    run, facts = trained(own, "deepremaster", settings, data=_source(task), size=_side(task), threads=1, precision="32")
    return judged(run, task.seed, facts)


def _side(task: Task) -> str:
    return str(LARGE_SIDE if task.large else SIDE)


def _source(task: Task) -> str:
    if task.phantom:
        return task.data
    folder = task.folder / "clips"  # of its own: arms may run beside one another
    if not (folder / "test" / "clips.npz").exists():
        walk_characters(Path(task.data), folder, int(_side(task)), CLIPS, HELDOUT)
    return str(folder)


def judged(run: Any, seed: int, facts: dict[str, Any]) -> Outcome:
    """Errors of held-out clips in levels of 255, and PSNR of their lightness."""
    import torch

    from ganvas.batches import Noise
    from ganvas.inference.colouring import chroma_of, framewise, grey
    from ganvas.kinds import decode, encode

    dataset = data_of(run)
    held = np.sort(np.random.default_rng(0).permutation(dataset.heldout_indices())[:JUDGED])
    noise, system = Noise.seeded(1_000 + seed), run.system
    kept = [frame for frame in range(dataset.spec.frames) if frame not in SHOWN]
    found: dict[str, list[float]] = {}
    pictures = []

    def note(name: str, values: Any) -> None:
        found.setdefault(name, []).extend(values.flatten(1).mean(1).tolist())

    with torch.no_grad():
        for part in np.array_split(held, max(1, len(held) // 16)):
            clips = encode(np.asarray(dataset.values[part]), dataset.spec, "cpu")
            worn = encode(decode(system.age(clips, noise), dataset.spec), dataset.spec, "cpu")
            true, chroma = framewise(grey, clips), framewise(chroma_of, clips)
            greys = {"worn": worn[:, :1], "made": system.clean(worn[:, :1], noise)}
            for name, own in greys.items():
                error = (own - true)[:, :, kept]
                note(f"psnr_{name}", -10 * torch.log10(error.square().mean((1, 2, 3, 4)) / 4 + 1e-8)[:, None])
                note(f"flicker_{name}", 127.5 * (own - true).diff(dim=2).abs())
            note("colour_error_grey", 127.5 * chroma[:, :, kept].abs())
            made = {}
            for count in COUNTS if system.config.references else COUNTS[:1]:
                shown = clips[:, :, list(SHOWN[:count])] if count else None
                made[count] = system.tint(greys["made"], shown, noise)
                error = framewise(chroma_of, made[count]) - chroma
                note(f"colour_error_{count}", 127.5 * error[:, :, kept].abs())
                note(f"colour_flicker_{count}", 127.5 * error.diff(dim=2).abs())
            shown = torch.stack([worn, made[0], made[max(made)], clips], 1)[:2]
            pictures.append(shown[:, :, :, kept[::4]].permute(0, 1, 3, 4, 5, 2))
    figures = {name: float(np.mean(values)) for name, values in found.items()}
    values = torch.cat(pictures)[:4]  # (clips, 4, frames, H, W, C)
    strips = np.rint((values.numpy().clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    strips = np.concatenate(list(strips.transpose(2, 0, 1, 3, 4, 5)), axis=3)  # frames side by side
    protocol = f"change from frame to frame of the error of lightness/levels of 255/n={len(held)}"
    return Outcome(figures["flicker_made"], protocol, figures | facts, strips.reshape(-1, *strips.shape[2:]))


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself."""
    return all(
        own["flicker_made"] <= STEADIER * other["flicker_made"]
        and own["psnr_made"] >= other["psnr_made"]
        and own["colour_error_4"] <= COLOURED * own["colour_error_0"]
        and own["colour_error_4"] < other["colour_error_0"]
        and all(own[f"colour_error_{more}"] <= NO_WORSE * own[f"colour_error_{few}"] for few, more in ((0, 1), (1, 2), (2, 4)))
        for own, other in ((row.more["system"], row.more["baseline"]) for row in rows)
    )


PROOF = Proof(
    claim="through time worn clips become clean with less flicker than frame by frame, and references bring their colours",
    baseline="the same networks with kernels of one frame, no attention through time, no references; equal processor time",
    metric="flicker: mean change from frame to frame of the error of lightness, in levels of 255, of held-out clips",
    direction=LOWER,
    mark=(
        f"with every seed flicker at most {STEADIER} times that frame by frame, PSNR of lightness not lower; colour error with "
        f"four references at most {COLOURED} times that without and below that frame by frame, and with 1, 2 and 4 references "
        f"at most {NO_WORSE} times that with fewer"
    ),
    met=met,
    arms={"system": lambda task: arm(task, {}), "baseline": lambda task: arm(task, ALONE, PACE)},
    budget="900r",
    quick_budget="30r",
    large_budget="20000r",
    real="game-characters",
    phantom="clips",
)
