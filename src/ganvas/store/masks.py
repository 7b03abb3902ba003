"""Which files of a folder are masks or maps of pictures that lie beside them, by their names alone. Decodes nothing."""

from __future__ import annotations

import re

MASK_FOLDERS = ("masks", "mask")
MAP_FOLDERS = (
    "label", "labels", "labelstr", "labelsts", "annotation", "annotations", "segmentation", "segmentations",
    "segmentationclass", "segmentationobject", "gt", "groundtruth", "ground_truth",
)  # fmt: skip
"""Folders whose files are maps of the pictures in a folder beside them that bears one of the names below."""
PICTURE_FOLDERS = (
    "image", "images", "imagestr", "imagests", "jpegimages", "img", "imgs", "photo", "photos", "picture", "pictures",
)  # fmt: skip
MASK_NAME = re.compile(r"[._-]mask\.[^.]+(\.gz)?$", re.IGNORECASE)


def masks_of(names: list[str]) -> set[str]:
    """Files that are masks of others: in a folder `masks`, or called `x_mask.png`, with a picture `x` beside them.

    So are those of a folder `labels` beside a folder `images`. A class may well be called `mask`: files of such a folder whose
    names no other folder has are no masks.
    """
    candidates: dict[str, list[tuple[str, str]]] = {}
    stems: set[str] = set()
    places = {name.rpartition("/")[0].lower() for name in names}
    for name in names:
        folders, _, base = name.rpartition("/")
        parts = folders.split("/") if folders else []
        if MASK_NAME.search(base):
            whole = MASK_NAME.sub("", base)
            candidates.setdefault(f"{folders}/", []).append((name, whole))
        elif any(part.lower() in MASK_FOLDERS for part in parts) or _beside_pictures(folders.lower(), places):
            candidates.setdefault(folders, []).append((name, _without_suffix(base)))
        else:
            stems.add(_without_suffix(base))
    classes = {part.lower() for name in names for part in name.split("/")[:-1]}
    found: set[str] = set()
    for folder, own in candidates.items():
        opposite = any(re.fullmatch(r"(no|not|non|without|with|un)[\s_-]*mask(s|ed)?", word) for word in classes)
        # A mask may have more in its name than its picture (`1-lesion.png` of `1.png`), or less (`1.nii` of `1_0000.nii`).
        known = stems | {head for stem in stems for head in _heads(stem)} if _beside_pictures(folder.lower(), places) else stems
        matching = sum(any(part in known for part in (stem, *_heads(stem))) for _, stem in own)
        if 2 * matching > len(own) and not (opposite and not folder.endswith("/")):
            found |= {name for name, _ in own}
    return found


def _beside_pictures(folder: str, places: set[str]) -> bool:
    """Whether a folder (`train/labels`, in small letters) is one of maps, with one of pictures (`train/images`) beside it.

    The word may stand above folders that both have (`labels/train`, `images/train`).
    """
    parts = folder.split("/")
    return any(
        "/".join([*parts[:k], word, *parts[k + 1 :]]) in places
        for k, part in enumerate(parts) if part in MAP_FOLDERS for word in PICTURE_FOLDERS
    )  # fmt: skip


def _heads(stem: str) -> list[str]:
    """What stands before each `-` or `_` of a name."""
    return [stem[: found.start()] for found in re.finditer(r"[-_]", stem)]


def _without_suffix(base: str) -> str:
    lower = base.lower()
    return base[: -len(".nii.gz")] if lower.endswith(".nii.gz") else base.rpartition(".")[0] or base
