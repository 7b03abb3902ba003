"""Drawing heads from named parameters: ellipsoids under a light, with features painted on the surface that is hit.

A ray for each pixel meets cranium, jaw, nose, ears and hair, all turned by yaw and pitch; eyes, brows, mouth, folds and glasses
lie in the head's own frame, so that they turn with it. No ray is traced twice: edges are softened by how far the ray misses.

Lengths are in units of about the height of a face. In the head's frame x points to the right of the picture, y up, z to the
viewer at yaw 0. Not for choosing who is drawn and how: `faces`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray
Colour = tuple[Array, Array, Array]

TRAITS = (
    "skin", "flush", "hair_dark", "hair_red", "eye_colour", "style", "part", "hairline", "face_width", "face_length", "jaw",
    "eye_gap", "eye_size", "eye_tilt", "brow_height", "brow_thick", "brow_arch", "nose_length", "nose_width", "mouth_width",
    "lips", "mouth_height", "ears", "greying", "balding",
)  # fmt: skip
"""Who somebody is: each a number from 0 to 1, whatever the age."""
STYLES = ("short", "long", "curly", "cropped")
GLASSES = ("none", "round", "square")
MOUTHS = ("neutral", "smile", "open")
OLDEST = 85.0  # years
FURROW = 0.10  # from one line of a forehead to the next
EXTENT = 0.82  # from the middle of a picture to its nearer edges
_CHUNK_PIXELS = 32768  # pixels worked on at once: the arrays of them stay in the processor's cache


def render(
    traits: Array, *, age: Array, yaw: Array, pitch: Array, light: Array, strength: Array, glasses: Array, mouth: Array,
    backdrop: Array, shirt: Array, size: tuple[int, int], depth: int = 8,
) -> Array:  # fmt: skip
    """Heads as (N, height, width, 3) uint8, or uint16 at a depth of 16 bits. All arrays have one entry a picture.

    traits: (N, len(TRAITS)) from 0 to 1. age: years, 4 to 85. yaw: degrees that the face is turned to the right of the
    picture, -90 to 90. pitch: degrees upwards, -30 to 30. light: degrees from which it comes, -80 (left) to 80. strength: its
    share of the light, 0 to 1, where the rest comes from everywhere. glasses, mouth: indices into GLASSES and MOUTHS. backdrop,
    shirt: (N, 3) colours from 0 to 1.
    """
    given = {
        "age": age, "yaw": yaw, "pitch": pitch, "light": light, "strength": strength, "glasses": glasses, "mouth": mouth,
        "backdrop": backdrop, "shirt": shirt,
    }  # fmt: skip
    height, width = size
    full = 2**depth - 1
    pictures = np.empty((len(traits), height, width, 3), np.uint8 if depth == 8 else np.uint16)
    step = max(1, _CHUNK_PIXELS // (height * width))
    for start in range(0, len(traits), step):
        rows = slice(start, start + step)
        chunk = {name: np.asarray(own[rows], np.float32) for name, own in given.items()}
        own = np.asarray(traits[rows], np.float32)
        person = {name: own[:, place, None] for place, name in enumerate(TRAITS)}
        pictures[rows] = np.clip(_draw(person, chunk, height, width), 0, 1) * full + 0.5
    return pictures


def places(traits: Array, age: Array, yaw: Array, pitch: Array, size: tuple[int, int]) -> Array:
    """Where eyes, tip of the nose and corners of the mouth are in pictures of `size`, those to the left first: (N, 5, 2), x and
    y from 0 (left, top) to 1. traits: (N, len(TRAITS)); the others (N,), as of `render`."""
    own, many = np.asarray(traits, np.float32), len(traits)
    p = _grown({name: own[:, place, None] for place, name in enumerate(TRAITS)}, np.asarray(age, np.float32)[:, None])
    eye, corner, middle = p["eye_x"], 0.9 * p["mouth_w"], np.zeros((many, 1), np.float32)
    low = p["nose_y"] - 0.4 * p["nose_l"]
    x = np.concatenate([-eye, eye, middle, -corner, corner], 1)
    y = np.concatenate([p["eye_y"], p["eye_y"], low, p["mouth_y"], p["mouth_y"]], 1)

    def front(centre: tuple[Any, ...], axes: tuple[Any, ...]) -> Array:
        inside = 1 - (x / axes[0]) ** 2 - ((y - centre[1]) / axes[1]) ** 2
        found: Array = np.where(inside > 0, centre[2] + axes[2] * np.sqrt(np.maximum(inside, 0)), -9)
        return found

    z = np.maximum(front(*_skull(p)), front(*_jaw(p)))
    z[:, 2] = (0.42 + 0.08 * p["length"] + 0.10 + 0.35 * p["nose_w"] + 0.42 * 0.4 * p["nose_l"])[:, 0]
    turn, nod = np.deg2rad(yaw)[:, None], np.deg2rad(pitch)[:, None]
    forward = z * np.cos(nod) - y * np.sin(nod)
    v, u = y * np.cos(nod) + z * np.sin(nod) + 0.06, x * np.cos(turn) + forward * np.sin(turn)
    height, width = size
    half = min(height, width) / 2 / EXTENT
    return np.stack([0.5 + u * half / width, 0.5 - v * half / height], -1)


def _ramp(value: Array, low: float, high: float) -> Array:
    """0 below low, 1 above high, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    done: Array = t * t * (3 - 2 * t)
    return done


