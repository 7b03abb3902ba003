"""Files of poses: JSON of COCO and of OpenPose, tables with a row a picture or a row a point, and `.npz`; and written again.

Visibility is COCO's: 0 the point is not there, 1 it is hidden, 2 it is seen. Points that are not there lie at (0, 0). Not for
bringing points to the size of pictures (`geometry`).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, did_you_mean
from ...store.cells import EITHER, is_missing, read_cells
from ...store.cells import number as number_in
from ...store.guard import failure, guard
from ...store.listing import some
from .skeletons import COCO, OF_OPENPOSE, Links, usual_links
from .spec import PoseSpec

SEEN, HIDDEN, ABSENT = 2, 1, 0
SYNTHETIC = "SYNTHETIC: made by a generative model, not a real record"
VISIBILITY = ("v", "visibility", "visible", "likelihood", "confidence", "score")
POINT = ("point", "keypoint", "joint", "bodypart", "name")
PICTURE = ("file", "file_name", "filename", "image", "picture", "path")
LINKS = "links"
TABLES = (".csv", ".tsv")


@dataclass
class Poses:
    """Poses of one source. points: (N, K, 3) float32, x, y and visibility. sides: (height, width) of the picture of each, None
    where nothing says it. pictures: the name of each one's picture, empty where nothing says it. notes: what was left out."""

    names: tuple[str, ...]
    links: Links
    points: np.ndarray
    sides: list[tuple[int, int] | None]
    pictures: list[str]
    notes: list[str] = field(default_factory=list)

    def ordered(self, names: tuple[str, ...], where: object) -> Poses:
        """With the points in another order. Raises DataError for points that are others."""
        if names == self.names:
            return self
        odd = next((name for name in self.names if name not in names), None)
        if odd is not None:
            raise DataError(f"{where}: has a point '{odd}'{did_you_mean(odd, names)}: the others are of {some(list(names), 8)}")
        lacks = [name for name in names if name not in self.names]
        if lacks:
            raise DataError(
                f"{where}: lacks the point {some(lacks, 4)}: a point that is not seen stands there with visibility 0"
            )
        chosen = [self.names.index(name) for name in names]
        links = tuple((chosen.index(one), chosen.index(other)) for one, other in self.links)
        return Poses(names, links, self.points[:, chosen], self.sides, self.pictures, self.notes)


def read_poses(path: Path) -> Poses:
    """The poses of a file. Raises DataError in one line for what is no such file, and for wrong counts."""
    suffix = path.suffix.lower()
    with guard(path, "poses"):
        if suffix == ".json":
            found = _of_json(path)
        elif suffix == ".npz":
            found = _of_archive(path)
        else:
            found = _of_table(path)
    bad = np.argwhere(~np.isfinite(found.points))
    if len(bad):
        raise failure(path, f"holds NaN or infinity for the point '{found.names[bad[0][1]]}'", "leave it out, or give numbers")
    return found


def listed(path: Path) -> tuple[list[str], dict[str, list[str]]] | None:
    """(pictures, columns of cells as `of_columns` takes them) of a JSON in COCO's form, a row a picture that has a pose; None
    for any other file. Raises DataError for what looks like one and cannot be read."""
    if path.suffix.lower() != ".json":
        return None
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
        if b'"keypoints"' not in head and (b'"images"' not in head and b'"annotations"' not in head):
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # not one of ours to speak of
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        return None
    if not any(isinstance(own, dict) and "keypoints" in own for own in content["annotations"]):
        return None
    with guard(path, "poses"):
        found = _of_coco(path, content)
    return found.pictures, columns_of(found)


def columns_of(found: Poses) -> dict[str, list[str]]:
    """Poses as columns of a table: `NAME_x`, `NAME_y`, `NAME_v` of each point, `height` and `width`, `links`."""
    cells: dict[str, list[str]] = {}
    for k, name in enumerate(found.names):
        x, y, v = found.points[:, k].T
        cells[f"{name}_x"] = [f"{value:.7g}" for value in x]
        cells[f"{name}_y"] = [f"{value:.7g}" for value in y]
        cells[f"{name}_v"] = [str(int(value)) for value in v]
    for side, word in enumerate(("height", "width")):
        if all(own is not None for own in found.sides):
            cells[word] = [str(own[side]) for own in found.sides if own is not None]
    if found.links:
        text = "; ".join(f"{found.names[one]}-{found.names[other]}" for one, other in found.links)
        cells[LINKS] = [text] * len(found.points)
    return cells


# JSON


def _of_json(path: Path) -> Poses:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise failure(path, f"is no JSON ({str(error)[:80]})", "write it anew, it may be cut") from None
    if isinstance(content, dict) and "people" in content:
        return _of_openpose(path, content)
    if isinstance(content, dict) and "annotations" in content:
        return _of_coco(path, content)
    raise failure(
        path, "holds no poses", "COCO has 'annotations' with 'keypoints', OpenPose 'people' with 'pose_keypoints_2d'"
    )  # fmt: skip


