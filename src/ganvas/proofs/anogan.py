"""The proof of `anogan`: nodules found in patches of simulated lungs, better than by an autoencoder of equal size."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.proofs import HIGHER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import data_of, trained

if TYPE_CHECKING:
    from torch import Tensor

BODY = 128  # pixels of a whole radiograph, about 40 cm
SIDE = 32  # of a patch
EACH = 6  # patches of a training radiograph
TRAINING, TESTS = 1500, 2000  # radiographs to train on; patches of each kind to judge by
SEARCHED = 100  # of each kind
# Found on other bodies than those of the proof: patches of 500 normal radiographs and 500 with nodules. Fewer latents make the
# autoencoder better and the system worse; a kappa near 0 makes the system better. The brightest spot of the heat map as score
# makes both better than the mean does, and is taken for both.
SETTINGS: dict[str, Any] = {
    "latent_size": 64,
    "width": 16,
    "batch_size": 32,
    "gan_share": 0.65,
    "kappa": 0.02,
    "augment": (),
    "intensity": "as-is",  # patches are cut at one mean and spread
    "score": "peak",
}
BOTTLENECK = 16  # latents of the best autoencoder of 16, 32, 64 and 128, on the same other bodies
RATE = 1e-3  # of the autoencoder: the system's encoder's
SEARCH_STEPS = 500
BRAIN_BUDGET = "100k"
FASTER = 100
THUMBNAIL, COMPONENTS = 16, 32
PROTOCOL = "auroc/abnormal-above-normal"
Found = dict[str, Any]


# The data: patches, as in the first paper


def patches(radiographs: np.ndarray, centres: Sequence[tuple[int, int]]) -> np.ndarray:
    """Squares (N, SIDE, SIDE) around centres (row, column), moved inwards at the border."""
    corners = [[min(max(place - SIDE // 2, 0), BODY - SIDE) for place in centre] for centre in centres]
    return np.stack([image[r : r + SIDE, c : c + SIDE] for image, (r, c) in zip(radiographs, corners, strict=True)])


def even(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 1): every patch shifted and scaled to the same mean and spread, as exposures differ widely."""
    values = images.astype(np.float32)
    mean, spread = values.mean((1, 2), keepdims=True), values.std((1, 2), keepdims=True)
    return np.clip(127.5 + 50 * (values - mean) / np.maximum(spread, 4), 0, 255).astype(np.uint8)[..., None]


def normal_patches(count: int, seed: int) -> np.ndarray:
    """Training patches from anywhere in the lungs of `count` normal radiographs."""
    from ganvas.data.phantoms import make_phantom

    rng = np.random.default_rng([seed, 0])
    made = make_phantom("chest:normal", count, seed, size=BODY)
    inside = [np.argwhere(lungs) for lungs in made.masks["lungs"]]
    centres = [tuple(places[k]) for places in inside for k in rng.integers(0, len(places), EACH)]
    return even(patches(np.repeat(made.values[..., 0], EACH, axis=0), centres))


