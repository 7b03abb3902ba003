"""Poses: what each way to write them says, that they go along with their pictures, and what is refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ganvas.data.dataset import open_data
from ganvas.data.finding import claimed
from ganvas.errors import DataError, GanvasError
from ganvas.kinds.image.resize import carried, resize
from ganvas.kinds.pose.files import read_poses
from ganvas.kinds.pose.kind import KIND
from ganvas.kinds.pose.skeletons import COCO, OPENPOSE_25
from ganvas.kinds.pose.spec import PoseSpec

FIELDS = {"picture": ("image",), "pose": ("pose",)}
NAMES = ("head", "hand", "foot")
HIGH, WIDE = 40, 60
COUNT = 10


def opened(place: Path, fields: dict[str, tuple[str, ...]] | None = None, **more: Any) -> Any:
    kinds = () if fields else ("pose",)
    cache = place.parent / "cache"
    return open_data(place, fields=fields, kinds=kinds, cache=cache, progress=False, heldout=0, **more)


def places() -> np.ndarray:
    """(COUNT, 3, 3): all seen, but for a hand that is hidden in the first and not there in the second."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(12, 27, (COUNT, 3, 2)), np.full((COUNT, 3, 1), 2.0)], 2).round(2)
    points[0, 1, 2] = 1
    points[1, 1] = 0
    return points.astype(np.float32)


def marked(folder: Path, points: np.ndarray) -> None:
    """Pictures that are white where the head is."""
    folder.mkdir(parents=True)
    rows, columns = np.mgrid[:HIGH, :WIDE]
    for k, own in enumerate(points):
        x, y = own[0, :2]
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
        Image.fromarray((40 + 215 * spot).astype(np.uint8)).save(folder / f"{k:02d}.png")


def wide(path: Path, points: np.ndarray, **more: str) -> None:
    header = ["file", *more, *(f"{name}_{end}" for name in NAMES for end in "xyv")]
    lines = [[f"image/{k:02d}.png", *more.values(), *own.ravel().tolist()] for k, own in enumerate(points)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *lines])


def coco(points: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 7 + k, "file_name": f"{k:02d}.png", "height": HIGH, "width": WIDE} for k in range(len(points))],
        "categories": [{"id": 1, "keypoints": list(NAMES), "skeleton": [[1, 2], [1, 3]]}],
        "annotations": [
            {"image_id": 7 + k, "category_id": 1, "keypoints": own.ravel().tolist()} for k, own in enumerate(points)
        ],
        **more,
    }


def openpose(points: np.ndarray) -> dict[str, Any]:
    return {"people": [{"pose_keypoints_2d": np.asarray(points, float).ravel().tolist()}]}


def heads(pictures: np.ndarray) -> np.ndarray:
    """(N, 2): where pictures are brightest, as the middle of what is bright."""
    light = np.clip(pictures[..., 0].astype(float) - 60, 0, None)
    rows, columns = np.mgrid[: light.shape[1], : light.shape[2]]
    total = light.sum((1, 2))
    return np.stack([(light * columns).sum((1, 2)) / total, (light * rows).sum((1, 2)) / total], 1)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(40, 60), (30, 30), (64, 48)])
