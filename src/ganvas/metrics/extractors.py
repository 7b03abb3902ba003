"""What turns records into features for the metrics: four extractors behind one small protocol, found by name.

`effnet` is the default for images. `classifier` is trained on the spot on the user's own labelled data: it sees what
matters there, where ImageNet features may not. `pixels` takes points, small vectors and, for comparison, bare pixels.
`inception` is the network of FID, KID and IS, when its weights are at hand: only with `is_inception` do numbers bear these
names. None of them may judge a system that trained on it. Not for training systems against.

All are deterministic, do not depend on the batch size (to 1e-4), and leave the global random state as found.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganvas.errors import DataError, GanvasError, MissingExtra, did_you_mean
from ganvas.metrics.feature_cache import content_key, pass_on, write_kept
from ganvas.metrics.features import (  # noqa: F401  (for callers)
    WIDTH,
    ClassifyingExtractor,
    Extractor,
    Size,
    _height_width,
    _reader,
    feature_protocol,
    image_features,
)
from ganvas.store.cache import cache_folder, digest

if TYPE_CHECKING:
    import torch

    Images = np.ndarray | torch.Tensor

NAMES = ("effnet", "classifier", "pixels", "inception")


def find_extractor(
    name: str,
    *,
    size: Size | None = None,
    real: Any = None,
    labels: Any = None,
    groups: Any = None,
    inception: str | Path | None = None,
    seed: int = 0,
    cache: Path | None = None,
    notes: list[str] | None = None,
    batch: int = 64,
    device: str = "cpu",
) -> Extractor:
    """The extractor of a name: `effnet`, `classifier`, `pixels` or `inception`.

    size: the resolution of the run, to which images are resized first (None: their own). real: the real training data, to
    which `classifier` and `pixels` are fitted; labels, groups: (N,) of the same, for `classifier`. inception: the file of
    the weights, for `inception`. seed, cache, notes: of the classifier, see `train_classifier`.

    Raises GanvasError for other names and for what is missing, and what the extractors raise.
    """
    if name == "effnet":
        return EfficientNetExtractor(size=size, batch=batch, device=device)
    if name == "inception":
        return InceptionExtractor(inception, size=size, batch=min(batch, 32), device=device)
    if name == "pixels":
        if real is None:
            raise GanvasError("the extractor 'pixels' is fitted to real training data: give it as real=")
        return PixelExtractor(real, size=size)
    if name == "classifier":
        if real is None or labels is None:
            raise GanvasError("the extractor 'classifier' is trained on real images with labels: give real= and labels=")
        return train_classifier(real, labels, groups=groups, size=size, seed=seed, cache=cache, notes=notes, device=device)
    raise GanvasError(f"no extractor is called '{name}'{did_you_mean(name, NAMES)}: there are {', '.join(NAMES)}")


class EfficientNetExtractor:
    """The default for images: `ganvas.metrics.image_features` at one resolution, 1280 numbers."""

    is_inception = False
    dimensions = WIDTH

    def __init__(self, *, size: Size | None = None, batch: int = 64, device: str = "cpu") -> None:
        self.name = feature_protocol(size)
        self._size, self._batch, self._device = size, batch, device

    def features(self, images: Images) -> np.ndarray:
        """(N, 1280) float32. Raises GanvasError as `image_features` does."""
        return image_features(images, size=self._size, batch=self._batch, device=self._device)


# Points, small vectors, bare pixels

COMPONENTS = 64


class PixelExtractor:
    """Vectors as they are, standardised; above 64 numbers their first 64 principal components.

    real: training data, to which it is fitted: vectors (N, D), or images as `image_features` takes them, whose pixels in
    [-1, 1] at `size` are then the vector. Up to 64 numbers: each less its mean, over its standard deviation (a constant
    one is only centred); the name is `raw-<hash>`. Above: centred and projected on as many components as there can be, 64
    at most (scikit-learn's PCA, not whitened); `pca64-<hash>`. The hash, of the training data, tells features of unlike
    fits apart. Raises GanvasError for fewer than 2 records, and for NaN or infinity.
    """

    is_inception = False

    def __init__(self, real: Any, *, size: Size | None = None) -> None:
        self._size = None if size is None else _height_width(size)
        values = self._vectors(real)
        count, width = values.shape
        if count < 2:
            raise GanvasError(f"the extractor 'pixels' is fitted to 2 records or more, got {count}")
        self._mean = values.mean(axis=0)
        if width <= COMPONENTS:
            spread = values.std(axis=0)
            self._matrix = np.diag(1 / np.where(spread > 1e-12 * (1 + np.abs(self._mean)), spread, 1.0))
        else:
            from sklearn.decomposition import PCA

            self._matrix = PCA(min(COMPONENTS, count - 1), random_state=0).fit(values - self._mean).components_.T
        self.dimensions = self._matrix.shape[1]
        kind = "raw" if width <= COMPONENTS else f"pca{self.dimensions}"
        at = "" if self._size is None else "/at={}x{}".format(*self._size)
        self.name = f"{kind}-{digest(content_key(real), self._size)[:8]}{at}"

    def features(self, images: Any) -> np.ndarray:
        """(N, dimensions) float32. Raises GanvasError for records of another length than those it was fitted to."""
        values = self._vectors(images)
        if values.shape[1] != len(self._mean):
            raise GanvasError(f"records of {values.shape[1]} numbers, but the extractor was fitted to {len(self._mean)}")
        return ((values - self._mean) @ self._matrix).astype(np.float32)

    def _vectors(self, records: Any) -> np.ndarray:
        if records.ndim == 2:
            values = np.asarray(records.detach().cpu() if hasattr(records, "detach") else records, np.float64)
        else:
            parts = [part.flatten(1).numpy() for part in _resized(records, self._size, 256, "cpu")]
            values = np.concatenate(parts).astype(np.float64) if parts else np.zeros((0, 0))
        if not np.isfinite(values).all():
            raise GanvasError("the records hold NaN or infinity; check where they come from")
        return values


# A classifier of the user's own data

LONGEST_SIDE = 64  # images are shrunk to this before the classifier sees them
HELD_OUT = 0.2
FEATURES = 64
BATCH = 64
_RECIPE = 2  # raised when the network or its training changes: classifiers of another recipe are trained anew


class ClassifierExtractor:
    """A small convolutional classifier of the user's data: its last 64 features, and its class probabilities.

    classes: label names in the order of the probabilities. facts: how it was trained and how well it does on the part of
    the data that it never saw: `accuracy`, `balanced_accuracy` (mean over classes), `majority` (the share of the largest
    class, what guessing reaches), `trained_on`, `held_out`, `seconds`. name: `classifier-<hash of the weights>`.
    """

    is_inception = False
    dimensions = FEATURES

    def __init__(self, weights: dict[str, torch.Tensor], facts: dict[str, Any], *, device: str = "cpu") -> None:
        self.facts = facts
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.name = f"classifier-{_weights_hash(weights)[:8]}"
        self._sizes = [None if s is None else (s[0], s[1]) for s in (facts["size"], facts["input"])]
        self._device = device
        from ..shapes import shapes_only

        with shapes_only():
            network = _classifier(facts["channels"], len(self.classes))
        network.load_state_dict(weights, assign=True)
        self._network = network.to(device).eval().requires_grad_(False)

    def features(self, images: Images) -> np.ndarray:
        """(N, 64) float32. Raises GanvasError for images of other channels than those it was trained on."""
        return self._run(images)[0]

    def probabilities(self, images: Images) -> np.ndarray:
        """(N, classes) float32. Raises GanvasError for images of other channels than those it was trained on."""
        return self._run(images)[1]

    def _run(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        import torch

        found = [np.zeros((0, FEATURES), np.float32)]
        said = [np.zeros((0, len(self.classes)), np.float32)]
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, enabled=False):
            for part in _resized(images, self._sizes[0], BATCH, self._device, self._sizes[1]):
                if part.shape[1] != self.facts["channels"]:
                    raise GanvasError(
                        f"images of {part.shape[1]} channels, but the classifier was trained on {self.facts['channels']}; "
                        "convert them alike first"
                    )
                features = self._network[0](part)
                found.append(features.cpu().numpy())
                said.append(self._network[1](features).softmax(dim=1).cpu().numpy())
        return np.concatenate(found), np.concatenate(said)


def train_classifier(
    images: Images,
    labels: Any,
    *,
    groups: Any = None,
    size: Size | None = None,
    seed: int = 0,
    cache: Path | None = None,
    notes: list[str] | None = None,
    device: str = "cpu",
) -> ClassifierExtractor:
    """A classifier of labelled real images, trained now or taken from the cache.

    images: as `image_features` takes them, any channels. labels: (N,) numbers or names. groups: (N,): whole groups are
    held out (a patient's images stay together); each image is its own without it. size: the resolution of the run; the
    network sees the images shrunk to 64 pixels on the longest side. A fifth is held out, never trained on, and only used
    to say how good the classifier is. Kept in the cache folder as `classifiers/<key>.safetensors` (`.json` beside it says
    the same to people), where the key is of the content, labels, groups and settings; the weights depend a little on the
    number of threads and the processor, which is why the name of the features is a hash of them. notes: gets a line when
    a kept classifier was damaged or cannot be written; without it the line is a warning.

    Raises GanvasError for labels of another number, fewer than 2 classes, and a class of fewer than 2 images.
    """
    kinds, classes, parts = _labelled(len(images), labels, groups)
    key = digest(
        "classifier", _RECIPE, content_key(images), content_key(kinds), classes, content_key(parts),
        None if size is None else _height_width(size), seed,
    )  # fmt: skip
    path = cache_folder(cache) / "classifiers" / f"{key}.safetensors"
    kept = kept_or_trained(path, lambda: _trained(images, kinds, classes, parts, size, seed), seed, notes)
    return ClassifierExtractor(*kept, device=device)


def kept_or_trained(
    path: Path, train: Callable[[], tuple[dict[str, torch.Tensor], dict[str, Any]]], seed: int, notes: list[str] | None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and facts in the file `path`, or newly trained from `seed` and written there; `.json` beside it is for people.

    The global random state stays as found. notes: gets a line when the file was damaged or cannot be written.
    """
    import torch

    said: list[str] = []
    kept = _kept_classifier(path, said)
    if kept is None:
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
            torch.manual_seed(seed)
            kept = train()
        from safetensors.torch import save

        weights, facts = kept
        text = json.dumps(facts | {"weights": _weights_hash(weights)}, indent=1)
        failed = write_kept(path, save(weights, {"facts": text})) or write_kept(path.with_suffix(".json"), text.encode())
        if failed:
            said.append(failed)
    pass_on(said, notes)
    return kept


def _labelled(count: int, labels: Any, groups: Any) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Class index (N,), class names, and group (N,) of every image."""
    given = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels).ravel()
    parts = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    if len(given) != count or len(parts) != count:
        raise GanvasError(f"{len(given)} labels and {len(parts)} groups for {count} images: give one for each")
    names, kinds, sizes = np.unique(given, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise GanvasError("a classifier needs 2 classes or more: give labels that differ, or use the extractor 'effnet'")
    if sizes.min() < 2:
        raise GanvasError(f"class {names[sizes.argmin()]!s} has 1 image: a classifier needs 2 of each; leave the class out")
    return kinds.ravel().astype(np.int64), tuple(str(name) for name in names), parts.astype(np.int64)


def _classifier(channels: int, classes: int) -> Any:
    """Sequential of (images -> 64 features) and (features -> logits). GroupNorm: no image depends on its batch.

    The largest response over positions, not the mean: a small finding drowns in a mean. On the `chest` phantom this finds 0.72
    of each class where the mean finds 0.20, which is guessing; on radiographs of three classes both find about three quarters.
    """
    from torch import nn

    def layer(before: int, after: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after), nn.ReLU()]

    body = [*layer(channels, 16, 2), *layer(16, 32, 2), *layer(32, FEATURES, 1), *layer(FEATURES, FEATURES, 2)]
    return nn.Sequential(nn.Sequential(*body, nn.AdaptiveMaxPool2d(1), nn.Flatten()), nn.Linear(FEATURES, classes))


def _trained(
    images: Images, kinds: np.ndarray, classes: tuple[str, ...], groups: np.ndarray, size: Size | None, seed: int
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and facts of a newly trained classifier. Draws from the global random stream of torch."""
    import time

    import torch
    from torch.nn import functional

    from ganvas.optim.idle import leave_compiler_idle
    from ganvas.store.splits import hold_out

    begun = time.perf_counter()
    run_size = None if size is None else _height_width(size)
    height, width = run_size or _own_size(images)
    shrunk = min(1.0, LONGEST_SIDE / max(height, width))
    entry = (max(8, round(height * shrunk)), max(8, round(width * shrunk)))
    pixels = torch.cat(list(_resized(images, run_size, 256, "cpu", entry)))
    out = torch.from_numpy(hold_out(groups, kinds, HELD_OUT, seed))
    answers = torch.from_numpy(kinds)
    known, correct = pixels[~out], answers[~out]

    network = _classifier(pixels.shape[1], len(classes))
    # On 503 radiographs of three classes 800 steps gave 78 % of unseen ones right and 300 steps 73 % (means of two seeds).
    epochs = int(np.clip(round(800 * BATCH / len(known)), 3, 80))
    steps = epochs * math.ceil(len(known) / BATCH)
    leave_compiler_idle()
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(known)).split(BATCH):
            part = known[chosen]
            # Shifted by up to a sixteenth: right for any kind of image, as flips and turns are not.
            reach = [max(1, side // 16) for side in entry]
            padded = functional.pad(part, (reach[1], reach[1], reach[0], reach[0]), mode="replicate")
            top, left = (int(torch.randint(2 * most + 1, ())) for most in reach)
            part = padded[:, :, top : top + entry[0], left : left + entry[1]]
            optimiser.zero_grad()
            functional.cross_entropy(network(part), correct[chosen]).backward()
            optimiser.step()
            schedule.step()
    network.eval()
    weights = {name: value.detach().clone().contiguous() for name, value in network.state_dict().items()}
    facts: dict[str, Any] = {
        "classes": list(classes), "channels": pixels.shape[1], "size": run_size and list(run_size), "input": list(entry),
        "seed": seed, "epochs": epochs, "trained_on": len(known), "held_out": int(out.sum()),
    }  # fmt: skip
    if out.any():
        with torch.no_grad():
            right = torch.cat([network(part).argmax(dim=1) for part in pixels[out].split(256)]) == answers[out]
        present = answers[out].unique()
        facts["accuracy"] = float(right.double().mean())
        facts["balanced_accuracy"] = float(np.mean([float(right[answers[out] == k].double().mean()) for k in present]))
        facts["majority"] = float(torch.bincount(answers[out]).max() / len(right))
    facts["seconds"] = round(time.perf_counter() - begun, 2)
    return weights, facts


def _kept_classifier(path: Path, said: list[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Weights and facts in a file, or None; adds a note when there is a file but it is not as it was written."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
            facts = json.loads(opened.metadata()["facts"])
        if facts.pop("weights") != _weights_hash(weights):
            raise ValueError
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        said.append(f"{path}: the kept classifier was damaged and has been trained anew")
        return None
    return weights, facts


def _weights_hash(weights: dict[str, torch.Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(f"{name} {tuple(weights[name].shape)}".encode())
        total.update(weights[name].contiguous().numpy().tobytes())
    return total.hexdigest()


# Inception-v3

INCEPTION_SHA256_BEGINS = "6726825d"
"""The weights converted from the original TensorFlow graph of 2015-12-05, as torch-fidelity and pytorch-fid give them out."""

INCEPTION_FILES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")


class InceptionExtractor:
    """Inception-v3 as FID uses it: torch-fidelity's network, its pool3 features (2048) and class probabilities (1008).

    weights: the file; None takes one that torch keeps already (`torch.hub`'s folder). Nothing is ever downloaded. Images
    are resized to `size` first if it is given, rounded to 8 bits, and repeated to three channels where they are grey; the
    network itself enlarges them to 299x299 in TensorFlow's way. probabilities: from the logits without bias, as the
    Inception Score takes them. With other weights than the original ones `is_inception` is False and the name holds their
    hash.

    Raises MissingExtra without torch-fidelity; GanvasError without weights; DataError when the file does not hold them.
    """

    dimensions = 2048

    def __init__(
        self, weights: str | Path | None = None, *, size: Size | None = None, batch: int = 32, device: str = "cpu"
    ) -> None:
        import torch

        path = _inception_file(weights)
        build = _inception_network()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.is_inception = sha256.startswith(INCEPTION_SHA256_BEGINS)
        self._size = None if size is None else _height_width(size)
        at = "" if self._size is None else "/at={}x{}".format(*self._size)
        self.name = ("inception-v3" if self.is_inception else f"inception-{sha256[:8]}") + "/2048" + at
        self.classes: tuple[str, ...] = tuple(str(k) for k in range(1008))
        self._batch, self._device = batch, device
        try:
            # The library unpickles the file with all that may be in it; so it must pass the strict reader first.
            torch.load(path, map_location="cpu", weights_only=True)
            with torch.random.fork_rng(devices=[]):
                self._network = build("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))
        except Exception as error:  # whatever unpickling and loading meet in a wrong file
            reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            raise DataError(f"{path}: does not hold the weights of torch-fidelity's Inception-v3 ({reason})") from error
        self._network.to(device)

    def features(self, images: Images) -> np.ndarray:
        """(N, 2048) float32. Raises GanvasError as `image_features` does."""
        return self._run(images)[0]

    def probabilities(self, images: Images) -> np.ndarray:
        """(N, 1008) float32. Raises GanvasError as `image_features` does."""
        return self._run(images)[1]

    def _run(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        import torch

        found, said = [np.zeros((0, 2048), np.float32)], [np.zeros((0, 1008), np.float32)]
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, enabled=False):
            for part in _resized(images, self._size, self._batch, self._device):
                if part.shape[1] not in (1, 3):
                    part = part.mean(dim=1, keepdim=True)
                eight = ((part + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
                features, logits = self._network(eight)
                found.append(features.cpu().numpy())
                said.append(logits.softmax(dim=1).cpu().numpy())
        return np.concatenate(found), np.concatenate(said)


def _inception_network() -> Callable[..., Any]:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except Exception as error:  # a torchvision built for another torch raises what it likes
        if isinstance(error, ImportError) and (error.name or "").startswith("torch_fidelity"):
            raise MissingExtra("torch-fidelity", "fid") from None
        raise GanvasError(
            f"torch-fidelity is installed but does not import ({str(error).splitlines()[0][:120]}): it needs the torchvision "
            "that was made for this torch"
        ) from error
    build: Callable[..., Any] = FeatureExtractorInceptionV3
    return build


def _inception_file(weights: str | Path | None) -> Path:
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise GanvasError(f"{path}: there are no Inception weights; give the file {INCEPTION_FILES[0]}")
        return path
    import torch

    for name in INCEPTION_FILES:
        path = Path(torch.hub.get_dir()) / "checkpoints" / name
        if path.is_file():
            return path
    raise GanvasError(
        f"FID, KID and IS need the original Inception weights, which are not here and are never downloaded: give the file "
        f"{INCEPTION_FILES[0]} (from torch-fidelity's releases) as inception=PATH, or use the extractor 'effnet'"
    )


def _own_size(images: Images) -> tuple[int, int]:
    height, width = images.shape[1:3] if isinstance(images, np.ndarray) else images.shape[2:4]
    return int(height), int(width)


def _resized(images: Images, first: Size | None, batch: int, device: str, then: Size | None = None) -> Iterator[torch.Tensor]:
    """Images as float32 (n, C, H, W) in [-1, 1], batch by batch, resized with antialiasing to `first`, then to `then`."""
    from torch.nn import functional

    read = _reader(images)
    for start in range(0, len(images), batch):
        part = read(images[start : start + batch]).to(device)
        for goal in (first, then):
            if goal is not None and tuple(part.shape[2:]) != goal:
                part = functional.interpolate(part, size=goal, mode="bilinear", antialias=True)
        yield part
