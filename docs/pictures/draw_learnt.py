"""Pictures of docs/systems (gan-cls, pix2pix, pixeldtgan, dtn, stargan, srgan, dose-gan, vae-gan-3d, pg2, fomm): of runs.

    python docs/pictures/draw_learnt.py worlds OUT                 shapes, walls, figures, digits, faces, as in the proofs
    python docs/pictures/draw_learnt.py captions RUN OUT.png       a caption a row: its name, and six pictures
    python docs/pictures/draw_learnt.py pairs RUN OUT.png          held-out maps, what is made of them, the true photographs
    python docs/pictures/draw_learnt.py garments RUN OUT.png       held-out figures, what is drawn of them, what they wear
    python docs/pictures/draw_learnt.py transfers RUN OUT.png      held-out digits in colours, and as clean ones
    python docs/pictures/draw_learnt.py enlarged RUN OUT.png       held-out images: small, bicubic, enlarged, true
    python docs/pictures/draw_learnt.py doses RUN OUT.png          held-out heads in CT: low dose, denoised, full dose
    python docs/pictures/draw_learnt.py edits RUN OUT.png          held-out pictures, and each value of each attribute
    python docs/pictures/draw_learnt.py solids RUN OUT.png         pictures of held-out solids, what is made of them, the solids
    python docs/pictures/draw_learnt.py reposed RUN OUT.png        held-out people: given, pose, both stages, true
    python docs/pictures/draw_learnt.py animated RUN OUT.png       heads: a driving clip, a still moved by it, the true clip

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
    run, file = Run(options.places[0], which="last"), options.places[1]
    {
        "captions": captions, "pairs": pairs, "garments": garments, "transfers": transfers, "enlarged": enlarged,
        "doses": doses, "edits": edits, "solids": solids, "reposed": reposed, "animated": animated,
    }[options.what](run, file)  # fmt: skip


if __name__ == "__main__":
    main()
