"""Usual skeletons: the names of their points, and which of them bones join. Not for reading files (`files`).

COCO's 17 points are those of its person keypoints; OpenPose's are its models COCO (18) and BODY_25, by the order of their
output."""

from __future__ import annotations

Links = tuple[tuple[int, int], ...]

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
OPENPOSE_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
    "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
OPENPOSE_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "middle_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear",
    "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
OF_OPENPOSE = {len(names): names for names in (OPENPOSE_18, OPENPOSE_25)}

BONES = (
    ("nose", "neck"), ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
    ("head", "neck"), ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("left_shoulder", "left_elbow"),
    ("right_shoulder", "right_elbow"), ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("right_hip", "right_knee"), ("left_knee", "left_ankle"), ("right_knee", "right_ankle"),
    ("left_ankle", "left_heel"), ("right_ankle", "right_heel"), ("left_ankle", "left_big_toe"),
    ("right_ankle", "right_big_toe"), ("left_big_toe", "left_small_toe"), ("right_big_toe", "right_small_toe"),
)  # fmt: skip
TRUNK = (("neck", "middle_hip"), ("middle_hip", "left_hip"), ("middle_hip", "right_hip"))
SHOULDERS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
             ("right_shoulder", "right_hip"))  # fmt: skip


def usual_links(names: tuple[str, ...]) -> Links:
    """The bones of a body whose points have usual names; none between points that are called otherwise."""
    place = {name: k for k, name in enumerate(names)}
    bones: tuple[tuple[str, str], ...]
    if "middle_hip" in place:
        bones = (*BONES, *TRUNK)
    elif "neck" in place:
        bones = (*BONES, ("neck", "left_hip"), ("neck", "right_hip"))
    else:
        bones = (*BONES, *SHOULDERS)
    return tuple((place[one], place[other]) for one, other in bones if one in place and other in place)