def _of_openpose(path: Path, content: Mapping[str, Any]) -> Poses:
    people = content["people"]
    if not isinstance(people, list) or not people:
        raise failure(path, "shows nobody ('people' is empty)", "leave its picture out")
    triples = []
    for person in people:
        numbers = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
        if not isinstance(numbers, list) or len(numbers) % 3 or len(numbers) // 3 not in OF_OPENPOSE:
            known = " or ".join(f"{3 * count} ({count} points)" for count in OF_OPENPOSE)
            have = len(numbers) if isinstance(numbers, list) else "no"
            raise failure(path, f"has {have} numbers in 'pose_keypoints_2d'", f"OpenPose writes {known}")
        triples.append(np.array(numbers, np.float64).reshape(-1, 3))
    own = max(triples, key=lambda one: one[:, 2].sum())
    points = np.concatenate([own[:, :2], np.where(own[:, 2:] > 0, SEEN, ABSENT)], 1)
    names = OF_OPENPOSE[len(own)]
    notes = [f"shows {len(people)} people: the surest is taken"] if len(people) > 1 else []
    return Poses(names, usual_links(names), _settled(points[None]), [None], [""], notes)


def _of_coco(path: Path, content: Mapping[str, Any]) -> Poses:
    kinds = {own.get("id"): own for own in content.get("categories", ()) if isinstance(own, dict) and own.get("keypoints")}
    pictures = {own["id"]: own for own in content.get("images", ())}
    best: dict[Any, Any] = {}
    several: set[Any] = set()
    names: tuple[str, ...] = ()
    links: Links = ()
    for number, own in enumerate(content["annotations"], start=1):
        numbers = own.get("keypoints") if isinstance(own, dict) else None
        if not numbers or not any(numbers[2::3]):
            continue
        category = kinds.get(own.get("category_id")) or (next(iter(kinds.values())) if len(kinds) == 1 else None)
        mine = tuple(category["keypoints"]) if category else (COCO if len(numbers) == 3 * len(COCO) else ())
        if len(numbers) != 3 * len(mine):
            wrong = f"has {len(numbers)} numbers for {len(mine)} points in annotation {number}"
            raise failure(path, wrong, "a point is three numbers, x, y and visibility; 'categories' names the points")
        if names and mine != names:
            raise failure(path, f"names other points in annotation {number} than before", "keep one category in a file")
        names = mine
        links = tuple((one - 1, other - 1) for one, other in (category or {}).get("skeleton", ())) or usual_links(names)
        if links and not all(0 <= place < len(names) for link in links for place in link):
            raise failure(path, f"joins points in its skeleton that are not among its {len(names)}", "they count from 1")
        key = own.get("image_id", number)
        if key in best:
            several.add(key)
        size = (own.get("area", 0) or 0, sum(1 for v in numbers[2::3] if v))
        if key not in best or size > best[key][0]:
            best[key] = size, numbers
    if not best:
        raise failure(path, "has no annotation with keypoints", "give that of persons, such as person_keypoints_train.json")
    rows = list(best)
    points = np.array([np.array(best[key][1], np.float64).reshape(-1, 3) for key in rows])
    told: list[Mapping[str, Any]] = [pictures.get(key, {}) for key in rows]
    sides = [(int(one["height"]), int(one["width"])) if {"height", "width"} <= set(one) else None for one in told]
    notes = [f"{len(several)} pictures show several people: the largest of each is taken"] if several else []
    return Poses(names, links, _settled(points), sides, [str(one.get("file_name", "")) for one in told], notes)


def _settled(points: np.ndarray) -> np.ndarray:
    """Points (N, K, 3) float32, whole visibilities, those that are not there at (0, 0)."""
    found = np.array(points, np.float32)
    found[found[..., 2] <= 0] = 0
    return found


# Tables


def _of_table(path: Path) -> Poses:
    read = read_cells(path, names=EITHER, counting=False)
    rows = read.rows()
    if not rows:
        raise failure(path, "holds no poses", "write a row a picture: file,NAME_x,NAME_y,NAME_v, ...")
    lower = {name.lower(): name for name in read.names}
    picture = next((lower[word] for word in PICTURE if word in lower), None)
    point = next((lower[word] for word in POINT if word in lower), None)
    if {"x", "y"} <= set(lower) and point is not None:
        columns, pictures = _widened(path, rows, lower, picture, point)
    else:
        columns, pictures = {name: [row[name] for row in rows] for name in read.names}, [""] * len(rows)
        if picture is not None:
            pictures = columns[picture]
    if not own_columns(list(columns)):
        raise failure(
            path, f"has no points in its columns ({some(read.names, 6)})", "name them NAME_x and NAME_y, or point,x,y"
        )
    found = of_columns(columns, path, pictures)
    found.notes += read.told()
    return found


