"""`ganvas apply`: a trained run put to use on files: translate, restore, score, project.

Every input keeps its name, its depth and its kind of file: a 16-bit TIFF gives a 16-bit TIFF, a NIfTI volume a volume at the
same place in space. Not for drawing from noise (`draw.py`), nor for judging a run (`evaluation/`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capabilities import names_of
from ..errors import DataError, GanvasError, did_you_mean
from ..files import told, write_atomically
from ..kinds.image.spec import ImageSpec
from ..version import __version__
from .load import Run
from .outputs import moved, results

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..kinds.image.readers import Picture

VERBS = ("translate", "restore", "score", "project")
TILES = {"translate": 512, "restore": 256}  # side of a tile in pixels of the input, when the user names none
OVERLAP = 8  # a tile's side divided by this is shared with its neighbour
BATCH = 32  # images scored together
PICTURED = 500  # heat maps drawn as pictures, those of the highest scores; all are kept as numbers
FORMATS = {"png": ".png", "tiff": ".tiff", "webp": ".webp", "jpg": ".jpg", "dicom": ".dcm", "nifti": ".nii.gz", "npz": ".npz"}
KEPT = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".webp": "webp", ".npy": "npz", ".npz": "npz"}  # JPEG becomes PNG


@dataclass
class _Input:
    """A file to be worked on. name: where its result goes, relative, without suffix. format: of its result."""

    path: Path
    name: str
    format: str


def apply(
    run: str | Path | Run,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    verb: str | None = None,
    to: str | None = None,
    tile: int | None = None,
    format: str | None = None,
    depth: int | None = None,
    seed: int = 0,
    which: str = "last",
    device: str = "auto",
    system: Path | None = None,
    config: Mapping[str, Any] | None = None,
    count: int = 64,
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Let a run work on files, and write what it makes into the folder `out`. Returns verb, folder, files, failed, scores.

    inputs: files or folders of every kind that training reads. verb: `translate`, `restore`, `score` or `project`; by default
    the first of these that the system can. `generate`, the default without inputs for a system that samples, takes none and
    draws `count` records, as `ganvas sample` does. to: the class to translate to. tile: side of the pieces in which large
    images are worked on; 0: always whole. format, depth: of images written; by default those of each
    input (JPEG gives PNG). config: settings that a trained run takes. A file that cannot be read is told and left out.
    out: absent or empty, and whole when the call returns, or as it was. overwrite: replace what ganvas wrote there before.

    Raises GanvasError for what the run cannot do and for a used folder, DataError when no file at all could be read, RunError
    when `out` cannot be written.
    """
    target = Path(out)
    with results(target, "apply", overwrite=overwrite) as place:
        made = _applied(
            run, inputs, out=place, verb=verb, to=to, tile=tile, format=format, depth=depth, seed=seed, which=which,
            device=device, system=system, config=config, count=count, progress=progress, say=say,
        )  # fmt: skip
    return {**made, "folder": str(target), "files": moved(made["files"], place, target)}