def _between(low: float, high: float, share: Array) -> Array:
    done: Array = low + (high - low) * share
    return done


def _mixed(stops: tuple[tuple[float, tuple[float, float, float]], ...], at: Array) -> Colour:
    """A colour between stops (place, colour)."""
    places = [place for place, _ in stops]
    red, green, blue = (np.interp(at, places, [own[k] for _, own in stops]).astype(np.float32) for k in range(3))
    return red, green, blue


def style_of(share: Array) -> Array:
    """The index into STYLES of the trait `style`."""
    return np.minimum((np.asarray(share) * len(STYLES)).astype(np.int64), len(STYLES) - 1)


class _Rays:
    """Rays of all pixels in the frame of each head, and what they meet."""

    def __init__(self, scene: Mapping[str, Array], height: int, width: int) -> None:
        half = min(height, width) / 2 / EXTENT
        self.pixel = np.float32(1 / half)
        u = ((np.arange(width) + 0.5 - width / 2) / half).astype(np.float32)
        v = ((height / 2 - np.arange(height) - 0.5) / half).astype(np.float32)
        self.u, self.v = np.tile(u, height)[None], np.repeat(v, width)[None]
        yaw, pitch = np.deg2rad(scene["yaw"])[:, None], np.deg2rad(scene["pitch"])[:, None]
        self.sin, self.cos, self.down, self.level = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
        self.origin = self.turned(self.u, self.v - 0.06, np.float32(0))
        self.way = self.turned(np.float32(0), np.float32(0), np.float32(1))

    def turned(self, u: Array, v: Array, w: Array) -> Colour:
        """From the picture's frame to the head's."""
        forward = u * self.sin + w * self.cos
        return u * self.cos - w * self.sin, v * self.level - forward * self.down, v * self.down + forward * self.level

    def at(self, t: Array) -> Colour:
        (x, y, z), (dx, dy, dz) = self.origin, self.way
        return x + t * dx, y + t * dy, z + t * dz

    def meet(self, centre: tuple[Array, ...], axes: tuple[Array, ...], shear: float = 0.0) -> tuple[Array, Array, Colour]:
        """(distance inside the outline, along the ray where it is met, normal) of an ellipsoid. shear: how much further in
        front it is for each unit further down."""
        (x, y, z), (dx, dy, dz) = self.origin, self.way
        a, b, c = (1 / np.asarray(axis, np.float32) for axis in axes)
        below = y - centre[1]
        qx, qy, qz = (x - centre[0]) * a, below * b, (z - centre[2] + shear * below) * c
        ex, ey, ez = dx * a, dy * b, (dz + shear * dy) * c
        square = ex * ex + ey * ey + ez * ez
        along = qx * ex + qy * ey + qz * ez
        inside = along * along / square - (qx * qx + qy * qy + qz * qz - 1)
        t = (np.sqrt(np.maximum(inside, 0) / square)) - along / square
        nx, ny, nz = (qx + t * ex) * a, (qy + t * ey) * b, (qz + t * ez) * c
        if shear:
            ny = ny + shear * nz
        scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-6)
        outline = inside * (0.5 * np.minimum(np.minimum(*np.broadcast_arrays(axes[0], axes[1])), axes[2]))
        return outline, t, (nx * scale, ny * scale, nz * scale)

    def fine(self, wave: float) -> float:
        """How much of a texture is drawn: nothing of what repeats within 2.5 pixels, which they could not show."""
        return float(np.clip((wave / self.pixel - 2.5) / 2.5, 0, 1))

    def edge(self, inside: Array) -> Array:
        """How much of a pixel is covered, by the distance to the outline, positive inside."""
        done: Array = np.clip(inside / self.pixel + 0.5, 0, 1)
        return done