def _widened(
    path: Path, rows: Sequence[Mapping[str, str]], lower: Mapping[str, str], picture: str | None, point: str
) -> tuple[dict[str, list[str]], list[str]]:
    """A row a point -> a row a picture."""
    if picture is None:
        raise failure(path, "has a row a point, and does not say of which picture", "add a column file")
    v = next((lower[word] for word in VISIBILITY if word in lower), None)
    kept = [lower[word] for word in ("height", "width", LINKS) if word in lower]
    names = list(dict.fromkeys(row[point] for row in rows))
    found: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, start=1):
        own = found.setdefault(row[picture], {word: row[word] for word in kept})
        if f"{row[point]}_x" in own:
            raise failure(path, f"names the point '{row[point]}' of {row[picture]} twice (row {line})", "keep one")
        own |= {f"{row[point]}_x": row[lower["x"]], f"{row[point]}_y": row[lower["y"]]}
        own |= {} if v is None else {f"{row[point]}_v": row[v]}
    parts = ["x", "y", *([] if v is None else ["v"])]
    wide = {f"{name}_{part}": [own.get(f"{name}_{part}", "") for own in found.values()] for name in names for part in parts}
    return wide | {word: [own[word] for own in found.values()] for word in kept}, list(found)


def own_columns(names: Sequence[str]) -> list[str]:
    """Of the columns of a table those that make up poses: pairs `NAME_x`, `NAME_y`, their visibilities, and what says how large
    pictures are and which points are joined; none without two points."""
    have = set(names)
    points = [name[:-2] for name in names if name.endswith("_x") and f"{name[:-2]}_y" in have]
    if len(points) < 2:
        return []
    parts = {f"{point}_{end}" for point in points for end in ("x", "y", *VISIBILITY)}
    return [name for name in names if name in parts or name.lower() in ("height", "width", LINKS)]


def of_columns(columns: Mapping[str, list[str]], where: object, pictures: list[str] | None = None) -> Poses:
    """Poses of columns (N,) of cells, as `own_columns` names them. Raises DataError with the row and the column."""
    names = tuple(name[:-2] for name in columns if name.endswith("_x") and f"{name[:-2]}_y" in columns)
    many = len(next(iter(columns.values())))
    points = np.zeros((many, len(names), 3), np.float64)
    sure = False
    for k, name in enumerate(names):
        told = next((f"{name}_{end}" for end in VISIBILITY if f"{name}_{end}" in columns), None)
        v = [SEEN] * many if told is None else _numbers(columns[told], told, where)
        x, y = (_numbers(columns[f"{name}_{end}"], f"{name}_{end}", where) for end in "xy")
        odd = next((row for row in range(many) if (x[row] is None) != (y[row] is None)), None)
        if odd is not None:
            raise DataError(f"{where}: row {odd + 1} has only one of {name}_x and {name}_y: give both, or neither")
        for row in range(many):
            if x[row] is not None and v[row]:
                points[row, k] = x[row], y[row], v[row]
    marks = points[..., 2]
    if (marks > SEEN).any() or (marks < 0).any():
        row, k = np.argwhere((marks > SEEN) | (marks < 0))[0]
        raise DataError(
            f"{where}: row {row + 1} has the visibility {marks[row, k]:g} of {names[k]}: 0 not there, 1 hidden, 2 seen, or a "
            "confidence from 0 to 1"
        )
    sure = bool((marks != np.rint(marks)).any())
    if sure:  # confidences
        points[..., 2] = np.where(marks > 0, SEEN, ABSENT)
    lower = {name.lower(): name for name in columns}
    sides: list[tuple[int, int] | None] = [None] * many
    if {"height", "width"} <= set(lower):
        high, wide = (_numbers(columns[lower[word]], word, where) for word in ("height", "width"))
        sides = [None if h is None or w is None else (int(h), int(w)) for h, w in zip(high, wide, strict=True)]
    links = _links(columns[lower[LINKS]][0], names, where) if LINKS in lower and many else usual_links(names)
    notes = ["visibilities are confidences: every point above 0 counts as seen"] if sure else []
    return Poses(names, links, _settled(points), sides, pictures or [""] * many, notes)


def _numbers(cells: list[str], name: str, where: object) -> list[float | None]:
    found: list[float | None] = []
    for row, cell in enumerate(cells, start=1):
        value = None if is_missing(cell) else number_in(cell)
        if value is None and not is_missing(cell):
            raise DataError(
                f"{where}: row {row} has '{cell}' for {name}: write a number, or nothing where the point is not there"
            )
        found.append(value)
    return found


