"""Maps in colour: which class each pixel is of, by the colours of the classes. For maps that were painted by hand, whose edges
paint programs soften, and for those that other data sets keep as pictures.

What is not sure is refused by name, and what was taken for something is told. Not for reading files (`files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...store.listing import some

NEAR = 24
"""A colour is near that of a class where no part (red, green, blue) differs by more, and no other class is half as near."""
MOST_TOLD = 3
SOFT = 9
"""Pixels across within which the classes lie whose colours a soft edge mixes."""


def triples(colours: Sequence[str]) -> np.ndarray:
    """`#rrggbb` of each -> (K, 3) int64."""
    return np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours], np.int64).reshape(-1, 3)


def known_share(pixels: np.ndarray, colours: Sequence[str]) -> float:
    """The share of pixels (H, W, 3) uint8 whose colour is one of the given ones, or near it."""
    far = np.abs(pixels.reshape(-1, 1, 3).astype(np.int64) - triples(colours)).max(2).min(1)
    return float((far <= NEAR).mean())


def numbers_of(path: Path, pixels: np.ndarray, classes: Mapping[int, tuple[str, str]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W) int64 numbers of the classes that pixels (H, W, 3) uint8 show, and what was done, in words.

    classes: number -> (name, `#rrggbb`). Colours near that of one class are taken for it. Others are edges where they are
    less than three pixels wide, or mixed of the colours of two or three classes that lie within four pixels, as soft brushes
    and smoothing leave them: they are taken for that class around them whose colour is the nearest. Raises DataError for any
    other colour, with the nearest class, and for two classes of one colour.
    """
    from scipy.ndimage import binary_erosion, maximum_filter

    values, names = list(classes), [name for name, _ in classes.values()]
    palette = triples([colour for _, colour in classes.values()])
    twice = next((k for k in range(len(palette)) if (palette[:k] == palette[k]).all(1).any()), None)
    if twice is not None:
        raise DataError(f"{path}: is in colour, and {names[twice]} shares its colour with another class: give each its own")
    found, place = np.unique(_packed(pixels.astype(np.int64)), return_inverse=True)
    place = place.reshape(pixels.shape[:2])
    own = np.stack([found >> 16, found >> 8 & 255, found & 255], 1)
    far = np.abs(own[:, None] - palette[None]).max(2)  # (colours, classes)
    order = np.sort(far, axis=1)
    nearest, distance = far.argmin(1), order[:, 0]
    second = order[:, 1] if far.shape[1] > 1 else np.full(len(far), 999)
    sure = (distance == 0) | ((distance <= NEAR) & (2 * distance <= second))
    odd, chosen = ~sure[place], nearest[place]
    wide = binary_erosion(odd, np.ones((3, 3), bool), border_value=1)
    known = [(chosen == k) & ~odd for k in range(len(values))] if odd.any() else []
    if wide.any():
        near_by = np.stack([maximum_filter(own, SOFT)[wide] for own in known], 1)
        wide[wide] = ~mixed(pixels[wide].astype(np.float64), near_by, palette.astype(np.float64))
    if wide.any():
        counts = np.bincount(place[odd], minlength=len(found))
        counts[np.setdiff1d(np.arange(len(found)), place[wide])] = 0
        most = np.argsort(-counts)[: min(MOST_TOLD, int((counts > 0).sum()))]
        told = [
            f"#{found[k]:06x} ({counts[k] / odd.size:.1%} of its pixels; the nearest is {names[nearest[k]]} "
            f"#{_packed(palette[nearest[k]]):06x})"
            for k in most
        ]
        more = int((counts > 0).sum()) - len(most)
        left = f" and {more} more" if more else ""
        have = [f"{name} {colour}" for name, colour in classes.values()]
        raise DataError(
            f"{path}: holds colours of no class: {', '.join(told)}{left}: paint with {some(have, 16)}, no soft brush"
        )
    notes = []
    near = sure[place] & (distance[place] > 0)
    if near.any():
        pairs = [f"#{found[k]:06x} as {names[nearest[k]]}" for k in np.unique(place[near])]
        notes.append(f"{near.sum()} pixels are nearly of the colour of a class and taken for it ({some(pairs, MOST_TOLD)})")
    if odd.any():
        beside, near_by = (np.stack([maximum_filter(own, size)[odd] for own in known], 1) for size in (5, SOFT))
        reach = np.where(np.where(beside.any(1, keepdims=True), beside, near_by), far[place[odd]], 1000)
        chosen = chosen.copy()
        chosen[odd] = reach.argmin(1)
        notes.append(f"{odd.sum()} pixels at edges have mixed colours and are taken for the nearest class beside them")
    return np.array(values, np.int64)[chosen], tuple(notes)


def mixed(own: np.ndarray, near_by: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(N,) bool: whether colours (N, 3) lie between those of two or three of the classes (N, K) that are near by, within NEAR
    of a mixture. palette: (K, 3)."""
    found = np.zeros(len(own), bool)
    sets, place = np.unique(near_by, axis=0, return_inverse=True)
    for number, classes in enumerate(sets):
        for group in (*combinations(np.flatnonzero(classes), 2), *combinations(np.flatnonzero(classes), 3)):
            rows = np.flatnonzero(~found & (place.reshape(-1) == number))
            if not len(rows):
                break
            first, others = palette[group[0]], palette[list(group[1:])] - palette[group[0]]
            shares = np.clip((own[rows] - first) @ np.linalg.pinv(others), 0, 1)
            shares /= np.maximum(1, shares.sum(1, keepdims=True))
            found[rows] = np.abs(first + shares @ others - own[rows]).max(1) <= NEAR
    return found


def _packed(colours: np.ndarray) -> np.ndarray:
    """(..., 3) -> (...) one number a colour."""
    packed: np.ndarray = (colours[..., 0] << 16) | (colours[..., 1] << 8) | colours[..., 2]
    return packed