def _paint(pixels: list[Array], colour: Colour | tuple[float, float, float], mask: Array) -> None:
    for own, value in zip(pixels, colour, strict=True):
        own += mask * (value - own)


def _darken(pixels: list[Array], amount: Array) -> None:
    for own, share in zip(pixels, (0.85, 1.0, 1.0), strict=True):  # shade in skin stays reddish
        own *= 1 - share * amount


def _grown(person: Mapping[str, Array], age: Array) -> dict[str, Array]:
    """Lengths and states of a person at an age. Children have rounder heads with large eyes set low and small noses; the old
    have longer noses and ears, thinner lips, heavier lids and jaws."""
    young, old = 1 - _ramp(age, 4, 20), np.clip((age - 24) / (OLDEST - 24), 0, 1)
    p: dict[str, Array] = {"young": young, "old": old}
    p["wide"] = _between(0.40, 0.49, person["face_width"]) * (1 + 0.04 * young)
    p["length"] = _between(0.33, 0.42, person["face_length"]) * (1 - 0.14 * young + 0.03 * old)
    p["jaw"] = p["wide"] * (_between(0.62, 0.86, person["jaw"]) + 0.06 * old + 0.04 * young)
    p["eye_x"] = _between(0.155, 0.205, person["eye_gap"]) * (1 + 0.05 * young)
    p["eye_y"] = 0.05 - 0.07 * young
    p["eye_w"] = _between(0.068, 0.100, person["eye_size"]) * (1 + 0.18 * young)
    p["eye_h"] = p["eye_w"] * (0.56 + 0.12 * young - 0.16 * old)
    p["tilt"] = _between(-0.16, 0.22, person["eye_tilt"]) - 0.12 * old
    p["brow_y"] = p["eye_y"] + p["eye_h"] + _between(0.05, 0.105, person["brow_height"]) - 0.015 * old
    p["brow"] = _between(0.009, 0.028, person["brow_thick"]) * (1 - 0.35 * young)
    p["arch"] = _between(-0.01, 0.045, person["brow_arch"])
    p["nose_l"] = _between(0.12, 0.19, person["nose_length"]) * (1 - 0.3 * young + 0.08 * old)
    p["nose_w"] = _between(0.055, 0.105, person["nose_width"]) * (1 - 0.1 * young + 0.12 * old)
    p["nose_y"] = p["eye_y"] - 0.05 - 0.5 * p["nose_l"]
    p["nose_end"] = p["nose_y"] - p["nose_l"] * 0.85
    p["mouth_y"] = p["nose_end"] - _between(0.065, 0.115, person["mouth_height"]) * (1 - 0.25 * young)
    p["mouth_w"] = _between(0.10, 0.185, person["mouth_width"]) * (1 - 0.12 * young)
    p["lip"] = _between(0.014, 0.040, person["lips"]) * (1 - 0.4 * old)
    p["ear"] = _between(0.8, 1.25, person["ears"]) * (1 + 0.15 * old)
    style = style_of(person["style"])
    for place, name in enumerate(STYLES):
        p[name] = (style == place).astype(np.float32)
    p["bald"] = _ramp(person["balding"], 0.6, 0.85) * _ramp(age, 28, 65) * (1 - p["long"])
    p["grey"] = np.clip((age - _between(34, 56, person["greying"])) / 20, 0, 1)
    return p


