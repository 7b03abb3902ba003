"""Pictures of docs/systems (gan-cls, pix2pix, pixeldtgan, dtn, stargan, srgan, dose-gan, vae-gan-3d, pg2, fomm, deepremaster,
mgan, gp-gan and perceptual-gan): of runs.

    python docs/pictures/draw_learnt.py worlds OUT                 shapes, walls, figures, digits, faces, as in the proofs
    python docs/pictures/draw_learnt.py paintings OUT              a drawn painting in style/, drawn scenes in photo/
    python docs/pictures/draw_learnt.py scenes OUT                 400 drawn scenes of 96 pixels
    python docs/pictures/draw_learnt.py signs OUT                  320 drawn road signs of 8 classes
    python docs/pictures/draw_learnt.py captions RUN OUT.png       a caption a row: its name, and six pictures
    python docs/pictures/draw_learnt.py said RUN OUT.png           a caption that is typed a row, and six pictures
    python docs/pictures/draw_learnt.py pairs RUN OUT.png          held-out maps, what is made of them, the true photographs
    python docs/pictures/draw_learnt.py garments RUN OUT.png       held-out figures, what is drawn of them, what they wear
    python docs/pictures/draw_learnt.py transfers RUN OUT.png      held-out digits in colours, and as clean ones
    python docs/pictures/draw_learnt.py enlarged RUN OUT.png       held-out images: small, bicubic, enlarged, true
    python docs/pictures/draw_learnt.py doses RUN OUT.png          held-out heads in CT: low dose, denoised, full dose
    python docs/pictures/draw_learnt.py edits RUN OUT.png          held-out pictures, and each value of each attribute
    python docs/pictures/draw_learnt.py solids RUN OUT.png         pictures of held-out solids, what is made of them, the solids
    python docs/pictures/draw_learnt.py reposed RUN OUT.png        held-out people: given, pose, both stages, true
    python docs/pictures/draw_learnt.py animated RUN OUT.png       heads: a driving clip, a still moved by it, the true clip
    python docs/pictures/draw_learnt.py remastered RUN OUT.png     held-out clips: worn, made clean and coloured, true
    python docs/pictures/draw_learnt.py painted RUN OUT.jpg        scenes that were not learnt, painted, beside the painting
    python docs/pictures/draw_learnt.py blended RUN OUT.png        parts of scenes in another light: pasted, blended, true
    python docs/pictures/draw_learnt.py named RUN OUT.png          other signs, 12 pixels wide: features as they are, mended

Nothing is chosen: the first held-out records are shown, seed 0. The pages hold the commands that the runs were made with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganvas.batches import Noise
from ganvas.kinds import decode, encode
from ganvas.proofs._arms import data_of
from ganvas.run.load import Run

SHOWN, CELL, GAP, HEAD = 6, 96, 4, 22
SAID = ("red heart", "green apple", "blue square", "cat face")
CAPTIONS = ("A red circle.", "A blue square.", "A yellow ring.", "A green bar.", "A purple pole.")


def sheet(rows: list[tuple[str, list[np.ndarray]]], file: Path, cell: int = CELL, beside: int = 130) -> None:
    """Rows of pictures (H, W, C) uint8, the words of each at its left."""
    wide = beside + max(len(pictures) for _, pictures in rows) * (cell + GAP)
    canvas = Image.new("RGB", (wide, len(rows) * (cell + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for down, (words, pictures) in enumerate(rows):
        top = down * (cell + GAP)
        draw.text((beside - 10, top + cell / 2), words, fill=(40, 40, 40), font=font, anchor="rm")
        for across, pixels in enumerate(pictures):
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
            canvas.paste(image.resize((cell, cell), Image.Resampling.NEAREST), (beside + across * (cell + GAP), top))
    canvas.save(file, optimize=True)


def captions(run: Run, file: Path) -> None:
    import torch

    from ganvas.kinds import spelled

    data = data_of(run)
    field = data.fields["caption"]
    every = np.unique(np.asarray(field.values), axis=0)
    known = dict(zip(spelled(encode(every, field.spec), field.spec), every, strict=True))
    rows = []
    for caption in CAPTIONS:
        words = next(text for text in known if text.replace(" ", "").lower() == caption.replace(" ", "").lower())
        given = torch.from_numpy(np.repeat(known[words][None], SHOWN, 0).astype(np.int64))
        with torch.no_grad():
            made = run.system.sample(SHOWN, Noise.seeded(0), caption=given)
        rows.append((caption, list(decode(made, data.fields["picture"].spec, 8))))
    sheet(rows, file)


def said(run: Run, file: Path) -> None:
    """Of captions that are typed, as `ganvas sample` takes them."""
    sheet([(words, list(run.sample(SHOWN, seed=1, fields={"caption": words}, depth=8))) for words in SAID], file)


def pairs(run: Run, file: Path) -> None:
    import torch

    data = data_of(run)
    maps, photos, held = data.fields["map"], data.fields["photo"], data.heldout_indices()[:SHOWN]
    with torch.no_grad():
        made = run.system.translate(encode(np.asarray(maps.values[held]), maps.spec), None, Noise.seeded(0))
    values = np.asarray(maps.values[held])
    shades = (255 * values.reshape(len(held), *values.shape[-2:]) / max(1, int(values.max()))).astype(np.uint8)[..., None]
    rows = [
        ("map", list(shades)),
        ("made", list(decode(made, photos.spec, 8))),
        ("true", list(np.asarray(photos.values[held]))),
    ]
    sheet(rows, file, beside=60)


def garments(run: Run, file: Path) -> None:
    import torch

    data = data_of(run)
    photos, worn, held = (
        data.fields["photo"],
        data.fields["garment"],
        data.heldout_indices()[:: len(data.heldout_indices()) // 8],
    )
    given = np.asarray(photos.values[held[:8]])
    with torch.no_grad():
        made = run.system.translate(encode(given, photos.spec), None, Noise.seeded(0))
    true = list(np.asarray(worn.values[held[:8]]))
    sheet([("photo", list(given)), ("drawn", list(decode(made, worn.spec, 8))), ("worn", true)], file, cell=80, beside=60)


def transfers(run: Run, file: Path) -> None:
    import torch

    data = data_of(run)
    held, (target,) = data.heldout_indices(), run.system.targets
    asked = np.asarray(data.labels)[held]
    first = [held[asked == own][0] for own in np.unique(asked) if own != target]
    given = np.asarray(data.values[np.array(first)])
    with torch.no_grad():
        made = run.system.translate(encode(given, data.spec), target, Noise.seeded(0))
    sheet([("source", list(given)), ("drawn", list(decode(made, data.spec, 8)))], file, cell=64, beside=60)


def enlarged(run: Run, file: Path) -> None:
    import torch

    from ganvas.networks.srgan import resized

    data = data_of(run)
    true = np.asarray(data.values[data.heldout_indices()[:SHOWN]])
    whole = encode(true, run.spec)
    with torch.no_grad():
        small = resized(whole, 1 / run.system.scale).clamp(-1, 1)
        made = run.system.restore(small, Noise.seeded(0))
        bicubic = resized(small, run.system.scale)
    rows = [(words, list(decode(images.clamp(-1, 1), run.spec, 8))) for words, images in (
        ("given", small), ("bicubic", bicubic), ("srgan", made))]  # fmt: skip
    sheet([*rows, ("true", list(true))], file, cell=128, beside=70)


def doses(run: Run, file: Path) -> None:
    """Under a window of -10 to 90 HU, in which brain is grey."""
    import torch

    data = data_of(run)
    true = encode(np.asarray(data.values[data.heldout_indices()[:SHOWN]]), run.spec)
    with torch.no_grad():
        low = run.system.add_noise(true, Noise.seeded(0))
        made = run.system.denoise(low, Noise.seeded(0))
    rows = []
    for words, images in (("low dose", low), ("dose-gan", made), ("full dose", true)):
        units = run.system.black + (images + 1) / 2 * run.system.span
        rows.append((words, list(((units + 10) * 2.55).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())))
    sheet(rows, file, cell=128, beside=80)


def edits(run: Run, file: Path) -> None:
    import torch

    data = data_of(run)
    given = np.asarray(data.values[data.heldout_indices()[:SHOWN]])
    rows = [("given", list(given))]
    for name, values in run.system.attributes().items():
        for value in values:
            with torch.no_grad():
                made = run.system.edit(encode(given, data.spec), {name: value}, Noise.seeded(0))
            rows.append((f"{name}={value}", list(decode(made, data.spec, 8))))
    sheet(rows, file, cell=72, beside=150)


def solids(run: Run, file: Path) -> None:
    """Made solids and true ones are seen from the front, wherever the picture was taken from."""
    import torch

    from ganvas.kinds.solid.kind import render

    data = data_of(run)
    true = np.asarray(data.values[data.heldout_indices()[:SHOWN]])
    with torch.no_grad():
        pictures = run.system.depict(encode(true, run.spec), Noise.seeded(0))
        made = decode(run.system.build(pictures, Noise.seeded(0)), run.spec)
    seen = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    rows = [("picture", list(seen)), ("vae-gan-3d", [render(own) for own in made]), ("true", [render(own) for own in true])]
    sheet(rows, file, cell=128, beside=90)


def reposed(run: Run, file: Path) -> None:
    import torch

    from ganvas.kinds.pose.drawing import skeletons
    from ganvas.uses.repose import pairs as in_two_poses

    data = data_of(run)
    pictures, poses = data.fields["picture"], data.fields["pose"]
    rows, others = (own[:: len(own) // 10][:10] for own in in_two_poses(data, len(data), 0))
    given, wanted = np.asarray(pictures.values[rows]), np.asarray(poses.values[others])
    told = encode(wanted, poses.spec)
    with torch.no_grad():
        rough = run.system._coarse(encode(given, pictures.spec), told)
        made = run.system.repose(encode(given, pictures.spec), Noise.seeded(0), pose=told)
    sheet(
        [
            ("given", list(given)),
            ("pose", list(skeletons(wanted, poses.spec))),
            ("first stage", list(decode(rough, pictures.spec, 8))),
            ("made", list(decode(made, pictures.spec, 8))),
            ("true", list(np.asarray(pictures.values[others]))),
        ],
        file,
        cell=80,
        beside=90,
    )


def animated(run: Run, file: Path) -> None:
    import torch

    from ganvas.proofs.fomm import pairs as of_strangers

    driving, true, _ = of_strangers(run.spec.height)
    driving, true = driving[: SHOWN // 2], true[: SHOWN // 2]
    with torch.no_grad():
        stills = encode(true, run.spec)[:, :, 0]
        made = decode(run.system.animate(stills, Noise.seeded(0), encode(driving, run.spec)), run.spec)
    frames = np.linspace(0, driving.shape[1] - 1, 8).round().astype(int)
    rows = []
    for k in range(len(true)):
        rows += [("driving", driving[k, frames]), ("made of the first", made[k, frames]), ("true", true[k, frames])]
    sheet([(words, list(own)) for words, own in rows], file, cell=80)


def remastered(run: Run, file: Path) -> None:
    """Two held-out clips, every second frame: worn, made clean and coloured after their first frame, true."""
    import torch

    from ganvas.uses import remaster

    data = data_of(run)
    true = encode(np.asarray(data.values[data.heldout_indices()[:2]]), run.spec)
    work, noise = run.work(), Noise.seeded(0)
    with torch.no_grad():
        worn = run.system.age(true, noise)
        given = [{work.main: clip[None], remaster.REFERENCE: whole[:, 0][None]} for clip, whole in zip(worn, true, strict=True)]
        made = torch.cat([remaster.run(work, one, remaster.Options(tile=0))[work.main] for one in given])
    rows = []
    for k in range(len(true)):
        for words, clips in (("worn", worn), ("remastered", made), ("true", true)):
            rows.append((words, list(decode(clips.clamp(-1, 1), run.spec, 8)[k, ::2][:8])))
    sheet(rows, file, cell=80, beside=90)


PAINTING, SCENES = 384, 12  # pixels of the painting's side; scenes that are learnt from


def paintings(folder: Path) -> None:
    """What the proof of mgan draws in the place of photographs, and its painting."""
    from ganvas.proofs.mgan import painting, scene

    for name, own in (("style", [painting(PAINTING)]), ("photo", [scene(PAINTING, seed) for seed in range(SCENES)])):
        (folder / name).mkdir(parents=True)
        for place, pixels in enumerate(own):
            Image.fromarray(pixels).save(folder / name / f"{place:02d}.png")


def painted(run: Run, file: Path) -> None:
    """Three scenes that were not learnt above what becomes of each, whole; at the right a piece of the painting."""
    from ganvas.proofs.mgan import painting, scene

    given = [scene(PAINTING, SCENES + seed) for seed in range(3)]
    made = [run.use("translate", own[None], to="style", tile=0)["real"][0] for own in given]
    (high, wide), piece = given[0].shape[:2], painting(PAINTING)
    canvas = Image.new("RGB", (3 * (wide + GAP) + high, 2 * high + GAP), "white")
    for place, (above, below) in enumerate(zip(given, made, strict=True)):
        canvas.paste(Image.fromarray(above), (place * (wide + GAP), 0))
        canvas.paste(Image.fromarray(below), (place * (wide + GAP), high + GAP))
    canvas.paste(Image.fromarray(piece[:high, :high]), (3 * (wide + GAP), (high + GAP) // 2))
    canvas.save(file, quality=80)


def landscape(side: int, seed: int) -> np.ndarray:
    """(side, side, 3) uint8: a sky, two hills, a field and balls, each of its own colours, so that a light can be told."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([7, seed])
    down, across = np.mgrid[:side, :side] / side
    made = np.array([120.0, 170, 225]) + down[..., None] * np.array([110.0, 60, 10])
    for part, colour in ((0.45, (70, 110, 60)), (0.6, (105, 140, 55)), (0.78, (190, 160, 105))):
        ridge = part + 0.06 * np.sin(across[0] * rng.uniform(4, 12) + rng.uniform(0, 6))
        rough = gaussian_filter(rng.normal(size=(side, side)), side / 96)
        made = np.where((down > ridge)[..., None], np.array(colour) + rng.normal(0, 6, 3) + 45 * rough[..., None], made)
    for _ in range(4):
        (y, x), reach = rng.uniform(0.2, 0.9, 2), rng.uniform(0.05, 0.12)
        shade = 35 * (across - x + down - y) / reach
        colour = ((200, 60, 50), (230, 190, 60), (235, 235, 230))[rng.integers(3)]
        made = np.where((np.hypot(down - y, across - x) < reach)[..., None], np.array(colour) - shade[..., None], made)
    return np.asarray(gaussian_filter(made, (0.7, 0.7, 0)).clip(0, 255).round(), np.uint8)


