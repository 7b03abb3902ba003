"""The parametric thorax behind the `chest` phantom: path lengths through tissue, lung, bone and air, for a batch of bodies.

Everything is in centimetres. x points to the image's right, which is the patient's left; y points down from the top of the
lungs. Every body is one row: parameters are (B, 1, 1) arrays, pixels (B, H, W) float32. Not for making images: exposure,
detector and findings belong to `chest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Array = np.ndarray
Body = dict[str, Array]


@dataclass
class Paths:
    """Centimetres of each material along every ray, and where the lung fields are.

    body: between skin and skin. lung: of it, aerated lung. bone: of it, cortical bone. air: of it, gas. blood: vessels in the
    lung. cavity: the part of the image inside the rib cage and above the diaphragm, 0 to 1. field: of it, where lung shows, 0
    to 1. heart: silhouette, 0 to 1. rim: half-width of the rib cage at each level. reach: 0 at the mediastinum, 1 at the rim.
    side: -1 in the left half of the image, 1 in the right.
    """

    body: Array
    lung: Array
    bone: Array
    air: Array
    blood: Array
    cavity: Array
    field: Array
    heart: Array
    rim: Array
    reach: Array
    side: Array


def edge(distance: Array, soft: Array) -> Array:
    """0 outside, 1 inside, linear over `soft` cm: the antialiased edge of a shape."""
    out = distance / soft
    out += 0.5
    return np.minimum(np.maximum(out, 0, out=out), 1, out=out)


def root(value: Array) -> Array:
    """Square root where positive, else 0, in place."""
    return np.sqrt(np.maximum(value, 0, out=value), out=value)


def tube(distance: Array, radius: Array | float, soft: Array, shell: float = 0.32) -> Array:
    """Centimetres of cortical bone through a long bone seen from the side: a shell around spongy bone.

    Blurred to the pixel: never thinner than `soft`.
    """
    outer = np.maximum(radius, 0.6 * soft)
    q = distance / outer
    q *= q
    bright = root(1 - q)
    inner = root(1 - q * (1 / (1 - shell) ** 2))
    bright -= (0.62 * (1 - shell)) * inner
    bright *= 2 * radius * radius / outer
    return bright


def capsule(x: Array, y: Array, x0: Array, y0: Array, dx: Array, dy: Array) -> tuple[Array, Array]:
    """Distance to the line through (x0, y0) along the unit vector (dx, dy), and the position along it."""
    u, v = x - x0, y - y0
    return np.abs(u * dy - v * dx), u * dx + v * dy


def rim_width(y: Array, b: Body) -> Array:
    """Half-width of the rib cage's inside at level y: a dome that is widest at `widest`."""
    r = 1 - y / b["widest"]
    np.minimum(np.maximum(r, 0, out=r), 1, out=r)
    r *= r
    return b["apex_x"] + (b["half"] - b["apex_x"]) * root(1 - r)