def _colours(person: Mapping[str, Array], p: Mapping[str, Array]) -> dict[str, Colour]:
    skin = _mixed(((0, (0.97, 0.83, 0.74)), (0.5, (0.80, 0.60, 0.46)), (1, (0.40, 0.26, 0.19))), person["skin"])
    flush, dull = 0.06 * (person["flush"] - 0.4), 0.12 * p["old"]
    grey = 0.4 * skin[0] + 0.4 * skin[1] + 0.2 * skin[2]
    skin = _each(lambda own, add: own + dull * (grey - own) + flush * add, skin, (1.0, -0.7, -0.5))
    dark = np.clip(0.35 * person["skin"] + person["hair_dark"], 0, 1)
    hair = _mixed(
        ((0, (0.88, 0.74, 0.46)), (0.35, (0.62, 0.43, 0.24)), (0.7, (0.30, 0.19, 0.12)), (1, (0.09, 0.08, 0.08))), dark
    )
    ginger = _ramp(person["hair_red"], 0.72, 0.9) * (1 - dark)
    hair = _each(lambda own, value: own + ginger * (value - own), hair, (0.72, 0.32, 0.12))
    hair = _each(lambda own, value: own + p["grey"] * (value - own), hair, (0.84, 0.84, 0.86))
    eye = _mixed(
        ((0, (0.20, 0.11, 0.07)), (0.5, (0.36, 0.24, 0.12)), (0.75, (0.30, 0.45, 0.28)), (1, (0.33, 0.52, 0.72))),
        person["eye_colour"] * (1 - 0.6 * person["skin"]),
    )
    lips = _each(lambda own, share: own * share, skin, (0.88, 0.60, 0.62))
    return {"skin": skin, "hair": hair, "brow": _each(lambda own, _: 0.62 * own + 0.08, hair, hair), "eye": eye, "lips": lips}


def _each(make: Callable[..., Array], *colours: Any) -> Colour:
    red, green, blue = (make(*own) for own in zip(*colours, strict=True))
    return red, green, blue


def _shaded(colour: Any, light: Any) -> Colour:
    return _each(lambda own: own * light, colour)