def test_poses_go_along_with_their_pictures(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    """The head of the pose stays where the picture is white. A pose left as it was would be up to 20 pixels beside it."""
    points = places()
    points[:, :, 0] += 15  # within what a square keeps
    points[1, 1] = 0
    marked(tmp_path / "data" / "image", points)
    wide(tmp_path / "data" / "metadata.csv", points)
    found = opened(tmp_path / "data", FIELDS, size=size, fit=fit)
    pose = found.fields["pose"]
    assert (pose.spec.height, pose.spec.width) == size
    apart = np.linalg.norm(heads(np.asarray(found.fields["picture"].values)) - pose.values[:, 0, :2], axis=1)
    assert apart.max() < 0.6
    assert pose.values[0, 1, 2] == 1 and not pose.values[1, 1].any()


def test_places_move_as_pixels_do() -> None:
    picture = np.zeros((30, 50, 1), np.float32)
    picture[9, 21] = 1.0
    for fit in ("crop", "pad", "stretch"):
        made = resize(picture, (45, 60), fit)[0][..., 0]
        x, y = carried(np.array([21.0, 9.0]), (30, 50), (45, 60), fit)
        row, column = np.unravel_index(made.argmax(), made.shape)
        assert abs(column - x) <= 0.6 and abs(row - y) <= 0.6


@pytest.mark.parametrize("layout", ["table", "coco", "coco outside", "openpose", "long", "npz"])
def test_every_way_to_write_them_says_the_same(tmp_path: Path, layout: str) -> None:
    points, root = places(), tmp_path / "data"
    names, pictures = NAMES, root / "image"
    if layout == "openpose":
        points = np.zeros((COUNT, 25, 3), np.float32)
        points[..., :2] = np.random.default_rng(1).uniform(5, 30, (COUNT, 25, 2)).round(2)
        points[..., 2] = 2
        points[0, 3] = 0
        names = OPENPOSE_25
    marked(pictures, points)
    if layout == "table":
        wide(root / "metadata.csv", points, group="a")
    elif layout == "coco":
        (root / "person_keypoints.json").write_text(json.dumps(coco(points)))
    elif layout == "coco outside":
        (root / "annotations").mkdir()
        (root / "annotations" / "keypoints.json").write_text(json.dumps(coco(points)))
    elif layout == "openpose":
        (root / "pose").mkdir()
        for k, own in enumerate(points):
            sure = np.where(own[:, 2:] > 0, 0.7, 0)
            text = json.dumps(openpose(np.concatenate([own[:, :2], sure], 1)))
            (root / "pose" / f"{k:02d}_keypoints.json").write_text(text)
    elif layout == "long":
        lines = [
            [f"{k:02d}.png", name, *values.tolist()]
            for k, own in enumerate(points)
            for name, values in zip(NAMES, own, strict=True)
        ]
        (root / "pose").mkdir()
        for k in range(COUNT):
            with (root / "pose" / f"{k:02d}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(
                    [["file", "point", "x", "y", "v"], *(own for own in lines if own[0] == f"{k:02d}.png")]
                )
    else:
        images = np.stack([np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())])[..., None]
        root = tmp_path / "rows.npz"
        np.savez(root, picture=images, pose=points)
        names = ("p1", "p2", "p3")
    found = opened(root, FIELDS).fields["pose"]
    assert found.spec.names == names
    assert np.allclose(found.values, points, atol=1e-3)
    assert (found.spec.height, found.spec.width) == (HIGH, WIDE)
    if layout.startswith("coco"):
        assert found.spec.links == ((0, 1), (0, 2))


@pytest.mark.parametrize("format", ["json", "csv", "npz"])
def test_written_poses_are_poses_again_with_names_links_and_size(tmp_path: Path, format: str) -> None:
    spec = PoseSpec(HIGH, WIDE, NAMES, ((0, 2), (1, 0)))
    (tmp_path / "out").mkdir()
    (path,) = KIND.write(places(), spec, tmp_path / "out", format=format, depth=None, note={"run": "r"})
    assert b"SYNTHETIC" in path.read_bytes() or format == "npz"
    found = opened(path)
    assert found.spec == spec and np.allclose(found.values, places(), atol=1e-3)


def test_a_drawing_shows_bones_where_they_are(tmp_path: Path) -> None:
    spec = PoseSpec(32, 32, NAMES, ((0, 2),))
    record = np.array([[[16, 4, 2], [28, 16, 0], [16, 27, 2]]], np.float32)
    (tmp_path / "out").mkdir()
    (path,) = KIND.write(record, spec, tmp_path / "out", format="png", depth=None, note={})
    drawn = np.asarray(Image.open(path)).astype(int)
    assert drawn[16, 16].max() > 150 and drawn[16, 28].max() < 40 and drawn[16, 5].max() < 40


def test_pictures_without_a_pose_are_left_out_by_name(tmp_path: Path) -> None:
    points, root = places(), tmp_path / "data"
    marked(root / "image", points)
    (root / "keypoints.json").write_text(json.dumps(coco(points[:8])))
    found = opened(root, FIELDS)
    assert len(found) == 8
    assert any("image/08.png stands in no row of keypoints.json" in note for note in found.notes)