def paths(x: Array, y: Array, b: Body, soft: Array, pixel: float) -> Paths:
    """Cast every ray. x, y: (B, H, W). soft: (B, 1, 1), the width of an edge. pixel: a pixel's usual size, for the vessels."""
    a = np.abs(x)
    side = np.copysign(np.float32(1), x)
    rim = rim_width(y, b)
    q = a / rim
    q2 = q * q
    arch = root(1 - q2 * q2)  # depth of the cavity across, flat in the middle
    body = _body(x, y, a, b, soft)

    dome = b["dome"] + b["dome_tilt"] * side
    u = (a - 0.45 * b["half"]) / b["half"]
    u *= np.abs(u) + u * 0.5  # steep towards the costophrenic angle, shallow towards the heart
    floor = dome + b["dome_drop"] * np.where(u > 0, u * 1.25, u * -0.5)
    above = edge(floor - y, soft)
    inside = edge(rim - a, soft) * edge(y, soft)
    # mediastinum: what lies between the lungs
    t = np.maximum(1 - y / b["widest"], 0)
    t4 = t * t
    t4 *= t4
    inner = b["inner"] + (b["apex_x"] - 0.6 - b["inner"]) * t4 * t4 * t4 + 0.3 * np.maximum(y - b["hilum_y"], 0) * b["waist"]
    xm = x - b["shift"]
    between = edge(np.abs(xm) - inner, soft + 1.0)
    heart_path, heart = _heart(xm, y, b, soft)

    lung = arch * (b["lung_depth"] * inside)
    lung *= between * (1 - b["behind"]) + b["behind"]
    # the lung also reaches down behind the dome of the diaphragm, thinner and thinner
    recess = np.maximum(1 - np.maximum(y - floor, 0) / 5.0, 0)
    lung *= above + (1 - above) * (b["recess"] * recess)
    cavity = inside * above
    np.maximum(lung - heart_path, b["retro"] * lung, out=lung)
    field = cavity * between * (1 - heart)

    blood = _vessels(a, y, side, b, pixel)
    blood *= cavity
    hx, hy = a - b["hilum_x"], y - b["hilum_y"] + 0.5 * side
    hilum = np.exp(-(hx * hx) / 2.2 - hy * hy / 5.0)
    blood += (b["hilum"] * cavity) * hilum

    bone = _ribs(x, a, y, q, b, soft)
    bone += _spine(x - b["spine_shift"], y, b, soft)
    bone += b["girdle"] * _girdle(a, y, side, b, soft)
    bone *= edge(body - 1.0, np.float32(2.0))
    air = _airways(xm, y, b, soft)
    air += _stomach(x, y, floor, b, soft)
    reach = np.maximum(a - b["inner"], 0) / np.maximum(rim - b["inner"], 1)
    return Paths(body, lung, bone, air, blood, cavity, field, heart, rim, reach, side)


def _body(x: Array, y: Array, a: Array, b: Body, soft: Array) -> Array:
    """Skin to skin: torso, neck, shoulders, arms and breasts."""
    wall = b["wall"]
    q = a / wall
    q2 = q * q
    torso = root(1 - q2 * (0.45 + 0.55 * q2))
    torso *= b["depth"] * (b["top_depth"] + (1 - b["top_depth"]) * edge(y - 5.0, np.float32(14.0)))
    slope = b["neck_y"] + (a - b["neck"]) * b["slope"]  # the upper edge of the shoulders
    r = 1 - np.maximum(y - slope, 0) / b["round"]
    np.maximum(r, 0, out=r)
    torso *= root(1 - r * r)
    neck = a / b["neck"]
    neck *= neck
    neck = root(1 - neck) * (2 * b["neck"]) * edge(6.0 - y, np.float32(8.0))
    np.maximum(torso, neck, out=torso)
    tilt = b["arm"] + 0.03 * np.sign(x)
    d, along = capsule(a, y, b["joint_x"], b["joint_y"], tilt, np.sqrt(1 - tilt * tilt))
    along = np.minimum(along, 0)
    d = d * d + along * along
    arm = 2 * root(b["limb"] * b["limb"] - d)
    np.maximum(torso, arm, out=torso)
    bx = (a - b["breast_x"]) / b["breast_r"]
    by = (y - b["breast_y"]) / b["breast_r"]
    by = np.where(by > 0, by * 1.25, by * 0.8)
    torso += b["breast"] * root(1 - bx * bx - by * by)
    return torso


