"""The picture of the phantom `faces` in docs/data.md: six people, each at four ages, turned, lit from the side and smiling.

python docs/pictures/draw_faces.py            writes docs/pictures/faces.png
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ganvas.data.phantoms.faces import draw, people

SIDE, PEOPLE = 96, (3, 8, 10, 17, 30, 41)
STATES = (
    {"age": 8}, {"age": 30}, {"age": 55}, {"age": 80}, {"yaw": -45.0}, {"yaw": 90.0}, {"light": -65.0, "strength": 1.0},
    {"glasses": 2, "mouth": 1},
)  # fmt: skip


def main() -> None:
    who = people(np.array(PEOPLE), 0)
    columns = np.stack([draw(who, SIDE, 8, **state) for state in STATES], 1)  # (people, states, side, side, 3)
    sheet = columns.transpose(0, 2, 1, 3, 4).reshape(len(PEOPLE) * SIDE, len(STATES) * SIDE, 3)
    Image.fromarray(sheet).save(Path(__file__).with_name("faces.png"), optimize=True)


if __name__ == "__main__":
    main()