def scenes(folder: Path, count: int = 400) -> None:
    folder.mkdir(parents=True)
    for seed in range(count):
        Image.fromarray(landscape(96, seed)).save(folder / f"{seed:03d}.png")


def blended(run: Run, file: Path) -> None:
    """Scenes that were not learnt, with an oval of themselves in another light: pasted, blended, in one light."""
    side, rng = 192, np.random.default_rng(0)
    true = np.stack([landscape(side, 10_000 + seed) for seed in range(5)])
    down, across = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    mask = (
        np.where((down / 0.36) ** 2 + (across / 0.28) ** 2 < 1, 255, 0).astype(np.uint8)[None, ..., None].repeat(len(true), 0)
    )
    gain, offset = rng.uniform(0.65, 1.25, (len(true), 1, 1, 3)), rng.uniform(-30, 30, (len(true), 1, 1, 3))
    lit = (true * gain + offset).clip(0, 255).astype(np.uint8)
    made = run.use("blend", true, source=lit, mask=mask)["real"]
    rows = (("pasted", np.where(mask > 0, lit, true)), ("blended", made), ("in one light", true))
    sheet([(words, list(pictures)) for words, pictures in rows], file, cell=side, beside=110)


SIGNS = ("30", "50", "80", "left", "right", "danger", "crossing", "stop")
SIGN = 64


