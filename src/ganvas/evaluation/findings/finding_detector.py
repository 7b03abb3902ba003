"""A detector of findings: a small network with one yes or no a finding, trained on labelled images.

Its own errors are measured on images that it never saw. What it flags in samples is for `unintended` to weigh. Not for finding
disease.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import GanvasError
from ganvas.metrics.extractors import BATCH, LONGEST_SIDE, _own_size, _resized, _weights_hash, kept_or_trained
from ganvas.metrics.feature_cache import content_key
from ganvas.metrics.features import Size, _height_width
from ganvas.store.cache import cache_folder, digest

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

SPECIFICITY = 0.99
HELD_OUT = 0.4  # of the labelled images: a third of these sets the thresholds, the rest measures the errors
NOISE = 0.08  # largest standard deviation of noise on training images, whose values are -1 to 1: 10 of 255 grey levels
LEAST = 20  # images of each kind that a detector needs, and that a rate of one label is measured on
_RECIPE = 2  # raised when the network or its training changes: detectors of another recipe are trained anew


class FindingDetector:
    """A small convolutional network that says for each finding how probable it is, with a threshold for each.

    findings: their names. thresholds: (F,) probabilities from which a finding is flagged. truth, flagged: (M, F) bool, what
    the M images show that neither trained it nor set a threshold, and what it flags there. facts: how it was made, with
    `sensitivity`, `specificity` and `auc` per finding on these M images. name: `detector-<hash of weights and thresholds>`.
    """

    def __init__(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any], *, device: str = "cpu") -> None:
        from ganvas.shapes import shapes_only

        self.facts = facts
        self.findings: tuple[str, ...] = tuple(facts["findings"])
        self.name = f"detector-{_weights_hash(tensors)[:8]}"
        kept = {name: tensors[f"measured.{name}"].numpy() for name in ("thresholds", "truth", "flagged")}
        self.thresholds, self.truth, self.flagged = kept["thresholds"], kept["truth"], kept["flagged"]
        self._sizes = [None if s is None else (s[0], s[1]) for s in (facts["size"], facts["input"])]
        self._device = device
        with shapes_only():
            network = _network(facts["channels"], len(self.findings))
        weights = {name: value for name, value in tensors.items() if not name.startswith("measured.")}
        network.load_state_dict(weights, assign=True)
        self._network = network.to(device).eval().requires_grad_(False)

    def probabilities(self, images: Images) -> np.ndarray:
        """(N, F) float32. Raises GanvasError for images of other channels than those it was trained on."""
        import torch

        said = [np.zeros((0, len(self.findings)), np.float32)]
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, enabled=False):
            for part in _resized(images, self._sizes[0], BATCH, self._device, self._sizes[1]):
                if part.shape[1] != self.facts["channels"]:
                    raise GanvasError(
                        f"images of {part.shape[1]} channels, but the detector was trained on {self.facts['channels']}; "
                        "convert them alike first"
                    )
                said.append(self._network(part)[0].sigmoid().cpu().numpy())
        return np.concatenate(said)

    def flags(self, images: Images) -> np.ndarray:
        """(N, F) bool: the probability is above the finding's threshold. Raises GanvasError as `probabilities` does."""
        return self.probabilities(images) > self.thresholds