def _heart(x: Array, y: Array, b: Body, soft: Array) -> tuple[Array, Array]:
    """Centimetres of heart and great vessels, and the heart's silhouette."""
    u, v = x - b["heart_x"], y - b["heart_y"]
    c, s = b["heart_cos"], b["heart_sin"]
    p, q = (u * c + v * s) / b["heart_a"], (v * c - u * s) / b["heart_b"]
    d = 1 - p * p
    d -= q * q
    # the right atrium, lower and to the patient's right
    p, q = (x - b["atrium_x"]) / b["atrium_r"], (v - 1.2) / (1.05 * b["heart_b"])
    d = np.maximum(d, 1 - p * p - q * q)
    heart = edge(d * b["heart_b"] * 0.5, soft)
    chord = np.minimum(1.5 * root(d), 1) * b["heart_depth"]
    # superior vena cava and aorta: a band whose right edge is straight and whose left edge bulges at the aortic knob
    lean = np.maximum(y - b["knob_y"], 0) * b["lean"]
    band = edge(b["trunk"] + 0.5 * lean - np.abs(x - 0.2 - 0.5 * lean), soft + 0.4)
    band *= edge(b["heart_y"] + 1.0 - y, np.float32(3.0)) * (0.6 * b["heart_depth"])
    ku, kv = x - b["knob_x"], y - b["knob_y"]
    knob = root(b["knob_r"] * b["knob_r"] - ku * ku - kv * kv) * 2.6
    pu, pv = x - b["knob_x"] + 0.3, (y - b["knob_y"] - 3.6) * 0.6
    trunk = root(b["knob_r"] * b["knob_r"] - pu * pu - pv * pv) * 2.2
    np.maximum(chord, band, out=chord)
    np.maximum(chord, knob, out=chord)
    np.maximum(chord, trunk, out=chord)
    return chord, heart


def _ribs(x: Array, a: Array, y: Array, q: Array, b: Body, soft: Array) -> Array:
    """Twelve pairs as one periodic coordinate: the back part runs out and down, the front part from the side in and down."""
    q2 = np.minimum(q * q, 1.2)
    back = b["rib_fall"] * q2 + b["rib_turn"] * q2 * q2 * q2
    shifted = y - b["rib_y"] - b["rib_lean"] * np.copysign(q, x)
    s = (shifted - back) / b["rib_step"]
    level = np.floor(s)
    inside = edge(1.02 - q, 0.06)
    # longer paths where the rib turns forward at the side of the chest
    turn = 1 + 1.1 * q2 * q2 * q2
    turn *= inside
    d = (s - level - 0.5) * b["rib_step"] * b["rib_cos"]
    exists = ((level >= 0) & (level < 12)).astype(np.float32)
    bone = tube(d, b["rib_r"], soft) * turn * exists
    bone *= edge(a - 1.8, np.float32(0.8))
    front = b["rib_fall"] + b["rib_turn"] + b["rib_slope"] * b["half"] * (1 - q) * (0.55 + 0.45 * q)
    s = (shifted - front) / b["rib_step"]
    level = np.floor(s)
    d = (s - level - 0.5) * b["rib_step"] * b["rib_front_cos"]
    exists = ((level >= -1) & (level < 8)).astype(np.float32)
    exists *= edge(a - b["cartilage"] - 0.35 * level, np.float32(1.5))
    bone += tube(d, b["rib_r"] * 1.05, soft) * exists * (inside * b["front"])
    return bone


def _spine(x: Array, y: Array, b: Body, soft: Array) -> Array:
    """Vertebral bodies with end plates, disks between them, pedicles and spinous processes."""
    a = np.abs(x)
    step = b["vertebra"] * (0.78 + 0.012 * np.maximum(y + 6, 0))
    s = (y - b["rib_y"]) / step
    d = (s - np.floor(s) - 0.5) * 2  # -1 to 1 from plate to plate
    ad = np.abs(d)
    wide = b["spine"] * (0.88 + 0.16 * d * d)
    disk = edge(0.8 - ad, soft / step * 2)
    column = edge(wide - a, soft + 0.15) * (0.30 * disk + 0.18)
    column += edge(wide - a, soft) * edge(0.11 - np.abs(ad - 0.78), soft / step * 2) * 0.15
    pu, pv = (a - 0.62 * b["spine"]) / 0.42, (d + 0.2) * 2.1
    column += 0.55 * np.maximum(1 - pu * pu - pv * pv, 0)
    sv = (d - 0.45) * 1.9
    column += 0.45 * np.maximum(1 - (a / 0.45) ** 2 - sv * sv, 0)
    return column * b["spine_bone"]


