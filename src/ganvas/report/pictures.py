"""Pictures of samples for a page: over time, at the end, and between latents. Only what a network made from noise.

Pictures that a run kept are taken only where they show samples and nothing else. Systems that show real records beside their
own (`capabilities.Shows`), and kinds that do (`facets.Whole`), are drawn anew from the last weights, or not at all.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing import BACKGROUND, GUTTER, INK, TEXT_HEIGHT
from ..errors import GanvasError
from ..kinds import decode, kind_of
from ..kinds.facets import Gridded, Seen, Whole
from ..kinds.image.grid import LARGEST_FACTOR
from .facts import Facts

MOMENTS = 7  # pictures over time
ROW = 8  # samples in a row of them
WALKS, STEPS = 5, 9  # rows and columns of an interpolation of images


@dataclass
class Pictures:
    """Arrays (H, W, 3) uint8. last: samples of the last weights. over_time: one picture, rows are moments. moments: (caption,
    picture) where they do not fit into one. between: an interpolation; reading: how to read it. notes: what is missing and why.
    """

    last: np.ndarray | None = None
    over_time: np.ndarray | None = None
    moments: list[tuple[str, np.ndarray]] = field(default_factory=list)
    between: np.ndarray | None = None
    reading: str = ""
    notes: list[str] = field(default_factory=list)


def kept_pictures_are_samples(system: Any, kind: str) -> bool:
    """Whether the pictures of a run show samples and nothing real. system: the system or its class."""
    from ..uses import drawing, uses_of

    if hasattr(system, "show") or (drawing(system) is None and any(use.show for use in uses_of(system))):
        return False
    return not isinstance(kind_of(kind), Whole)


def gather(facts: Facts, run: Any) -> Pictures:
    """The pictures of a run. run: the opened `Run`, or None where it has no weights to open; then nothing is shown."""
    found = Pictures()
    if run is None:
        found.notes.append("There is no checkpoint yet, and so no samples.")
        return found
    kind = run.spec.kind
    if kept_pictures_are_samples(run.system, kind):
        _from_kept(facts, found)
    else:
        found.notes.append(
            "The pictures that this run kept while it trained show real records beside what was made of them, and stay in its "
            "folder (samples/)."
        )
    from ..uses import drawing

    if drawing(run.system, run.record.fields) is None:
        found.notes.append("This system makes nothing from noise alone: what it makes shows a real record, and is left out.")
        return found
    if found.last is None:
        found.last = _drawn(run)
    found.between, found.reading = _between(run)
    if found.between is None:
        found.notes.append(found.reading)
    return found


def _from_kept(facts: Facts, found: Pictures) -> None:
    if not facts.pictures:
        return
    chosen = _chosen(facts.pictures)
    opened = [(round, _opened(path)) for round, path in chosen]
    if opened[-1][0] == facts.round:
        found.last = opened[-1][1]
    if len(opened) < 2:
        return
    captions = [f"round {round:,}" for round, _ in opened]
    heads = [head for _, picture in opened if (head := _first_row(picture, facts.record.spec)) is not None]
    if len(heads) == len(opened) and len({head.shape for head in heads}) == 1:
        found.over_time = _stacked(heads, captions)
    else:
        found.moments = list(zip(captions, (picture for _, picture in opened), strict=True))


def _chosen(pictures: list[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """At most `MOMENTS`, the first and the last among them; early ones closer together, for there the most happens."""
    if len(pictures) <= MOMENTS:
        return pictures
    rounds = np.array([round for round, _ in pictures], float)
    wanted = rounds[0] + (rounds[-1] - rounds[0]) * (np.arange(MOMENTS) / (MOMENTS - 1)) ** 1.7
    places = sorted({int(np.abs(rounds - goal).argmin()) for goal in wanted} | {0, len(pictures) - 1})
    return [pictures[place] for place in places]


def _opened(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except OSError as error:
        raise GanvasError(f"{path}: cannot be read ({error}): move it away") from error


def _first_row(picture: np.ndarray, spec: Any) -> np.ndarray | None:
    """The first `ROW` samples of a grid as `kinds.image.grid` lays it out; None for any other picture."""
    if not isinstance(kind_of(spec.kind), Seen):
        return None
    strips = spec.channels if spec.channels not in (1, 3) else 1
    for factor in range(LARGEST_FACTOR, 0, -1):
        tall, wide = spec.height * factor + GUTTER, spec.width * strips * factor + GUTTER
        if (picture.shape[0] - GUTTER) % tall == 0 and (picture.shape[1] - GUTTER) % wide == 0:
            return picture[: tall + GUTTER, : min((picture.shape[1] - GUTTER) // wide, ROW) * wide + GUTTER]
    return None


def _stacked(rows: list[np.ndarray], captions: list[str]) -> np.ndarray:
    """Rows below each other with a caption in front of each."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TEXT_HEIGHT)
    margin = round(max(font.getlength(caption) for caption in captions)) + 4 * GUTTER
    step = rows[0].shape[0] - GUTTER
    picture = Image.new("RGB", (margin + rows[0].shape[1], step * len(rows) + GUTTER), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(picture)
    for place, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        picture.paste(Image.fromarray(row), (margin, place * step))
        draw.text((2 * GUTTER, place * step + step // 2), caption, fill=(INK,) * 3, font=font, anchor="lm")
    return np.array(picture)


def _picture_of(records: np.ndarray, spec: Any, columns: int | None = None) -> np.ndarray:
    kind = kind_of(spec.kind)
    return kind.grid(records, spec, columns=columns) if isinstance(kind, Gridded) else kind.picture(records, spec)


def _drawn(run: Any) -> np.ndarray:
    """Samples of the last weights, as a picture without anything real in it."""
    from ..config import knobs
    from ..uses import drawing

    use = drawing(run.system, run.record.fields)
    assert use is not None
    counted = "count" in {knob.name for knob in knobs(use.Options)}
    made = run.use(use.verb, **({"count": kind_of(run.spec.kind).says.shown} if counted else {}))
    return _picture_of(made[next(iter(run.record.fields))], run.spec)


def _between(run: Any) -> tuple[np.ndarray | None, str]:
    """A picture of walks through latents, and how to read it; (None, why not) for systems without a latent to walk through."""
    import torch

    from ..capabilities import Samples
    from ..uses import drawing

    kind = kind_of(run.spec.kind)
    system: Any = run.system
    if not isinstance(run.system, Samples) or drawing(system, run.record.fields) is None:
        return None, "No latent interpolation: this system makes records in a way of its own."
    if kind.says.discrete:
        return None, "No latent interpolation: this system draws its samples step by step, not from one latent."
    if kind.says.walks:
        return None, f"No latent interpolation: {kind.says.walks}."
    walks, steps = (WALKS, STEPS) if isinstance(kind, Seen) else (1, kind.says.shown)
    noise = walking_noise(system, walks, steps)
    labels = None
    if run.spec.classes and system.classes:
        labels = (torch.arange(walks) % len(run.spec.classes)).repeat_interleave(steps)
        labels = labels.to(noise.generator.device)
    with torch.no_grad():
        made = system.sample(walks * steps, noise, labels)
    if not noise.walked:
        return None, "No latent interpolation: this system does not begin with a latent."
    picture = _picture_of(decode(made.float().cpu(), run.spec), run.spec, steps)
    if isinstance(kind, Seen):
        return picture, "Each row walks from one random latent to another, along the sphere; everything else stays the same."
    return picture, "One walk from a random latent to another, along the sphere, in the order of reading."


def walking_noise(system: Any, walks: int, steps: int, seed: int = 7) -> Any:
    """A `Noise` for `walks` * `steps` records: the first numbers drawn, the latents, walk along the sphere between two random
    ends; all later ones are the same within a walk. `walked` tells whether any latents were drawn."""
    import torch
    from torch import Tensor

    from ..batches import Noise

    class Walking(Noise):
        walked = False

        def _walk(self, shape: tuple[int, ...]) -> Tensor:
            self.walked = True
            ends = super().normal(2 * walks, *shape).double()
            first, second = (side.reshape(walks, 1, -1) for side in (ends[:walks], ends[walks:]))
            share = torch.linspace(0, 1, steps, dtype=torch.float64, device=ends.device).reshape(1, steps, 1)
            cosine = torch.nn.functional.cosine_similarity(first, second, dim=2)[..., None]
            angle = torch.arccos(cosine.clamp(-0.9995, 0.9995))
            way = (torch.sin((1 - share) * angle) * first + torch.sin(share * angle) * second) / torch.sin(angle)
            return way.reshape(walks * steps, *shape)

        def normal(self, count: int, *shape: int) -> Tensor:
            if not self.walked:
                return self._walk(shape).to(self.dtype)
            return super().normal(walks, *shape).repeat_interleave(steps, 0)

        def uniform(self, count: int, *shape: int) -> Tensor:
            if not self.walked:
                return torch.special.ndtr(self._walk(shape)).to(self.dtype)
            return super().uniform(walks, *shape).repeat_interleave(steps, 0)

        def integers(self, high: int, count: int, *shape: int) -> Tensor:
            return super().integers(high, walks, *shape).repeat_interleave(steps, 0)

    parameter = next(system.parameters())
    return Walking(torch.Generator(device=parameter.device).manual_seed(seed), dtype=parameter.dtype)


def packed(picture: np.ndarray, most: int) -> tuple[str, bytes]:
    """A picture (H, W, 3) uint8 as (media type, content) of about `most` bytes at most: PNG, else JPEG, else smaller."""
    from PIL import Image

    whole = Image.fromarray(picture)
    grey = bool((picture[..., :1] == picture).all())
    image = whole.convert("L") if grey else whole
    for shrink in (1, 2, 3, 4):
        small = image if shrink == 1 else image.resize((max(1, image.width // shrink), max(1, image.height // shrink)))
        buffer = io.BytesIO()
        small.save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= most:
            return "image/png", buffer.getvalue()
        for quality in (92, 82, 70):
            buffer = io.BytesIO()
            small.save(buffer, format="JPEG", quality=quality)
            if buffer.tell() <= most:
                return "image/jpeg", buffer.getvalue()
    return "image/jpeg", buffer.getvalue()


def feature_points(
    facts: Facts, which: str, device: str, system: Any
) -> tuple[dict[str, np.ndarray], tuple[float, float], str]:
    """Features of samples and of real records on two principal components: points by side, shares of variance, features' name.

    The components are those of held-out records and as many samples. The samples are those of the evaluation, whose features
    are in the cache. Raises GanvasError when the real data cannot be opened.
    """
    from sklearn.decomposition import PCA

    from ..evaluation.sets import open_sets
    from ..metrics.extractors import find_extractor
    from ..metrics.feature_cache import cached_features

    assert facts.evaluation is not None
    notes: list[str] = []
    count = max(10, int(facts.evaluation["fake"]["n"]))
    sets = open_sets(str(facts.path), count=count, which=which, device=device, system=system, progress=False)
    kind = kind_of(sets.kind)
    image = isinstance(kind, Seen)
    judged = str(facts.evaluation.get("features", {}).get("name", ""))
    name = "effnet" if image and "effnet" not in sets.extractors and not judged.startswith("pixels") else "pixels"
    given: dict[str, Any] = {"size": sets.size if image else None, "groups": sets.train.groups, "device": device}
    extractor = find_extractor(name, real=sets.train.values, labels=None, seed=0, notes=notes, **given)
    sides = {"training": sets.train, "held-out": sets.heldout, "samples": sets.generated}
    found = {side: cached_features(part.values, extractor, notes=notes) for side, part in sides.items()}
    rng = np.random.default_rng(0)
    few = min(len(found["held-out"]), len(found["samples"]))
    both = [found[side][rng.permutation(len(found[side]))[:few]] for side in ("held-out", "samples")]
    axes = PCA(2, random_state=0).fit(np.concatenate(both).astype(np.float64))
    points = {side: axes.transform(rows[np.sort(rng.permutation(len(rows))[:1000])]) for side, rows in found.items()}
    shares = tuple(float(share) for share in axes.explained_variance_ratio_)
    label = extractor.name if kind.says.plain else f"{kind.says.features}, {extractor.name}"
    return points, (shares[0], shares[1]), label