def _links(text: str, names: tuple[str, ...], where: object) -> Links:
    """`neck-head; neck-left_hand` as places."""
    found = []
    for part in (part.strip() for part in re.split(r"[;|]", text)):
        if not part:
            continue
        pairs = [(part[:k], part[k + 1 :]) for k, sign in enumerate(part) if sign == "-"]
        fitting = [(one, other) for one, other in pairs if one in names and other in names]
        if not fitting:
            raise DataError(
                f"{where}: '{part}' joins no two points: write links as neck-head; the points are {some(list(names), 8)}"
            )
        found.append((names.index(fitting[0][0]), names.index(fitting[0][1])))
    return tuple(found)


# Arrays


def _of_archive(path: Path) -> Poses:
    with np.load(path, allow_pickle=False) as archive:
        keys = [key for key in archive.files if archive[key].ndim == 3]
        key = "poses" if "poses" in archive.files else keys[0] if len(keys) == 1 else None
        if key is None:
            raise failure(path, f"has no array 'poses' but {some(archive.files, 6) or 'nothing'}", "save (N, points, 3) there")
        points = archive[key]
        names = tuple(str(name) for name in archive["names"]) if "names" in archive.files else ()
        joined = np.asarray(archive["links"]) if "links" in archive.files else None
        size = np.asarray(archive["size"]).ravel() if "size" in archive.files else None
    points = checked_array(points, path)
    names = names or numbered(points.shape[1])
    if len(names) != points.shape[1]:
        raise failure(path, f"has {len(names)} names for {points.shape[1]} points", "give one for each")
    links = usual_links(names) if joined is None else tuple((int(a), int(b)) for a, b in joined.reshape(-1, 2))
    if not all(0 <= place < len(names) for link in links for place in link):
        raise failure(path, f"joins points in 'links' that are not among its {len(names)}", "they count from 0")
    side = None if size is None or len(size) != 2 else (int(size[0]), int(size[1]))
    return Poses(names, links, points, [side] * len(points), [""] * len(points))


def numbered(count: int) -> tuple[str, ...]:
    """Names of points that nobody named."""
    return tuple(f"p{k + 1}" for k in range(count))


def checked_array(points: np.ndarray, where: object) -> np.ndarray:
    """(N, K, 2 or 3) numbers as (N, K, 3) float32. Raises DataError for another shape and other visibilities."""
    if points.ndim != 3 or points.shape[2] not in (2, 3) or not points.size or points.dtype.kind not in "fiu":
        raise DataError(f"{where}: holds {points.dtype} of shape {points.shape}: give numbers (N, points, 3): x, y, visibility")
    if points.shape[2] == 2:
        gone = ~np.isfinite(points).all(2, keepdims=True)
        points = np.concatenate([np.where(gone, 0, points), np.where(gone, ABSENT, SEEN)], 2)
    points = np.asarray(points, np.float64)
    points = np.where(points[..., 2:] > 0, points, 0.0)
    marks = points[..., 2]
    if not np.isin(marks, (ABSENT, HIDDEN, SEEN)).all():
        points = points.copy()
        points[..., 2] = np.where(marks > 0, SEEN, ABSENT)
    return _settled(points)


# Writing


def encoded(records: np.ndarray, spec: PoseSpec, format: str, note: str) -> bytes:
    """Poses (N, K, 3) as COCO's JSON, a table or an archive, by which they are read again as they are."""
    many = len(records)
    names = [f"sample-{number:0{max(5, len(str(many)))}d}" for number in range(1, many + 1)]
    if format == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, poses=np.asarray(records, np.float32), names=np.array(spec.names), note=np.array(note),
            links=np.array(spec.links, np.int32).reshape(-1, 2), size=np.array([spec.height, spec.width]),
        )  # fmt: skip
        return buffer.getvalue()
    if format == "csv":
        import csv

        own = Poses(spec.names, spec.links, np.asarray(records), [(spec.height, spec.width)] * many, names)
        columns = {"name": names, **columns_of(own)}
        text = io.StringIO(f"# {note}\n")
        text.seek(0, io.SEEK_END)
        csv.writer(text, lineterminator="\n").writerows([list(columns), *zip(*columns.values(), strict=True)])
        return text.getvalue().encode()
    rows = []
    for number, record in enumerate(np.asarray(records, np.float64), start=1):
        points = [value for x, y, v in record for value in (round(x, 3), round(y, 3), int(v))]
        seen = int((record[:, 2] > 0).sum())
        rows.append({"id": number, "image_id": number, "category_id": 1, "keypoints": points, "num_keypoints": seen})
    content = {
        "info": {"description": note},
        "images": [
            {"id": k, "file_name": name, "height": spec.height, "width": spec.width} for k, name in enumerate(names, start=1)
        ],
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(spec.names), "skeleton": [[a + 1, b + 1] for a, b in spec.links]}
        ],
        "annotations": rows,
    }
    return json.dumps(content).encode()