def _girdle(a: Array, y: Array, side: Array, b: Body, soft: Array) -> Array:
    """Clavicles, shoulder blades and upper arms."""
    t = (a - b["clav_x"]) / b["clav_long"]
    line = b["clav_y"] - b["clav_rise"] * t + b["clav_bend"] * t * (1 - t) * (1 - 2 * t) + 0.35 * b["roll"] * side
    d = (y - line) * b["clav_cos"]
    bone = tube(d, b["clav_r"] * (1.15 - 0.3 * t * (1 - t) * 4 * 0.8), soft, 0.3) * (
        edge(t, np.float32(0.06)) * edge(1 - t, np.float32(0.06))
    )
    bone *= 1.25
    # shoulder blade: a thin triangle with thick borders, hanging from the joint
    jx, jy = b["joint_x"], b["joint_y"]
    u, v = a - jx, y - jy
    inner = u + b["blade"] - 0.10 * v
    outer = -(u * 0.94 + v * b["blade_lean"]) - 0.6
    top = v * 0.97 - u * 0.12 + 1.2
    near = np.minimum(np.minimum(inner, outer), top)
    plate = edge(near, soft + 0.1)
    bone += plate * (0.10 + 0.30 * np.exp(-near * near * 2.2))
    spine_d, along = capsule(a, y, jx - b["blade"], jy + 1.0, np.float32(0.94), np.float32(-0.34))
    bone += 0.5 * tube(spine_d, np.float32(0.55), soft) * (edge(along, soft) * edge(b["blade"] + 1 - along, soft))
    # head of the humerus, then its shaft
    hu, hv = u - 0.9, v + 0.2
    ball = b["head"] * b["head"] - hu * hu - hv * hv
    bone += 0.16 * root(ball)
    tilt = b["arm"]
    d, along = capsule(a, y, jx + 1.4, jy, tilt, np.sqrt(1 - tilt * tilt))
    bone += tube(d, 0.52 * b["head"], soft, 0.36) * edge(along - 0.8, np.float32(1.5))
    return bone


def _airways(x: Array, y: Array, b: Body, soft: Array) -> Array:
    """Windpipe down to the carina and the two main bronchi."""
    w = x / b["trachea"]
    air = root(1 - w * w) * (1.8 * b["trachea"]) * edge(b["carina"] - y, np.float32(0.8))
    for direction, steep in ((-1.0, 0.80), (1.0, 0.62)):
        d, along = capsule(
            x, y, 0 * b["carina"], b["carina"] - 0.4, np.float32(direction * np.sqrt(1 - steep**2)), np.float32(steep)
        )
        air += root(0.42 - d * d) * (edge(along, np.float32(0.6)) * edge(4.0 - along, np.float32(2.0)))
    return air * b["airway"]


def _stomach(x: Array, y: Array, floor: Array, b: Body, soft: Array) -> Array:
    """Gas under the left dome of the diaphragm, flat below when it stands on fluid."""
    u, v = (x - b["gas_x"]) / b["gas_w"], (y - floor - b["gas_y"]) / b["gas_h"]
    return root(1 - u * u - v * v) * (b["gas"] * edge(y - floor - 0.5, soft))


# The vessels of the lungs: trees drawn once, then sampled

_BOX_X, _BOX_Y, _ABOVE, _PIXEL, _TREES = 14.0, 27.0, 11.5, 0.1, 24
_BLURS = 7  # of the bank, 0 to 6 pixels


@lru_cache(maxsize=_BLURS)
def vessel_bank(blur: int) -> Array:
    """(24, 270, 140) float32: centimetres of blood in trees growing from a hilum, blurred by `blur` pixels of 0.1 cm.

    Branching after Weibel 1963 ("Morphometry of the Human Lung"): children have 0.8 times the width and about 0.85 times the
    length of their parent, and part at 25 to 45 degrees.
    """
    bank = _grown_bank()
    if blur > 0:
        for axis in (1, 2):
            kernel = blur_matrix(bank.shape[axis], float(blur))
            bank = np.moveaxis(np.moveaxis(bank, axis, -1) @ kernel.T, -1, axis)
    return np.ascontiguousarray(bank)