def test_patches(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(normal patches, patches with a nodule, its masks (N, SIDE, SIDE) bool): other bodies, the same kind of places.

    The normal ones lie where the phantom would have put a nodule: the place alone tells nothing.
    """
    from ganvas.data.phantoms import make_phantom

    kinds = []
    for kind, own in (("normal", 2 * seed), ("nodule", 2 * seed + 1)):
        rng = np.random.default_rng([own, 1])
        ill = make_phantom("chest:nodule", count, own, size=BODY)
        masks = ill.masks["nodule"]
        seen = np.flatnonzero(masks.any((1, 2)))
        shifts = rng.integers(-8, 9, (count, 2))
        centres = [tuple(np.argwhere(masks[k]).mean(0).astype(int) + shifts[k]) for k in seen]
        made = ill if kind == "nodule" else make_phantom("chest:normal", count, own, size=BODY)
        kinds.append((even(patches(made.values[seen, ..., 0], centres)), patches(masks[seen], centres) > 0))
    return kinds[0][0], *kinds[1]


# Measuring


def auroc(normal: np.ndarray, abnormal: np.ndarray) -> float:
    """Chance that an abnormal value lies above a normal one; ties count half."""
    values, places, counts = np.unique(np.concatenate([normal, abnormal]), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[places[len(normal) :]].sum() - len(abnormal) * (len(abnormal) + 1) / 2
    return float(above / (len(normal) * len(abnormal)))


def bootstrap(normal: np.ndarray, abnormal: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Ends of the 95 % interval of the AUROC over images drawn anew, 1000 times."""
    rng = np.random.default_rng(seed)
    values = [auroc(rng.choice(normal, len(normal)), rng.choice(abnormal, len(abnormal))) for _ in range(1000)]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def localisation(maps: np.ndarray, masks: np.ndarray) -> float:
    """Mean over images with a finding of the AUROC of its pixels over the image's others."""
    return float(np.mean([auroc(heat[~mask], heat[mask]) for heat, mask in zip(maps, masks, strict=True)]))


def tensor(images: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def scored(system: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(scores, heat maps, seconds an image): all of `anomaly`."""
    import torch

    from ganvas.batches import Noise

    noise = Noise(torch.Generator().manual_seed(0))
    begun = time.process_time()
    with torch.no_grad():
        pieces = [system.anomaly(piece, noise) for piece in tensor(images).split(100)]
    seconds = (time.process_time() - begun) / len(images)
    return torch.cat([s for s, _ in pieces]).numpy(), torch.cat([m for _, m in pieces]).numpy(), seconds


# The arms


def prepared(task: Task) -> tuple[Path, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(file of training patches, test patches of this seed), drawn once for all arms."""
    file = task.folder.parent / "patches.npz"
    if not file.exists():
        keep(file, images=normal_patches(TRAINING // 10 if task.quick else TRAINING, 1_000))
    tests = task.folder.parent / f"tests-{task.seed}.npz"
    if not tests.exists():
        # The quick form has bodies of its own: whoever looks at it while choosing settings has not seen those of the proof.
        count, first = (TESTS // 10, 5_000) if task.quick else (TESTS, 7_000)
        normal, ill, masks = test_patches(count, first + task.seed)
        keep(tests, normal=normal, ill=ill, masks=masks)
    with np.load(tests, allow_pickle=False) as held:
        return file, (held["normal"], held["ill"], held["masks"])


def keep(file: Path, **arrays: Any) -> None:
    """Write all of it or nothing."""
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(file)


def fitted(task: Task, file: Path) -> tuple[Any, Found]:
    """The run of this seed: trained by the first arm that asks for it."""
    return trained(own_folder(task), "anogan", SETTINGS, data=str(file), heldout=0.0, threads=1)


def own_folder(task: Task) -> Task:
    return dataclasses.replace(task, folder=task.folder.parent / f"trained-{task.seed}")


def system(task: Task) -> Outcome:
    """f-AnoGAN: an encoder into the GAN's latents."""
    file, (normal, ill, masks) = prepared(task)
    run, facts = fitted(task, file)
    scores = [scored(run.system, images)[0] for images in (normal, ill)]
    return judged(normal, ill, masks, scores, lambda x: run.system.reconstruct(run.system.encoder(x)), facts)


def autoencoder(task: Task, latent: int) -> Outcome:
    """The system's encoder and generator, trained together on squared error, for as many images."""
    import torch

    from ganvas.batches import Noise
    from ganvas.data import open_data
    from ganvas.data.streams import DatasetStream
    from ganvas.networks.convolutional import ConvolutionalEncoder, ConvolutionalGenerator
    from ganvas.run.budget import parse_budget
    from ganvas.systems.detection.anogan import Config, heat_map

    file, (normal, ill, masks) = prepared(task)
    torch.set_num_threads(1)
    dataset = open_data(file, heldout=0.0, progress=False)
    stream = DatasetStream(dataset, SETTINGS["batch_size"], seed=task.seed)
    torch.manual_seed(task.seed)
    shape, width = (1, SIDE, SIDE), SETTINGS["width"]
    networks = torch.nn.Sequential(ConvolutionalEncoder(shape, latent, width), ConvolutionalGenerator(latent, shape, width))
    descent = torch.optim.Adam(networks.parameters(), RATE, betas=(0.5, 0.999), fused=True)
    noise = Noise(torch.Generator().manual_seed(task.seed))
    rounds = -(-(parse_budget(task.budget).samples or 0) // SETTINGS["batch_size"])
    begun, processor = time.perf_counter(), time.process_time()
    for done in range(rounds):
        images = stream.draw(noise).real
        (images - networks(images)).square().mean().backward()
        for group in descent.param_groups:
            group["lr"] = RATE * (1 - done / rounds)
        descent.step()
        descent.zero_grad()
    networks.eval()
    facts = {
        "rounds": rounds,
        "samples": rounds * SETTINGS["batch_size"],
        "seconds": round(time.perf_counter() - begun, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    with torch.no_grad():
        scores = [heat_map(x, networks(x), Config.smoothing).amax((1, 2)).numpy() for x in map(tensor, (normal, ill))]
    return judged(normal, ill, masks, scores, networks, facts)


def judged(
    normal: np.ndarray, ill: np.ndarray, masks: np.ndarray, scores: Sequence[np.ndarray],
    redraw: Callable[[Tensor], Tensor], facts: Found,
) -> Outcome:  # fmt: skip
    """AUROC of an arm's scores, and what its redrawn images say: the same smoothing and the same measures for both arms."""
    import torch

    from ganvas.systems.detection.anogan import Config, heat_map

    smoothing = Config.smoothing
    with torch.no_grad():
        pairs = [(x, redraw(x)) for x in map(tensor, (normal, ill))]
        maps = [heat_map(x, y, smoothing).numpy() for x, y in pairs]
        errors = [(x - y).square().mean((1, 2, 3)).numpy() for x, y in pairs]
    low, high = bootstrap(scores[0], scores[1])
    more = {
        "low": low,
        "high": high,
        "localisation": localisation(maps[1], masks),
        "auroc_of_squared_error": auroc(errors[0], errors[1]),
        "squared_error_normal": float(errors[0].mean()),
        "patches": [len(normal), len(ill)],
    }
    return Outcome(auroc(scores[0], scores[1]), PROTOCOL, more | facts, tiles(ill, pairs[1][1], maps[1], masks))


def tiles(images: np.ndarray, redrawn: Tensor, maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """For the picture: input and redrawn over heat map and mask, (16, 2 * SIDE, 2 * SIDE, 1) uint8."""
    again = ((redrawn[:16].permute(0, 2, 3, 1).numpy().clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    heat = (np.clip(maps[:16] / maps[:16].max(), 0, 1) * 255).astype(np.uint8)[..., None]
    above = np.concatenate([images[:16], again], 2)
    return np.concatenate([above, np.concatenate([heat, masks[:16, ..., None] * np.uint8(255)], 2)], 1)


def search(task: Task) -> Outcome:
    """AnoGAN: the same GAN, its latents searched for image by image, on a part of the patches."""
    file, (normal, ill, _) = prepared(task)
    run, _ = fitted(task, file)
    count = SEARCHED // 5 if task.quick else SEARCHED
    part = np.concatenate([normal[:count], ill[:count]])
    found, _, quick_seconds = scored(run.system, part)
    run.system.config = dataclasses.replace(run.system.config, method="search", steps=SEARCH_STEPS)
    searched, _, seconds = scored(run.system, part)
    low, high = bootstrap(searched[:count], searched[count:])
    more = {
        "low": low,
        "high": high,
        "encoder_on_the_same": auroc(found[:count], found[count:]),
        "seconds_an_image": seconds,
        "encoder_seconds_an_image": quick_seconds,
        "times_as_fast": seconds / quick_seconds,
        "patches": [count, count],
    }
    return Outcome(auroc(searched[:count], searched[count:]), PROTOCOL, more)


def brain(task: Task) -> Outcome:
    """Real slices: tumours against `notumor`, beside what 16x16 thumbnails alone give away."""
    source, normal = task.data, "normal" if task.phantom else "notumor"
    budget = task.budget if task.quick else BRAIN_BUDGET
    config = {
        **SETTINGS,
        "normal": normal,
        "score": "mean",
        "augment": ("color", "translation", "cutout"),
    }  # 400 normal slices are few
    run, facts = trained(task, "anogan", config, data=source, budget=budget, size=str(SIDE), threads=1)
    dataset = data_of(run)
    wanted = run.spec.classes.index(normal)
    is_normal = np.asarray(dataset.labels) == wanted
    held, train = dataset.heldout_indices(), dataset.train_indices()
    parts = [dataset.values[held[is_normal[held]]], dataset.values[held[~is_normal[held]]]]
    scores = [scored(run.system, images)[0] for images in parts]
    thumbnails = thumbnail_scores(dataset.values[train[is_normal[train]]], parts)
    low, high = bootstrap(scores[0], scores[1])
    more = {
        "low": low,
        "high": high,
        **{name: auroc(values[0], values[1]) for name, values in thumbnails.items()},
        "slices": [len(part) for part in parts],
        "data": "brain:t1 (phantom)" if task.phantom else "brain-mr",
    }
    return Outcome(auroc(scores[0], scores[1]), PROTOCOL, more | facts)


def thumbnail_scores(normal: np.ndarray, parts: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """What needs no network: distance to the nearest training thumbnail, and to the plane of their main components."""
    step = SIDE // THUMBNAIL

    def small(images: np.ndarray) -> np.ndarray:
        shape = (len(images), THUMBNAIL, step, THUMBNAIL, step)
        return images[..., 0].reshape(shape).mean((2, 4), dtype=np.float64).reshape(len(images), -1)

    known = small(normal)
    centre = known.mean(0)
    axes = np.linalg.svd(known - centre, full_matrices=False)[2][:COMPONENTS]
    nearest, plane = [], []
    for part in map(small, parts):
        distances = (part**2).sum(1)[:, None] + (known**2).sum(1) - 2 * part @ known.T
        nearest.append(distances.min(1))
        plane.append((((part - centre) - (part - centre) @ axes.T @ axes) ** 2).sum(1))
    return {"thumbnails_nearest": nearest, "thumbnails_components": plane}


def met(rows: Sequence[Row]) -> bool:
    """Images on average, places and speed with every seed; the encoder nowhere below what the search may be."""
    return statistics.fmean(row.values["system"] - row.values["baseline"] for row in rows) > 0 and all(
        row.more["system"]["localisation"] > row.more["baseline"]["localisation"]
        and row.more["search"]["times_as_fast"] >= FASTER
        and row.more["search"]["encoder_on_the_same"] >= row.more["search"]["low"]
        for row in rows
    )


PROOF = Proof(
    claim="from normal patches alone it learns to tell nodules, and where they are, better than an autoencoder of equal size",
    baseline="an autoencoder: the same encoder and generator, trained on squared error with as many images, scored alike",
    metric="area under the ROC curve of the heat map's brightest spot, patches with a nodule against normal ones",
    direction=HIGHER,
    mark="mean over seeds above the autoencoder's; with every seed the area for pixels above the autoencoder's too, the "
    f"encoder {FASTER} times as fast as the search, and on the same patches not below the 95 % interval of the search",
    met=met,
    arms={
        "system": system,
        "baseline": lambda task: autoencoder(task, SETTINGS["latent_size"]),
        f"autoencoder, {BOTTLENECK} latents": lambda task: autoencoder(task, BOTTLENECK),
        "search": search,
        "brain": brain,
    },
    budget="400k",
    quick_budget="8k",
    real="brain-mr",
    phantom="brain:t1",
    seeds=4,
    note="the nodules are in patches of the phantom `chest`; only the arm `brain` is about the data named here",
)