def _draw(person: Mapping[str, Array], scene: Mapping[str, Array], height: int, width: int) -> Array:
    """A chunk of pictures (B, height, width, 3), about 0 to 1, from the back to the front."""
    p, rays = _grown(person, scene["age"][:, None]), _Rays(scene, height, width)
    colours, u, v, edge = _colours(person, p), rays.u, rays.v, rays.edge
    strength, side = scene["strength"][:, None], np.deg2rad(scene["light"])[:, None]
    beam = rays.turned(np.sin(side) * 0.85, np.full_like(side, 0.5), np.cos(side) * 0.85)

    def lit(normal: Colour) -> Array:
        """How light a surface is: a share from one side, the rest from everywhere and a little more from above."""
        facing = normal[0] * beam[0] + normal[1] * beam[1] + normal[2] * beam[2]
        bright: Array = (0.72 - 0.34 * strength) + 0.10 * normal[1] + (0.30 + 0.46 * strength) * np.maximum(facing, 0)
        return bright

    pixels = [np.repeat(scene["backdrop"][:, k, None], u.shape[1], 1) * (0.84 + 0.14 * v) for k in range(3)]
    aside, lean = np.abs(u), np.sin(side)
    if p["long"].any():  # hair behind the neck
        inside, _, normal = rays.meet((0, -0.24, -0.20), (p["wide"] * 1.22, np.float32(0.62), np.float32(0.42)))
        _paint(pixels, _shaded(colours["hair"], lit(normal) * 0.72), edge(inside) * p["long"])
    throat = p["wide"] * (0.54 - 0.10 * p["young"])
    shade = 0.60 + 0.20 * np.clip(u * lean / throat, -1, 1) + 0.22 * np.clip(-(v + 0.55) * 3, 0, 1)
    _paint(pixels, _shaded(colours["skin"], shade), edge(throat - aside) * (v < 0))
    slope = (aside / (0.88 - 0.22 * p["young"])) ** 2
    collar = 0.10 * np.maximum(1 - (aside / (throat * 1.15)) ** 2, 0)
    fold = 0.84 + 0.20 * np.clip(u * lean, -0.5, 0.5) - 0.12 * slope
    _paint(pixels, _shaded([scene["shirt"][:, k, None] for k in range(3)], fold), edge(-0.64 - 0.28 * slope - collar - v))
    _head(pixels, rays, p, scene, colours, lit, person)
    return np.stack(pixels, -1).reshape(-1, height, width, 3)


def _skull(p: Mapping[str, Array]) -> Any:
    """(centre, axes) of the ellipsoid."""
    return (0, 0.11, -0.04), (p["wide"], 0.50 - 0.03 * p["young"], np.float32(0.52))


def _jaw(p: Mapping[str, Array]) -> Any:
    return (0, -0.16 - 0.25 * (p["length"] - 0.36), np.float32(0.10)), (p["jaw"], p["length"] * 1.12, np.float32(0.39))


def _head(
    pixels: list[Array], rays: _Rays, p: Mapping[str, Array], scene: Mapping[str, Array], colours: Mapping[str, Colour],
    lit: Callable[[Colour], Array], person: Mapping[str, Array],
) -> None:  # fmt: skip
    edge, wide, one = rays.edge, p["wide"], np.float32(1)
    skull = _skull(p)
    inside, t, normal = rays.meet(*skull)
    jaw_inside, jaw_t, jaw_normal = rays.meet(*_jaw(p))
    front = np.clip(0.5 + (np.where(jaw_inside > 0, jaw_t, -9) - np.where(inside > 0, t, -9)) / 0.16, 0, 1)
    normal = _each(lambda a, b: a + front * (b - a), normal, jaw_normal)
    t = t + front * (jaw_t - t)
    head = np.maximum(edge(inside), edge(jaw_inside))
    near = rays.at(t)[2]

    def over(own: Array, softness: float = 0.03) -> Array:
        """Where something met at `own` lies before the head, or beside it."""
        done: Array = np.clip(0.5 + (own - np.where(head > 0.5, t, -9)) / softness, 0, 1)
        return done

    for way in (-1, 1):
        centre = (way * wide * 0.99, 0.02 * one, -0.08 * one)
        ear, ear_t, own = rays.meet(centre, (0.05 * one, 0.115 * p["ear"], 0.075 * p["ear"]))
        light = lit(own) * (0.86 + 0.14 * np.clip(rays.at(ear_t)[0] * way * 8 - 3.2, 0, 1))
        _paint(pixels, _shaded(colours["skin"], light), edge(ear) * over(ear_t) * (1 - p["long"]))
    face = [np.broadcast_to(own, t.shape).copy() for own in colours["skin"]]
    _features(face, rays, rays.at(t), p, scene, colours, person)
    rear = 0.42 + 0.08 * p["length"]
    tip = (0 * one, p["nose_y"], rear + 0 * p["nose_y"])
    nose, nose_t, own = rays.meet(tip, (p["nose_w"], p["nose_l"], 0.10 + 0.35 * p["nose_w"]), 0.42)
    proud = edge(nose) * over(nose_t, 0.05)
    normal = _each(lambda a, b: a + proud * (b - a), normal, own)
    below = proud * np.clip((p["nose_y"] - p["nose_l"] * 0.35 - rays.at(nose_t)[1]) / (p["nose_l"] * 0.5), 0, 1)
    _paint(face, _shaded(colours["skin"], 1 - 0.14 * below), proud)
    light = lit(normal)
    for k, own_colour in enumerate(face):
        mask = np.maximum(head, proud)
        pixels[k] += mask * (own_colour * light - pixels[k])
    _hair(pixels, rays, p, colours, lit, over, person, skull)
    _glasses(pixels, rays, p, scene, rays.at(t), t, head * (near > -0.1))