@lru_cache(maxsize=1)
def _grown_bank() -> Array:
    """The trees as they are, for every blur: growing them takes seconds. Not to be written to."""
    bank = np.zeros((_TREES, round(_BOX_Y / _PIXEL), round(_BOX_X / _PIXEL)), np.float32)
    for index in range(_TREES):
        rng = np.random.default_rng([2718, index])
        for _ in range(11):
            angle = rng.uniform(-1.35, 1.5)
            start = (rng.uniform(-0.2, 0.8), _ABOVE + rng.uniform(-1.6, 1.8))
            _grow(bank[index], rng, start, angle, rng.uniform(0.28, 0.55), rng.uniform(2.2, 4.0))
    bank.flags.writeable = False
    return bank


def _grow(
    image: Array, rng: np.random.Generator, start: tuple[float, float], angle: float, radius: float, length: float
) -> None:
    while radius > 0.045:
        x0, y0 = start
        cosine, sine = np.cos(angle), np.sin(angle)
        x1, y1 = x0 + length * cosine, y0 + length * sine
        left, right = sorted((x0, x1))
        top, bottom = sorted((y0, y1))
        cols = slice(max(int((left - radius) / _PIXEL) - 1, 0), max(int((right + radius) / _PIXEL) + 2, 0))
        rows = slice(max(int((top - radius) / _PIXEL) - 1, 0), max(int((bottom + radius) / _PIXEL) + 2, 0))
        part = image[rows, cols]
        if part.size:
            px = (np.arange(part.shape[1]) + cols.start + 0.5) * _PIXEL
            py = ((np.arange(part.shape[0]) + rows.start + 0.5) * _PIXEL)[:, None]
            px -= x0
            py -= y0
            along = px * cosine + py * sine
            along /= length
            np.minimum(np.maximum(along, 0, out=along), 1, out=along)
            d2 = (px - along * (x1 - x0)) ** 2
            d2 += (py - along * (y1 - y0)) ** 2
            np.subtract(radius * radius, d2, out=d2)
            depth = np.sqrt(np.maximum(d2, 0, out=d2), out=d2)
            depth *= 2
            np.maximum(part, depth, out=part)
        turn = rng.uniform(0.43, 0.78) * (-1, 1)[rng.integers(0, 2)]
        _grow(image, rng, (x1, y1), angle + turn, radius * rng.uniform(0.55, 0.72), length * 0.8)
        start, angle, radius, length = (x1, y1), angle - 0.35 * turn, radius * 0.8, length * rng.uniform(0.75, 0.95)


def _vessels(a: Array, y: Array, side: Array, b: Body, pixel: float) -> Array:
    """Centimetres of blood, from two trees of the bank a body, stretched to its size."""
    bank = vessel_bank(int(np.clip(round(pixel / _PIXEL * 0.4), 0, 6)))
    _, rows, cols = bank.shape
    u = (a - b["hilum_x"] + 1.2) * (b["vessel_scale"] / _PIXEL)
    v = (y - b["hilum_y"] + 0.5 * side) * (b["vessel_scale"] / _PIXEL) + _ABOVE / _PIXEL
    np.minimum(np.maximum(u, 0, out=u), cols - 2, out=u)
    np.minimum(np.maximum(v, 0, out=v), rows - 2, out=v)
    tree = np.where(side > 0, b["tree_left"], b["tree_right"]).astype(np.int32)
    i, j = v.astype(np.int32), u.astype(np.int32)
    flat = bank.reshape(-1)
    place = (tree * rows + i) * cols + j
    if pixel > 0.15:
        return flat[place] * b["vessels"]
    v -= i
    u -= j
    upper = flat[place] * (1 - u) + flat[place + 1] * u
    lower = flat[place + cols] * (1 - u) + flat[place + cols + 1] * u
    return (upper * (1 - v) + lower * v) * b["vessels"]


@lru_cache(maxsize=16)
def blur_matrix(size: int, sigma: float) -> Array:
    """(size, size) float32: a Gaussian blur of `sigma` pixels as a matrix, rows summing to 1, edges weighted by what exists."""
    at = np.arange(size, dtype=np.float32)
    weights = np.exp(-((at[:, None] - at) ** 2) / (2 * max(sigma, 1e-3) ** 2))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