def test_cut_off_points_are_not_there_any_more_and_told(tmp_path: Path) -> None:
    points = places()
    points[:, 2, 0] = 2  # a foot at the left edge, which a square leaves out
    marked(tmp_path / "data" / "image", points)
    wide(tmp_path / "data" / "metadata.csv", points)
    found = opened(tmp_path / "data", FIELDS, size=(20, 20))
    assert not found.fields["pose"].values[:, 2].any()
    assert any("10 points lie outside what was kept" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "bad.json is no JSON"),
        ("{}", "bad.json holds no poses"),
        (json.dumps({"people": []}), "shows nobody"),
        (
            json.dumps(openpose(np.ones((10, 3)))),
            r"has 30 numbers in 'pose_keypoints_2d': OpenPose writes 54 .18 points. or 75",
        ),
        (json.dumps(coco(np.ones((2, 4, 3)))), "has 12 numbers for 3 points in annotation 1"),
        (json.dumps(coco(np.ones((1, 3, 3)), categories=[])), "has 9 numbers for 0 points"),
        (json.dumps(coco(np.full((1, 3, 3), 70.0))), r"'head' \(70, 70\) lies outside its picture, which is 40x60"),
    ],
)
def test_broken_json_and_wrong_counts_are_told_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        opened(tmp_path / "bad.json")
    assert "\n" not in str(error.value) and "bad.json" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,a_x,a_y,b_x,b_y\n1,1,x,2,2\n", "row 1 has 'x' for a_y"),
        ("file,a_x,a_y,b_x,b_y\n1,1,,2,2\n", "row 1 has only one of a_x and a_y"),
        ("file,a_x,a_y,a_v,b_x,b_y\n1,1,1,7,2,2\n", "the visibility 7 of a"),
        ("file,x,y\n1,1,1\n", "has no points in its columns"),
        ("file,a_x,a_y,b_x,b_y\n1,1,1,2,2\n", "does not say how large its picture is: add columns height and width"),
        ("point,x,y\na,1,1\n", "does not say of which picture"),
        ("height,width,a_x,a_y,b_x,b_y,links\n9,9,1,1,2,2,a-c\n", "'a-c' joins no two points"),
        ("height,width,a_x,a_y,b_x,b_y\n9,9,,,,\n", "none of its points is there"),
    ],
)
def test_bad_tables_are_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        opened(tmp_path / "bad.csv")
    assert "\n" not in str(error.value) and "bad.csv" in str(error.value)


def test_other_names_another_picture_and_pieces_are_refused(tmp_path: Path) -> None:
    points, root = places(), tmp_path / "data"
    marked(root / "image", points)
    wide(root / "metadata.csv", points, height="41", width="60")
    with pytest.raises(DataError, match="row 1: tells of a picture of 41x60, and the one beside is 40x60"):
        opened(root, FIELDS)
    wide(root / "metadata.csv", points)
    with pytest.raises(GanvasError, match="poses cannot go along when pictures are cut by --fit patches"):
        opened(root, FIELDS, size=16, fit="patches")
    for name, word in (("a.json", "hand"), ("b.json", "hnad")):
        own = coco(points[:1])
        own["categories"][0]["keypoints"][1] = word
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / name).write_text(json.dumps(own))
    with pytest.raises(DataError, match="has a point 'hnad'; did you mean 'hand'|has a point 'hnad'"):
        opened(tmp_path / "two")


def test_the_largest_of_several_people_is_taken_and_told(tmp_path: Path) -> None:
    points = places()
    own = coco(points[:2])
    own["annotations"][0]["area"] = 50
    own["annotations"].append({"image_id": 7, "category_id": 1, "keypoints": points[5].ravel().tolist(), "area": 90})
    (tmp_path / "k.json").write_text(json.dumps(own))
    found = read_poses(tmp_path / "k.json")
    assert np.allclose(found.points[0], points[5]) and len(found.points) == 2
    assert found.notes == ["1 pictures show several people: the largest of each is taken"]


def test_a_pose_for_a_run_is_brought_to_its_size_and_order(tmp_path: Path) -> None:
    spec = PoseSpec(20, 30, ("foot", "hand", "head"))
    (tmp_path / "k.json").write_text(json.dumps(coco(places()[2:3])))
    (piece,) = KIND.read(tmp_path / "k.json", spec, {"fit": None})
    assert np.allclose(piece.records[0, 2, :2], (places()[2, 0, :2] + 0.5) / 2 - 0.5, atol=1e-4)
    with pytest.raises(DataError, match="has a point 'hand'"):
        next(KIND.read(tmp_path / "k.json", PoseSpec(20, 30, ("head", "foot")), {"fit": None}))


def test_coco_without_categories_is_its_person(tmp_path: Path) -> None:
    own = coco(np.full((1, 17, 3), 2.0))
    del own["categories"]
    (tmp_path / "k.json").write_text(json.dumps(own))
    found = read_poses(tmp_path / "k.json")
    assert found.names == COCO and len(found.links) > 10


def test_pairs_are_measured_in_pixels() -> None:
    spec, true = PoseSpec(HIGH, WIDE, NAMES), places()
    made = true.copy()
    made[..., 0] += 3 * (true[..., 2] > 0)
    found = KIND.paired(made, true, spec, ())
    assert np.allclose(found["point_distance"][0], 3) and KIND.paired(true, true, spec, ())["right_points"][0].min() == 1


def test_files_of_poses_are_known_by_what_they_hold(tmp_path: Path) -> None:
    spec = PoseSpec(HIGH, WIDE, NAMES, ((0, 1),))
    for format in ("json", "csv", "npz"):
        (tmp_path / format).mkdir()
        KIND.write(places(), spec, tmp_path / format, format=format, depth=None, note={})
        assert claimed(tmp_path / format) == "pose"
    (tmp_path / "t.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "labelme.json").write_text('{"shapes": []}')
    assert claimed(tmp_path / "t.csv") != "pose" and claimed(tmp_path / "labelme.json") is None