def _features(
    face: list[Array], rays: _Rays, at: Colour, p: Mapping[str, Array], scene: Mapping[str, Array],
    colours: Mapping[str, Colour], person: Mapping[str, Array],
) -> None:  # fmt: skip
    """Eyes, brows, mouth and what the years leave, in the colours of the face before light falls on it."""
    edge, (x, y, z) = rays.edge, at
    aside, front = np.abs(x), np.clip(z * 8 - 0.5, 0, 1)
    old, eye_w, eye_h = p["old"], p["eye_w"], p["eye_h"]
    across = aside - p["eye_x"]
    up = y - p["eye_y"] - p["tilt"] * across
    # Cheeks, hollows of the eyes, bags under them.
    warm = np.clip(1 - ((aside - 0.24) / 0.15) ** 2 - ((y + 0.14) / 0.13) ** 2, 0, 1) * (0.10 + 0.10 * person["flush"])
    _paint(face, colours["lips"], warm * front)
    socket = np.clip(1 - (across / (eye_w * 1.9)) ** 2 - ((up - 0.01) / (eye_h * 2.6)) ** 2, 0, 1)
    _darken(face, (0.22 + 0.16 * old) * socket * front)
    bag = np.clip(1 - ((up + eye_h * 1.75) / (eye_h * 0.55)) ** 2, 0, 1) * np.clip(1 - (across / (eye_w * 1.2)) ** 2, 0, 1)
    _darken(face, 0.34 * old * bag * front)
    _folds(face, rays, x, y, across, up, p, front)
    # Eyes: lashes, white, iris and pupil; the lid comes down with the years.
    out = np.sqrt((across / eye_w) ** 2 + (up / eye_h) ** 2)
    white = edge((1 - out) * eye_h) * front
    lash = edge((1.12 - np.sqrt((across / eye_w) ** 2 + ((up - 0.012) / eye_h) ** 2)) * eye_h) * front
    _paint(face, (0.17, 0.11, 0.09), 0.8 * lash * (up > -0.5 * eye_h))
    _paint(face, (0.95, 0.94, 0.92), white)
    iris = np.sqrt(across**2 + up**2)
    _paint(face, colours["eye"], edge(0.64 * eye_w - iris) * white)
    _paint(face, (0.05, 0.04, 0.04), edge(0.30 * eye_w - iris) * white)
    # Brows.
    span = across / (eye_w * 1.45)
    height = y - p["brow_y"] - p["arch"] * (1 - (span - 0.25) ** 2)
    thick = p["brow"] * np.clip(1.15 - 0.45 * (span + 0.4), 0.4, 1.15)
    brow = edge(thick - np.abs(height)) * edge((1 - np.abs(span)) * eye_w)
    _paint(face, colours["brow"], (0.92 - 0.25 * p["young"]) * brow * front)
    _mouth(face, x, y, p, scene["mouth"][:, None], colours, edge, front)