def train_detector(
    images: Images,
    findings: np.ndarray,
    names: Sequence[str],
    *,
    masks: np.ndarray | None = None,
    groups: Any = None,
    size: Size | None = None,
    specificity: float = SPECIFICITY,
    seed: int = 0,
    cache: Path | None = None,
    notes: list[str] | None = None,
    device: str = "cpu",
) -> FindingDetector:
    """A detector of findings, trained now or taken from the cache.

    images: (N, H, W, C) or tensors, as `image_features` takes them. findings: (N, F) bool, what each shows, several at a time
    or none. names: the F findings. masks: (N, h, w, F) of any size over the same field, above 0 where the finding is; small
    findings are hardly learned without. groups: (N,): whole groups are held out (a patient's images stay together). size: the
    resolution of the run; the network sees the images shrunk to 64 pixels on the longest side. specificity: what each
    threshold is set to, on a part of the held-out images (a third of two fifths) that does not then measure it.

    Findings must not give each other away: where two stand together or never do, the detector learns one from the other, and
    is blind to what breaks the rule. Kept as `detectors/<key>.safetensors` in the cache folder, with `.json` for people.
    notes: gets a line when a kept detector was damaged or cannot be written; without it the line is a warning.

    Raises GanvasError for shapes that do not fit, and for a finding with fewer than 20 images with or without it.
    """
    findings = np.asarray(findings)
    parts = np.arange(len(images)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if findings.shape != (len(images), len(names)) or len(parts) != len(images):
        raise GanvasError(
            f"findings {findings.shape} and {len(parts)} groups for {len(images)} images and {len(names)} names: give (N, F)"
        )
    if findings.dtype != bool:
        raise GanvasError(f"findings are {findings.dtype}: give bool (N, F), True where an image shows the finding")
    if not 0.5 <= specificity < 1:
        raise GanvasError(f"specificity {specificity}: give a share from 0.5 to below 1, such as 0.99")
    if masks is not None and (masks.ndim != 4 or (len(masks), masks.shape[3]) != findings.shape):
        raise GanvasError(f"masks {masks.shape} for findings {findings.shape}: give (N, h, w, F)")
    for name, with_it in zip(names, findings.sum(axis=0), strict=True):
        if min(with_it, len(images) - with_it) < LEAST:
            raise GanvasError(f"'{name}' is in {with_it} of {len(images)} images: a detector needs {LEAST} with and without it")
    run_size = None if size is None else _height_width(size)
    shown = None if masks is None else content_key(masks)
    key = digest(
        content_key(images), content_key(findings), list(names), shown, content_key(parts), run_size, specificity, seed
    )
    return kept_detector(
        key,
        lambda: (images, findings, masks),
        tuple(names),
        parts.astype(np.int64),
        run_size,
        specificity,
        seed,
        cache,
        notes,
        device,
    )


def kept_detector(
    key: str,
    make: Callable[[], tuple[Images, np.ndarray, np.ndarray | None]],
    names: tuple[str, ...],
    groups: np.ndarray,
    size: tuple[int, int] | None,
    specificity: float,
    seed: int,
    cache: Path | None,
    notes: list[str] | None,
    device: str,
) -> FindingDetector:
    """The detector under this key: the kept one, or one trained on what `make` returns (images, findings, masks)."""
    path = cache_folder(cache) / "detectors" / f"{digest('detector', _RECIPE, key)}.safetensors"
    kept = kept_or_trained(path, lambda: _trained(*make(), names, groups, size, specificity, seed), seed, notes)
    return FindingDetector(*kept, device=device)


def _network(channels: int, findings: int) -> Any:
    """Images (N, C, H, W) -> logits (N, F) and maps (N, F, H/4, W/4) of where each finding is. GroupNorm: no image depends on
    its batch. The maps' highest places go into the logits, so that a small finding is not lost in a mean."""
    import torch
    from torch import nn
    from torch.nn.functional import interpolate

    def layers(*wide: tuple[int, int, int]) -> nn.Module:
        parts: list[nn.Module] = []
        for before, after, stride in wide:
            parts += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.ReLU()]
        return nn.Sequential(*parts)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine = layers((channels, 16, 2), (16, 32, 1), (32, 64, 2), (64, 64, 1))
            self.coarse = layers((64, 64, 2), (64, 64, 1))
            self.map = nn.Conv2d(128, findings, 1)
            self.head = nn.Linear(128 + 2 * findings, findings)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            fine = self.fine(x)
            coarse = self.coarse(fine)
            maps = self.map(torch.cat([fine, interpolate(coarse, size=fine.shape[2:])], dim=1))
            highest = maps.flatten(2).topk(4, dim=2).values
            whole = [coarse.mean(dim=(2, 3)), coarse.amax(dim=(2, 3)), highest[:, :, 0], highest.mean(dim=2)]
            return self.head(torch.cat(whole, dim=1)), maps

    return Network()