def _applied(
    run: str | Path | Run,
    inputs: Sequence[str | Path],
    *,
    out: Path,
    verb: str | None,
    to: str | None,
    tile: int | None,
    format: str | None,
    depth: int | None,
    seed: int,
    which: str,
    device: str,
    system: Path | None,
    config: Mapping[str, Any] | None,
    count: int,
    progress: bool,
    say: Callable[[str], None] | None,
) -> dict[str, Any]:
    """The work of `apply`, its results in a folder that is not yet where it belongs."""
    say = say or (lambda text: None)
    opened = run if isinstance(run, Run) else Run(run, which=which, device=device, system=system, config=config)
    if verb == "generate" or (verb is None and not inputs and "sample" in names_of(opened.system)):
        return _generated(opened, inputs, out, count, seed, depth, format, which, device, system, config)
    chosen = _verb(opened, verb)
    if opened.record.card.fields:
        raise GanvasError(
            f"{opened.record.card.name} makes {next(iter(opened.record.fields))} of other fields: files of these cannot be "
            f"given yet; judge what it makes of held-out records with  ganvas evaluate {opened.record.path}"
        )
    if not isinstance(opened.spec, ImageSpec):
        if {"to": to, "tile": tile, "format": format, "depth": depth} != dict.fromkeys(("to", "tile", "format", "depth")):
            where = f"{opened.record.path} works on {opened.spec.kind}"
            raise GanvasError(f"--to, --tile, --format and --depth are for images; {where}")
        return _scored_by_kind(opened, chosen, inputs, out, seed, progress, say)
    if format is not None and format not in FORMATS:
        close = did_you_mean(format, list(FORMATS))
        raise GanvasError(f"--format '{format}' is not served{close}; formats: {', '.join(FORMATS)}")
    files = _inputs(inputs, format)
    work = _Work(opened, chosen, out, depth, seed, say)
    if chosen in TILES:
        work.prepare(to, TILES[chosen] if tile is None else tile)
    elif to is not None or tile is not None:
        raise GanvasError(f"--{'to' if to is not None else 'tile'} is for translating and restoring; this run is to {chosen}")
    failed: list[str] = []
    from ..store.cache import bar

    with bar(_DOING[chosen], files, progress) as advance:
        for file in files:
            try:
                work.file(file, advance)
            except DataError as error:
                failed.append(str(error))
                say(f"left out: {error}")
    if failed and len(failed) == len(files):
        raise DataError(failed[0] if len(failed) == 1 else f"none of {len(files)} files could be read: {failed[0]}")
    work.finish()
    return {
        "verb": chosen,
        "folder": str(out),
        "inputs": len(files) - len(failed),
        "files": [str(path) for path in work.written],
        "failed": failed,
        "scores": work.scores,
        "notes": work.notes,
    }