def _folds(
    face: list[Array], rays: _Rays, x: Array, y: Array, across: Array, up: Array, p: Mapping[str, Array], front: Array
) -> None:
    """Lines of the forehead, folds from nose to mouth, lines beside the eyes, and looser skin at the jaw."""
    old, aside = p["old"], np.abs(x)
    rows = np.clip(np.cos((y - 0.02 * np.cos(9 * x)) * (2 * np.pi / FURROW)) * 2.2 - 1.2, 0, 1)
    rows = 0.2 + rays.fine(FURROW) * (rows - 0.2)
    forehead = rows * np.clip((0.30 - aside) * 8, 0, 1) * np.clip((y - p["brow_y"] - 0.06) * 20, 0, 1)
    run = np.clip((p["nose_y"] - p["nose_l"] * 0.5 - y) / 0.26, 0, 1)
    thin = max(0.016, 0.6 * float(rays.pixel))  # a line of less than a pixel is a paler one of a pixel
    fold = np.clip(1.4 - np.abs(aside - p["nose_w"] * 1.15 - 0.15 * run) / thin, 0, 1) * np.clip(run * 8, 0, 1) * (run < 1)
    beside = across - p["eye_w"] * 1.1
    fan = 0.3 + rays.fine(0.10) * (np.clip(np.cos(up / (np.abs(beside) + 0.05) * 7) * 2 - 0.8, 0, 1) - 0.3)
    fan = fan * np.clip(1 - ((beside - 0.05) / 0.055) ** 2, 0, 1) * (np.abs(up) < 0.07)
    jowl = np.clip(1 - ((aside - 0.20) / 0.05) ** 2, 0, 1) * np.clip(1 - ((y + 0.40) / 0.10) ** 2, 0, 1)
    _darken(face, old * front * (0.32 * forehead + 0.36 * (0.016 / thin) * fold + 0.34 * fan + 0.22 * jowl))


def _mouth(
    face: list[Array], x: Array, y: Array, p: Mapping[str, Array], mouth: Array, colours: Mapping[str, Colour],
    edge: Callable[[Array], Array], front: Array,
) -> None:  # fmt: skip
    smile, opened = (mouth == 1).astype(np.float32), (mouth == 2).astype(np.float32)
    wide, lip = p["mouth_w"] * (1 + 0.20 * smile - 0.18 * opened), p["lip"]
    share = x / wide
    arc = np.maximum(1 - share * share, 0)
    down = y - p["mouth_y"] - smile * 0.055 * (share * share - 0.4) + 0.012 * p["old"] * (1 - smile) * share * share
    gap = (0.022 * smile + 0.056 * opened) * arc
    within = edge((1 - np.abs(share)) * wide) * front
    upper, lower = gap + lip * arc * 0.9 + 0.006, gap + lip * arc * 1.25 + 0.006
    lips = edge(np.minimum(upper - down, down + lower)) * within
    _paint(face, colours["lips"], lips)
    inner = edge(np.maximum(gap, 0.006) - np.abs(down)) * within
    _paint(face, (0.27, 0.08, 0.08), inner * 0.85)
    teeth = edge(np.minimum(gap - down, down - gap + 0.034)) * within * edge(gap - 0.004)
    _paint(face, (0.94, 0.92, 0.88), teeth)
    _darken(face, 0.20 * np.clip(1 - ((down + lower + 0.03) / 0.02) ** 2, 0, 1) * np.clip(arc * 1.4 - 0.4, 0, 1) * front)