def _trained(
    images: Images,
    findings: np.ndarray,
    masks: np.ndarray | None,
    names: tuple[str, ...],
    groups: np.ndarray,
    size: tuple[int, int] | None,
    specificity: float,
    seed: int,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights with thresholds and errors, and facts, of a new detector. Draws from the global random stream of torch."""
    import time

    import torch
    from sklearn.metrics import roc_auc_score
    from torch.nn import functional

    from ganvas.optim.idle import leave_compiler_idle
    from ganvas.store.splits import hold_out

    begun = time.perf_counter()
    height, width = size or _own_size(images)
    shrunk = min(1.0, LONGEST_SIDE / max(height, width))
    entry = (max(8, round(height * shrunk)), max(8, round(width * shrunk)))
    pixels = torch.cat(list(_resized(images, size, 256, "cpu", entry)))
    together = findings @ (1 << np.arange(len(names)))  # every combination is held out in proportion
    out = hold_out(groups, together, HELD_OUT, seed)
    setting = np.zeros_like(out)
    setting[out] = hold_out(groups[out], together[out], 1 / 3, seed)
    measuring = out & ~setting
    for part in (~out, setting, measuring):
        counts = findings[part].sum(axis=0)
        if not part.any() or counts.min() < 1 or (counts == part.sum()).any():
            raise GanvasError("too few groups to hold some out with and without every finding: label more, or drop a finding")
    known = pixels[torch.from_numpy(~out)]
    right = torch.from_numpy(findings[~out].astype(np.float32))

    where = None if masks is None else shrunk_masks(masks[~out], entry)
    # Few pixels are of a finding: they weigh more, by the root of how few they are.
    rarity = None if where is None else where.float().mean(dim=(0, 2, 3)).clamp(1e-4, 0.5)
    weights = None if rarity is None else ((1 - rarity) / rarity).sqrt()[:, None, None]

    network = _network(pixels.shape[1], len(names))
    epochs = int(np.clip(round(1500 * BATCH / len(known)), 12, 40))
    leave_compiler_idle()
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=epochs * math.ceil(len(known) / BATCH))
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(known)).split(BATCH):
            # Shifted by up to a sixteenth: right for any kind of image, as flips and turns are not.
            reach = [max(1, side // 16) for side in entry]
            top, left = (int(torch.randint(2 * most + 1, ())) for most in reach)
            window = (..., slice(top, top + entry[0]), slice(left, left + entry[1]))
            border = (reach[1], reach[1], reach[0], reach[0])
            seen = functional.pad(known[chosen], border, mode="replicate")[window]
            # Samples are rougher or smoother than real images, and grain must not pass for a small finding.
            seen = seen + NOISE * torch.rand(len(seen), 1, 1, 1) * torch.randn_like(seen)
            said, maps = network(seen)
            loss = functional.binary_cross_entropy_with_logits(said, right[chosen])
            if where is not None:
                places = functional.pad(where[chosen].float(), border)[window]
                goal = functional.adaptive_max_pool2d(places, maps.shape[2:])
                loss = loss + functional.binary_cross_entropy_with_logits(maps, goal, pos_weight=weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        scores = {
            name: torch.cat([network(p)[0].sigmoid() for p in pixels[torch.from_numpy(part)].split(256)]).numpy()
            for name, part in (("setting", setting), ("measuring", measuring))
        }
    thresholds = np.array(
        [
            np.quantile(score[~with_it], specificity, method="higher")
            for score, with_it in zip(scores["setting"].T, findings[setting].T, strict=True)
        ],
        np.float32,
    )
    truth, flagged = findings[measuring], scores["measuring"] > thresholds
    tensors = {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
    for name, values in (("thresholds", thresholds), ("truth", truth), ("flagged", flagged)):
        tensors[f"measured.{name}"] = torch.from_numpy(np.ascontiguousarray(values))
    per = list(zip(names, truth.T, flagged.T, scores["measuring"].T, strict=True))
    facts: dict[str, Any] = {
        "findings": list(names), "channels": pixels.shape[1], "size": size and list(size), "input": list(entry),
        "seed": seed, "epochs": epochs, "wanted_specificity": specificity, "trained_on": len(known),
        "thresholds_on": int(setting.sum()), "measured_on": int(measuring.sum()),
        "sensitivity": {name: float(flag[real].mean()) for name, real, flag, _ in per},
        "specificity": {name: float(1 - flag[~real].mean()) for name, real, flag, _ in per},
        "auc": {name: float(roc_auc_score(real, score)) for name, real, _, score in per},
        "seconds": round(time.perf_counter() - begun, 2),
    }  # fmt: skip
    return tensors, facts


def shrunk_masks(masks: np.ndarray, entry: tuple[int, int]) -> torch.Tensor:
    """(N, h, w, F) as bool (N, F, *entry): any part of the finding counts."""
    import torch
    from torch.nn import functional

    parts = [
        functional.adaptive_max_pool2d(torch.from_numpy((masks[k : k + 256] > 0).astype(np.float32)).permute(0, 3, 1, 2), entry)
        > 0
        for k in range(0, len(masks), 256)
    ]
    return torch.cat(parts)