def _scored_by_kind(
    run: Run, verb: str, inputs: Sequence[str | Path], out: Path, seed: int, progress: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Files of a kind that has a module of its own, scored: `Kind.score` of each, and `scores.csv` of all."""
    import torch

    from ..batches import Noise
    from ..data.finding import files_of
    from ..kinds import encode, kind_of
    from ..kinds.facets import ScoredFiles
    from ..store.cache import bar

    spec = run.spec
    kind = kind_of(spec.kind)
    if verb != "score" or not isinstance(kind, ScoredFiles):
        raise GanvasError(f"{run.record.path} works on {spec.kind}: there is no way yet to {verb} files of that kind")
    found: list[_Input] = []
    for given in inputs:
        listing = files_of(given, kind)
        found += [_Input(file, _stem(name), "") for file, name in zip(listing.files, listing.names, strict=True)]
    if not found:
        raise GanvasError("on what? Name files or folders:  ganvas apply RUN FILE ... --out FOLDER")
    twice = next((one.name for k, one in enumerate(found) if one.name in [other.name for other in found[:k]]), None)
    if twice is not None:
        raise GanvasError(f"two results would be called {twice}: apply the files into two folders")
    parameter = next(run.system.parameters())

    def anomaly(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Noise anew for each file: its scores do not depend on the files before it.
        noise = Noise(torch.Generator(device=parameter.device).manual_seed(seed), dtype=parameter.dtype)
        with torch.no_grad():
            scores, maps = run.system.anomaly(encode(records, spec, parameter.device).to(parameter.dtype), noise)
        return scores.float().cpu().numpy(), maps.float().cpu().numpy()

    scores: list[dict[str, Any]] = []
    written: list[Path] = []
    failed: list[str] = []
    notes: list[str] = []
    with bar(_DOING[verb], found, progress) as advance:
        for one in found:
            try:
                score, files, told_of = kind.score(one.path, one.name, spec, anomaly, out)
            except DataError as error:
                failed.append(str(error))
                say(f"left out: {error}")
            else:
                scores.append({"file": one.name, "score": round(score, 6)})
                written += files
                notes += told_of
                for note in told_of:
                    say(f"note: {note}")
            advance()
    if failed and not scores:
        raise DataError(failed[0] if len(failed) == 1 else f"none of {len(failed)} files could be read: {failed[0]}")
    written.append(_write_scores(out, scores))
    result = {"verb": verb, "folder": str(out), "inputs": len(scores), "files": [str(path) for path in written]}
    return {**result, "failed": failed, "scores": scores, "notes": notes}


def _write_scores(out: Path, scores: list[dict[str, Any]]) -> Path:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "score"])
    rows.writerows((one["file"], f"{one['score']:.6g}") for one in scores)
    write_atomically(out / "scores.csv", table.getvalue().encode())
    return out / "scores.csv"


def _generated(
    run: Run,
    inputs: Sequence[str | Path],
    out: Path,
    count: int,
    seed: int,
    depth: int | None,
    format: str | None,
    which: str,
    device: str,
    system: Path | None,
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Records from noise, in the form of a result."""
    from .draw import draw

    if inputs:
        raise GanvasError(f"generating takes no input: leave out {inputs[0]}, or say what to do with it, as in  --as project")
    given: dict[str, Any] = {"which": which, "device": device, "system": system, "config": config}
    made = draw(run.record.path, count=count, seed=seed, out=out, depth=depth, format=format, **given)
    result = {"verb": "generate", "folder": made["folder"], "inputs": 0, "files": made["files"]}
    return {**result, "failed": [], "scores": [], "notes": []}


_DOING = {"translate": "translating", "restore": "restoring", "score": "scoring", "project": "projecting"}


def _verb(run: Run, verb: str | None) -> str:
    """What is to be done. Raises GanvasError when the system cannot."""
    able = [name for name in VERBS if name in names_of(run.system)]
    name = run.record.card.name
    if not able:
        raise GanvasError(f"{name} draws from noise and takes no input: use  ganvas sample {run.record.path}")
    if verb is not None and verb not in able:
        raise GanvasError(f"{name} cannot {verb}{did_you_mean(verb, able)}: it can {', '.join(able)}")
    return verb or able[0]


def _inputs(inputs: Sequence[str | Path], format: str | None) -> list[_Input]:
    """The files in order, each with the name of its result. Raises GanvasError when two results would share a name."""
    from ..data.finding import files_of
    from ..kinds import kind_of
    from ..kinds.image.filling import file_kind

    found: list[_Input] = []
    for given in inputs:
        path = Path(given).expanduser()
        listing = files_of(path, kind_of("image"))
        for file, name in zip(listing.files, listing.names, strict=True):
            kind = file_kind(file)
            own = kind if kind in ("dicom", "nifti") else KEPT.get(file.suffix.lower(), "png")
            found.append(_Input(file, _stem(name), format or own))
    if not found:
        raise GanvasError("on what? Name files or folders:  ganvas apply RUN FILE ... --out FOLDER")
    taken: dict[tuple[str, str], Path] = {}
    for one in found:
        other = taken.setdefault((one.name, one.format), one.path)
        if other is not one.path:
            raise GanvasError(f"{other} and {one.path} would both be written as {one.name}: apply them into two folders")
    return found


def _stem(name: str) -> str:
    """The name without its suffix; a number behind a dot is part of the name (DICOM files are often called by their UID)."""
    if name.lower().endswith(".nii.gz"):
        return name[: -len(".nii.gz")]
    return name if Path(name).suffix[1:].isdigit() else str(Path(name).with_suffix(""))


class _Work:
    """What is done to one picture after another, and where it goes."""

    def __init__(self, run: Run, verb: str, out: Path, depth: int | None, seed: int, say: Callable[[str], None]) -> None:
        import torch

        from ..batches import Noise

        assert isinstance(run.spec, ImageSpec)
        self.run, self.verb, self.out, self.depth, self.seed, self.say = run, verb, out, depth, seed, say
        self.spec: ImageSpec = run.spec
        self.system = run.system
        parameter = next(self.system.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.noise = Noise(torch.Generator(device=self.device).manual_seed(seed), dtype=self.dtype)
        self.function: Callable[[Tensor], Tensor] = lambda images: images
        self.scale, self.multiple, self.tile = 1, 1, 0
        self.written: list[Path] = []
        self.scores: list[dict[str, Any]] = []
        self.latents: list[np.ndarray] = []
        self.named: list[str] = []
        self.notes: list[str] = []
        self.doing = verb
        self.most = 0.0  # the greatest value in the file at hand

    def prepare(self, to: str | None, tile: int) -> None:
        """For a verb that makes an image of an image: the function, and the side of tiles."""
        if tile < 0 or 0 < tile < 32:
            raise GanvasError(f"--tile {tile} is too small: give 32 or more pixels, or 0 for the whole image at once")
        self.tile, self.multiple = tile, self.system.multiple
        if self.verb == "restore":
            if to is not None:
                raise GanvasError("--to is for systems that translate; this one restores")
            self.scale = self.system.scale
            self.function = lambda images: self.system.restore(images, self.noise)
            self.doing = f"restored, {self.scale} times as large" if self.scale > 1 else "restored"
            return
        target = self._target(to)
        self.function = lambda images: self.system.translate(images, target, self.noise)
        self.doing = f"translated to {self.spec.classes[target]}"

    def _target(self, to: str | None) -> int:
        from ..data.streams import dealt_classes

        classes = self.spec.classes
        able = list(dealt_classes(self.system)) or list(range(len(classes)))
        names = [classes[k] for k in able]
        if to is None:
            raise GanvasError(f"translate to which? Add  --to {' or  --to '.join(names)}")
        if to not in names:
            raise GanvasError(f"--to '{to}' is not known to this run{did_you_mean(to, names)}: choose {' or '.join(names)}")
        return able[names.index(to)]

    # One file

    def file(self, file: _Input, advance: Callable[..., None]) -> None:
        """Read it, work on each of its pictures, write the results. Raises DataError when it cannot be read."""
        from ..kinds.image.readers import read

        # Anew for each file: its result does not depend on the files before it.
        self.noise.generator.manual_seed(self.seed)
        pictures = list(read(file.path, axis=self._axis()))
        if not pictures:
            raise DataError(f"{file.path}: holds no picture")
        self.most = max(float(picture.pixels.max()) for picture in pictures)
        if self.verb in ("score", "project"):
            self._look(file, pictures)
            advance()
            return
        results: list[np.ndarray] = []
        specs: list[ImageSpec] = []
        for picture in pictures:
            pixels, spec = self._one(picture, file.path, lambda share: advance(share / len(pictures)))
            results.append(pixels)
            specs.append(spec)
        self._write(file, results, specs)

    def _one(self, picture: Picture, path: Path, advance: Callable[[float], None]) -> tuple[np.ndarray, ImageSpec]:
        """The result for one picture in file units, and what it is."""
        import torch

        from ..inference.tiles import tiled
        from ..kinds import decode, encode

        pixels, own = self._fitting(picture, path)
        image = encode(pixels[None], own).to(self.dtype)
        area = image.shape[2] * image.shape[3]
        with torch.no_grad():
            made = tiled(
                lambda piece: self.function(piece.to(self.device)),
                image,
                tile=self.tile,
                overlap=max(16, self.tile // OVERLAP),
                multiple=self.multiple,
                scale=self.scale,
                advance=lambda done: advance(done / area),
            )
        spacing = None if own.spacing is None else (own.spacing[0] / self.scale, own.spacing[1] / self.scale)
        low, high = own.low, own.high
        depth = own.depth if self.depth is None else self.depth
        if depth != own.depth:
            low, high = 0.0, 255.0 if depth == 8 else 65535.0
        spec = replace(own, height=made.shape[2], width=made.shape[3], spacing=spacing, depth=depth, low=low, high=high)
        # In strips: a large picture would otherwise exist several times over in double precision.
        strips = [decode(made[:, :, top : top + 256], spec)[0] for top in range(0, made.shape[2], 256)]
        return np.concatenate(strips), spec

    def _fitting(self, picture: Picture, path: Path) -> tuple[np.ndarray, ImageSpec]:
        """Pixels with the channels that the run works on, and which of their values are black and white."""
        from ..kinds.image.resize import convert_channels

        spec = self.spec
        try:
            pixels = convert_channels(picture.pixels, spec.channels)
        except GanvasError as error:
            raise DataError(f"{path}: {error}") from error
        if pixels.shape[2] != picture.pixels.shape[2]:
            self._note(f"{path.name}: turned into {'grey' if spec.channels == 1 else 'colour'}, which the run works on")
        low, high = self._range(picture, path)
        if not high > low:
            low, high = (float(q) for q in np.percentile(pixels, (0.1, 99.9)))
            high = high if high > low else low + 1.0
            self._note(f"{path.name}: declares no range; its 0.1 % and 99.9 % quantiles are taken for black and white")
        height, width = pixels.shape[:2]
        return pixels, ImageSpec(spec.channels, height, width, picture.depth, low, high, spacing=picture.spacing)

    def _axis(self) -> int | None:
        """Along which volumes are cut: as in training, where all were cut along one."""
        chosen: int | None = self.run.record.settings.axis
        return self.spec.axis if chosen is None else chosen

    def _range(self, picture: Picture, path: Path) -> tuple[float, float]:
        """(black, white) by the rules of training; not high > low where neither the file nor the run says them.

        A file of 8 or 16 bits that declares a range of its own (a window, the bits that are stored) is read by it. Else values
        mean what they meant in training, if the depth is that of training; if it is another, few bits used are known as such.
        """
        from ..kinds.image.filling import white_of

        spec = self.spec
        low, high = picture.low, picture.high
        whole = {8: (0.0, 255.0), 16: (0.0, 65535.0)}.get(picture.depth)
        if whole is not None and high > low and (low, high) != whole:
            return low, high
        if picture.depth != spec.depth:
            if whole is not None and high > low:
                white = white_of(picture.depth, self.most)
                if white < high:
                    used = f"{picture.depth}-bit file with values of at most {self.most:g}"
                    self._note(f"{path.name}: {used}: {white:g} counts as white")
                high = white
            return low, high
        beyond = float(((picture.pixels < spec.low) | (picture.pixels > spec.high)).mean())
        ends = f"{spec.low:g} to {spec.high:g}"
        if beyond > 0.1:
            self._note(f"{path.name}: {beyond:.0%} of its values lie beyond {ends}, black and white in training")
        elif whole is not None and self.most < spec.low + (spec.high - spec.low) / 8:
            self._note(f"{path.name}: nearly black: its values reach {self.most:g}, where {spec.high:g} was white in training")
        return spec.low, spec.high

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self.say(f"note: {text}")

    def _write(self, file: _Input, results: list[np.ndarray], specs: list[ImageSpec]) -> None:
        from ..kinds.image.writers import write_dicom, write_image, write_nifti, write_nifti_like

        path = self.out / f"{file.name}{FORMATS[file.format]}"
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        note = self._tag()
        if file.format == "npz":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, images=np.stack(results), note=np.array([f"{k}: {v}" for k, v in note.items()]))
            write_atomically(path, buffer.getvalue())
            self.written.append(path)
            return
        if file.format == "nifti":
            if results[0].shape[2] != 1:
                raise GanvasError(f"NIfTI holds grey slices, not {results[0].shape[2]} channels: add --format tiff")
            stack = np.stack([picture[..., 0] for picture in results])
            if file.path.name.lower().endswith((".nii", ".nii.gz")):
                write_nifti_like(path, stack, file.path, specs[0], axis=self._axis(), scale=self.scale, note=note)
            else:
                write_nifti(path, stack, specs[0], note=note)
            self.written.append(path)
            return
        digits = max(4, len(str(len(results))))
        for number, (pixels, spec) in enumerate(zip(results, specs, strict=True), start=1):
            own = path if len(results) == 1 else path.with_name(f"{Path(file.name).name}-{number:0{digits}d}{path.suffix}")
            if file.format == "dicom":
                write_dicom(own, pixels, spec, note=note, seed=self.seed, index=number - 1)
            else:
                write_image(own, pixels, spec, note=note)
            self.written.append(own)

    def _tag(self) -> dict[str, str]:
        record = self.run.record
        rounds = str(self.run.manifest.get("round", ""))
        return {"system": record.card.name, "ganvas": __version__, "done": self.doing, "round": rounds}

    # Looking at whole images

    def _look(self, file: _Input, pictures: list[Picture]) -> None:
        """Score or project the pictures of a file, at the size the run was trained at."""
        import torch

        from ..kinds import decode, encode
        from ..kinds.image.resize import resize

        spec = self.spec
        fit = self.run.record.settings.fit or "crop"
        prepared = []
        for picture in pictures:
            pixels, own = self._fitting(picture, file.path)
            pixels, _ = resize(pixels, (spec.height, spec.width), "crop" if fit == "patches" else fit)
            prepared.append(encode(pixels[None], own))
        names = [file.name if len(pictures) == 1 else f"{file.name}-{k + 1:04d}" for k in range(len(pictures))]
        for start in range(0, len(prepared), BATCH):
            images = torch.cat(prepared[start : start + BATCH]).to(self.device, self.dtype)
            own_names = names[start : start + BATCH]
            with torch.no_grad():
                if self.verb == "score":
                    scores, maps = self.system.anomaly(images, self.noise)
                    self._keep_scores(own_names, images.float().cpu(), scores.tolist(), maps.float().cpu().numpy())
                else:
                    latents = self.system.project(images, self.noise)
                    again = self.system.reconstruct(latents)
                    self.latents += list(latents.float().cpu().numpy())
                    self.named += own_names
                    pairs = torch.stack([images.float().cpu(), again.float().cpu()], 1).flatten(0, 1)
                    self._keep_pairs(own_names, decode(pairs, self._eight()))

    def _eight(self) -> ImageSpec:
        return replace(self.spec, depth=8, low=0.0, high=255.0)

    def _keep_scores(self, names: list[str], images: torch.Tensor, scores: list[float], maps: np.ndarray) -> None:
        from ..kinds import decode

        spec = self._eight()
        seen = decode(images, spec)
        for name, score, pixels, heat in zip(names, scores, seen, maps, strict=True):
            self.scores.append({"file": name, "score": round(float(score), 6)})
            path = self.out / "maps" / f"{name}.npz"
            with told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.savez_compressed(buffer, image=pixels, map=heat.astype(np.float32), score=np.float32(score))
            write_atomically(path, buffer.getvalue())
            self.written.append(path)

    def _keep_pairs(self, names: list[str], pairs: np.ndarray) -> None:
        from ..drawing import save_picture
        from ..kinds.image.grid import grid

        for k, name in enumerate(names):
            path = self.out / f"{name}.png"
            with told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            save_picture(path, grid(pairs[2 * k : 2 * k + 2], self._eight(), captions=("given", "nearest image")))
            self.written.append(path)

    def _draw_maps(self) -> None:
        """Pictures of the most abnormal records, on one scale: else the eye would take a quiet map for a loud one."""
        order = sorted(self.scores, key=lambda one: -one["score"])[:PICTURED]
        chosen = [self.out / "maps" / f"{one['file']}.npz" for one in order]
        held = []
        for path in chosen:
            with np.load(path, allow_pickle=False) as file:
                held.append((path.with_suffix(".png"), file["image"], file["map"]))
        most = float(np.quantile(np.concatenate([heat.ravel() for _, _, heat in held]), 0.999)) or 1.0
        for path, pixels, heat in held:
            _save_heat(path, pixels, heat / most)
            self.written.append(path)

    def finish(self) -> None:
        """What is written once for all files: the table of scores, their pictures on one scale, the latents."""
        if self.verb == "score":
            self._draw_maps()
            self.written.append(_write_scores(self.out, self.scores))
        elif self.verb == "project":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, latents=np.stack(self.latents), files=np.array(self.named))
            path = self.out / "latents.npz"
            write_atomically(path, buffer.getvalue())
            self.written.append(path)


def _save_heat(path: Path, pixels: np.ndarray, heat: np.ndarray) -> None:
    """Image, image under its heat map, and map, side by side. pixels: (H, W, C) uint8. heat: (H, W), 1 is the most."""
    from matplotlib import colormaps
    from PIL import Image

    colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)
    level = heat.clip(0, 1)
    painted = colormaps["inferno"](level)[..., :3] * 255
    share = (0.75 * np.sqrt(level))[..., None]
    mixed = colour * (1 - share) + painted * share
    row = np.concatenate([colour, mixed.astype(np.uint8), painted.astype(np.uint8)], axis=1)
    factor = max(1, min(8, 256 // max(1, pixels.shape[0])))
    enlarged = row.repeat(factor, axis=0).repeat(factor, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(enlarged)).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