def sign(name: str, rng: np.random.Generator) -> np.ndarray:
    """(64, 64, 3) uint8: a road sign before a drawn scene, in a light of its own, a little turned, aside and out of focus."""
    from scipy.ndimage import gaussian_filter

    from ganvas.proofs.mgan import scene

    ground = Image.fromarray(scene(2 * SIGN, int(rng.integers(1000)))[:SIGN, SIGN // 2 : SIGN // 2 + SIGN]).convert("RGB")
    side = 4 * SIGN
    plate = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    brush, red, white, blue = ImageDraw.Draw(plate), (190, 25, 35), (240, 240, 235), (25, 70, 165)
    middle, reach = side / 2, 0.42 * side

    def corners(count: int, turned: float, radius: float) -> list[tuple[float, float]]:
        angles = np.deg2rad(turned + 360 / count * np.arange(count))
        return [(float(middle + radius * np.cos(a)), float(middle + radius * np.sin(a))) for a in angles]

    if name in ("30", "50", "80"):
        brush.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=white, outline=red, width=28)
        brush.text((middle, middle), name, fill=(20, 20, 20), font=ImageFont.load_default(110), anchor="mm")
    elif name in ("left", "right"):
        brush.ellipse((middle - reach, middle - reach, middle + reach, middle + reach), fill=blue)
        way = -1 if name == "left" else 1
        brush.line([(middle - way * 65, middle), (middle + way * 30, middle)], fill=white, width=26)
        brush.polygon(
            [(middle + way * 80, middle), (middle + way * 20, middle - 45), (middle + way * 20, middle + 45)], fill=white
        )
    elif name == "stop":
        brush.polygon(corners(8, 22.5, reach * 1.05), fill=red)
        brush.text((middle, middle), "STOP", fill=white, font=ImageFont.load_default(72), anchor="mm")
    else:
        brush.polygon(corners(3, -90, reach * 1.15), fill=red)
        brush.polygon(corners(3, -90, reach * 0.75), fill=white)
        if name == "danger":
            brush.rectangle((middle - 10, middle - 48, middle + 10, middle + 14), fill=(20, 20, 20))
            brush.ellipse((middle - 12, middle + 24, middle + 12, middle + 48), fill=(20, 20, 20))
        else:
            brush.line([(middle - 40, middle + 44), (middle + 36, middle - 26)], fill=(20, 20, 20), width=18)
            brush.line([(middle + 40, middle + 44), (middle - 36, middle - 26)], fill=(20, 20, 20), width=18)
    plate = plate.rotate(float(rng.normal(0, 4)), Image.Resampling.BICUBIC)
    own = round(SIGN * float(rng.uniform(0.8, 1.0)))
    small = plate.resize((own, own), Image.Resampling.LANCZOS)
    ground.paste(small, tuple(int(rng.integers(SIGN - own + 1)) for _ in range(2)), small)
    lit = np.asarray(ground, float) * rng.uniform(0.45, 1.15) + rng.uniform(-10, 30) + rng.normal(0, 4, (SIGN, SIGN, 3))
    return np.asarray(gaussian_filter(lit, (*[float(rng.uniform(0.2, 0.9))] * 2, 0)).clip(0, 255).round(), np.uint8)


def signs(folder: Path, each: int = 40) -> None:
    rng = np.random.default_rng(0)
    for name in SIGNS:
        (folder / name).mkdir(parents=True)
        for place in range(each):
            Image.fromarray(sign(name, rng)).save(folder / name / f"{place:03d}.png")


def named(run: Run, file: Path) -> None:
    """Twelve new signs as they are, as files of 12 pixels show them, and what these are taken for: as they are, and mended; in
    green where it is right. At the left the share of 50 such signs of each class that is named rightly."""
    import torch

    from ganvas.proofs.perceptual_gan import small as brought_to

    rng, size = np.random.default_rng(1), run.spec.height
    large = np.stack([np.asarray(Image.fromarray(sign(SIGNS[k % len(SIGNS)], rng)).resize((size, size), Image.Resampling.BOX))
                      for k in range(50 * len(SIGNS))])  # fmt: skip
    true = np.array([run.system.class_names.index(SIGNS[k % len(SIGNS)]) for k in range(len(large))])
    tiny, every = encode(brought_to(large, 12), run.spec), torch.ones(len(large), dtype=torch.bool)
    with torch.no_grad():
        told = [np.concatenate([run.system.named(part, own[: len(part)]).argmax(1).numpy() for part in tiny.split(64)])
                for own in (~every, every)]  # fmt: skip
        whole = np.concatenate([run.system.classify(part, Noise.seeded(0)).argmax(1).numpy()
                                for part in encode(large, run.spec).split(64)])  # fmt: skip
    shown, cell, beside, line = 12, 72, 150, 20
    canvas = Image.new("RGB", (beside + shown * (cell + GAP), 2 * (cell + GAP) + 2 * line + 8), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    right = [f"{(own == true).mean():.0%} right" for own in (whole, *told)]
    for down, words in ((cell / 2, f"large: {right[0]}"), (1.5 * cell + GAP, "12 pixels"),
                        (2 * cell + 2 * GAP + line / 2, f"as they are: {right[1]}"),
                        (2 * cell + 2 * GAP + 1.5 * line, f"mended: {right[2]}")):  # fmt: skip
        draw.text((beside - 8, down), words, fill=(40, 40, 40), font=font, anchor="rm")
    for k in range(shown):
        left = beside + k * (cell + GAP)
        for down, pixels in enumerate((large[k], brought_to(large[k : k + 1], 12)[0])):
            canvas.paste(Image.fromarray(pixels).resize((cell, cell), Image.Resampling.NEAREST), (left, down * (cell + GAP)))
        for down, own in enumerate(told):
            shade = (20, 120, 60) if own[k] == true[k] else (180, 30, 30)
            place = (left + cell / 2, 2 * cell + 2 * GAP + (down + 0.5) * line)
            draw.text(place, run.system.class_names[own[k]], fill=shade, font=font, anchor="mm")
    canvas.save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what",
        choices=(
            "worlds",
            "captions",
            "pairs",
            "garments",
            "transfers",
            "enlarged",
            "doses",
            "edits",
            "solids",
            "reposed",
            "animated",
            "remastered",
            "paintings",
            "scenes",
            "signs",
            "painted",
            "said",
            "blended",
            "named",
        ),
    )
    parser.add_argument("places", nargs="+", type=Path)
    options = parser.parse_args()
    if options.what == "worlds":
        from ganvas.proofs.dtn import brought_to, set_digits, write_domains
        from ganvas.proofs.gan_cls import _shapes
        from ganvas.proofs.pix2pix import _walls
        from ganvas.proofs.pixeldtgan import draw_figures
        from ganvas.proofs.stargan import draw_faces

        _shapes(options.places[0] / "shapes")
        _walls(options.places[0] / "walls", 400)
        draw_figures(options.places[0] / "figures")
        digits, numbers = set_digits(8000)
        write_domains(options.places[0] / "digits.npz", brought_to(digits, 16), numbers)
        draw_faces(options.places[0] / "faces", 1200)
        return
    if options.what in ("paintings", "scenes", "signs"):
        {"paintings": paintings, "scenes": scenes, "signs": signs}[options.what](options.places[0])
        return
    run, file = Run(options.places[0], which="best" if options.what == "said" else "last"), options.places[1]
    {
        "captions": captions, "pairs": pairs, "garments": garments, "transfers": transfers, "enlarged": enlarged,
        "doses": doses, "edits": edits, "solids": solids, "reposed": reposed, "animated": animated, "remastered": remastered,
        "painted": painted, "said": said, "blended": blended, "named": named,
    }[options.what](run, file)  # fmt: skip


if __name__ == "__main__":
    main()