def _hair(
    pixels: list[Array], rays: _Rays, p: Mapping[str, Array], colours: Mapping[str, Colour], lit: Callable[[Colour], Array],
    over: Callable[..., Array], person: Mapping[str, Array], skull: tuple[tuple[Array, ...], tuple[Array, ...]],
) -> None:  # fmt: skip
    """A shell about the skull, down to a line that falls from the forehead to the nape."""
    (_, y0, z0), (a, b, c) = skull
    thick = 1.05 + 0.03 * p["long"] + 0.13 * p["curly"] - 0.025 * p["cropped"]
    inside, t, normal = rays.meet((0, y0 + 0.02, z0 - 0.025), (a * thick, b * thick, c * (thick + 0.01)))
    x, y, z = rays.at(t)
    curl = np.sin(23 * x + 5 * z) * np.sin(21 * y + 7 * z) * p["curly"] * rays.fine(0.27)
    lean = (person["part"] - 0.5) * 0.5
    line = _between(0.30, 0.42, person["hairline"]) + 0.20 * p["bald"]
    dip = np.sqrt(np.maximum(1 - (x / (a * 1.1)) ** 2, 0.02))  # lower at the temples
    fall = (line + lean * x) * dip * np.clip(z / c * 1.5, 0, 1) + np.minimum(z / c, 0) * (0.55 - 0.35 * p["bald"])
    fall = fall - 0.05 + 0.06 * p["bald"] + 0.03 * curl - p["long"] * 0.34 * np.clip(0.55 - z / c, 0, 0.5)
    top = np.clip(1 - p["bald"] * 1.6 * np.clip(y - 0.30, 0, 1) * 4, 0, 1)
    mask = rays.edge(inside + 0.022 * curl) * rays.edge((y - fall) * 0.8) * over(t, 0.02) * top
    strand = 0.90 + 0.12 * rays.fine(0.13) * np.sin(46 * x + 9 * np.sin(7 * y) + 14 * z) * (1 - p["cropped"]) + 0.10 * curl
    gloss = 0.10 * np.clip(1 - ((normal[1] - 0.62) / 0.25) ** 2, 0, 1) * (1 - p["curly"])
    shade = lit(normal) * strand
    _paint(pixels, _each(lambda own: own * shade + gloss, colours["hair"]), mask * (1 - 0.25 * p["cropped"]))


def _glasses(
    pixels: list[Array], rays: _Rays, p: Mapping[str, Array], scene: Mapping[str, Array], at: Colour, t: Array, head: Array
) -> None:
    """Rims on a plane before the eyes, a bridge, and temples along the sides of the head."""
    shown = scene["glasses"][:, None]
    if not shown.any():
        return
    square = (shown == 2).astype(np.float32)
    way = rays.way[2]
    plane = (0.50 - rays.origin[2]) / np.where(np.abs(way) < 0.05, 0.05, way)
    x, y, _ = rays.at(plane)
    aside, up = np.abs(x) - p["eye_x"], y - p["eye_y"] + 0.012
    round_out = np.sqrt(aside**2 + up**2) - 0.125
    square_out = np.maximum(np.abs(aside) - 0.135, np.abs(up) - 0.095)
    out = round_out + square * (square_out - round_out)
    rim = rays.edge(_between(0.013, 0.024, square) - np.abs(out))
    bridge = rays.edge(0.012 - np.abs(up - 0.02)) * (np.abs(x) < p["eye_x"] - 0.11)
    seen = (way > 0.05) * np.clip(0.5 + (plane - np.where(head > 0.5, t, -9) + 0.06) / 0.03, 0, 1)
    glass = rays.edge(-out) * seen * (shown > 0)
    _paint(pixels, (0.80, 0.88, 0.95), 0.10 * glass)
    temple = rays.edge(0.014 - np.abs(at[1] - p["eye_y"] - 0.01)) * (np.abs(at[0]) > p["eye_x"] + 0.11) * head * (at[2] < 0.5)
    frame = np.maximum(np.maximum(rim, bridge) * seen, temple) * (shown > 0)
    _paint(pixels, _each(lambda a, b: a + square * (b - a), (0.45, 0.34, 0.16), (0.10, 0.09, 0.11)), frame * 0.95)
