"""`ganvas apply`: a trained run put to use on files. What it does is a use (`ganvas.uses`), what files are is a kind.

Every input keeps its name, its depth and its kind of file: a 16-bit TIFF gives a 16-bit TIFF, a NIfTI volume a volume at the
same place in space. Not for drawing from noise (`draw.py`), nor for judging a run (`evaluation/`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import DataError, GanvasError, did_you_mean
from ..kinds import Kind, decode, encode, format_named, kind_of
from ..kinds.facets import Deep, Flows, Piece, Reads, WritesLike
from ..uses import Given, Use, Work, build_options, drawing, fields_given, fields_taken, find_use, spec_given, uses_of
from ..uses.desk import Desk
from ..uses.tiling import takes_one_size
from ..version import __version__
from .draw import draw, reading
from .given import GivenField, given_fields, sorted_out
from .inputs import Input, inputs_of
from .load import Run
from .opening import data_again
from .outputs import filled, moved, results

if TYPE_CHECKING:
    from torch import Tensor

OVERLAP = 8  # a tile's side divided by this is shared with its neighbour


def apply(
    run: str | Path | Run,
    inputs: Sequence[str | Path],
    *,
    out: str | Path,
    verb: str | None = None,
    format: str | None = None,
    depth: int | None = None,
    fields: Mapping[str, str] | None = None,
    seed: int = 0,
    which: str | None = None,
    device: str = "auto",
    system: Path | None = None,
    config: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    say: Callable[[str], None] | None = None,
    foresee: Callable[[Use, Work, Mapping[str, Tensor], Any], int | None] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Let a run work on files, and write what it makes into the folder `out`. Returns verb, folder, files, failed, scores.

    inputs: files or folders of every kind that training reads. verb: a use (`ganvas.uses`); by default the first that the
    system can be put to. A system that samples draws records without inputs, as `ganvas sample` does. options: of the use, such
    as to="light" (the class to translate to), tile=0 (work on large images whole) or count=10 (of what is drawn). fields:
    further fields of records of several: a file for all, or a folder with a file for each input, or words. format, depth: of
    what is written; by default those of each input (JPEG gives PNG). config: settings that a trained run takes. A file that
    cannot be read is told and left out.
    foresee: what a record that is worked on whole takes of memory (`memory.applying.foretell_use`), which is told before; where
    that is more than is free, it is worked on in pieces. Without it that is not asked.
    out: absent or empty, and whole when the call returns, or as it was. overwrite: replace what ganvas wrote there before.

    Raises GanvasError for what the run cannot do and for a used folder, DataError when no file at all could be read, RunError
    when `out` cannot be written.
    """
    say = say or (lambda text: None)
    target = Path(out)
    with results(target, "apply", overwrite=overwrite) as place:
        opened = run if isinstance(run, Run) else Run(run, which=which, device=device, system=system, config=config)
        use = _chosen(opened, verb, inputs)
        if not use.takes:
            asked = {**options, "format": format, "depth": depth, "fields": fields}
            drawn = draw(opened, verb=use.verb, seed=seed, out=place, say=say, **asked)
            made = {"inputs": 0, "failed": [], "scores": [], **{key: drawn[key] for key in ("count", "files", "notes")}}
        else:
            desk = Desk(place, say)
            for note in opened.notes:
                desk.note(note)
            job = _Job(opened, use, desk, options, fields or {}, format, depth, seed, foresee)
            made = job.all(job.inputs(inputs), progress)
    made["files"] = moved(made["files"], place, target)
    return {"verb": use.verb, "done": use.done, "folder": str(target), **made}


def _chosen(run: Run, verb: str | None, inputs: Sequence[str | Path]) -> Use:
    """What is to be done. Raises GanvasError when the system cannot."""
    name, able = run.record.card.name, uses_of(run.system)
    working = [use for use in able if use.takes]
    drawn = drawing(run.system)
    if verb is None and not inputs and drawn is not None:
        return drawn
    known = [word for use in able for word in (use.verb, *use.aliases)]
    if not working and (verb is None or verb not in known):
        if verb is not None and (close := did_you_mean(verb, known)):
            raise GanvasError(f"{name} is put to no use called '{verb}'{close}")
        raise GanvasError(f"{name} draws from noise and takes no input: use  ganvas sample {run.record.path}")
    use = working[0] if verb is None else find_use(run.system, verb, name)
    if not use.takes and inputs:
        other = f", or say what to do with it, as in  --as {working[0].verb}" if working else ""
        raise GanvasError(f"{use.says.doing} takes no input: leave out {inputs[0]}{other}")
    return use


class _Job:
    """One use of one run, on one file after the other."""

    def __init__(
        self, run: Run, use: Use, desk: Desk, options: Mapping[str, Any], fields: Mapping[str, str], format: str | None,
        depth: int | None, seed: int, foresee: Any = None,
    ) -> None:  # fmt: skip
        self.run, self.use, self.desk, self.depth, self.foresee = run, use, desk, depth, foresee
        self.tiles: dict[tuple[int, ...], int] = {}  # shapes of records that were to be worked on whole -> side of the pieces
        self.work = work = run.work(seed, desk.say)
        work.data = None if run.record.settings.data == "array" else lambda: data_again(run.record)
        first, _ = fields_taken(use, run.system, work.fields)
        assert first is not None
        self.first = first
        self.spec = spec_given(use, work, first)
        kind = kind_of(self.spec.kind)
        if not isinstance(kind, Reads):
            raise GanvasError(f"{work.place} works on {self.spec.kind}: there is no way yet to {use.verb} files of that kind")
        self.kind: Kind = kind
        made = [name for name in fields_given(use, work.fields) if name in work.fields]
        self.made = made[0] if made and use.keep is None else None  # the field that is written like the input
        self.beside = made[0] if made and use.keep is not None else None  # the same, beside what the use keeps
        if self.made is None and self.beside is None and (format is not None or depth is not None):
            what = "format" if format is not None else "depth"
            raise GanvasError(f"--{what} is for records that are made; this run {use.does}, which has files of its own")
        own, named = sorted_out(use, work, options)
        self.options = build_options(use, own, uses_of(run.system))
        self.doing = use.done if use.tell is None else use.tell(work, self.options)
        brought = use.fitted or getattr(self.options, "fitted", False) or takes_one_size(run.system)
        self.settings = reading(run, fitted=brought, seed=seed)
        self.given: dict[str, GivenField] = given_fields(use, work, {**named, **fields}, self.settings)
        format = format or use.writes or None
        self.format = None if format is None else format_named(kind_of(self.out_spec.kind), format)

    @property
    def out_spec(self) -> Any:
        """Of the field that is written."""
        return self.work.fields[self.made or self.beside or self.work.main]

    def inputs(self, places: Sequence[str | Path]) -> list[Input]:
        """The files in order, each with the name of its result. Raises GanvasError when two results would share a name."""
        kind = kind_of(self.out_spec.kind)
        usual = self.format or getattr(self.out_spec, "format", kind.formats[0])
        writes = self.made is not None or self.beside is not None

        def format(file: Path) -> str:
            like = kind is self.kind and isinstance(kind, WritesLike) and self.format is None
            return "" if not writes else kind.format_like(file) if like and isinstance(kind, WritesLike) else str(usual)

        return inputs_of(places, self.kind, self.use.suffixes, format, alone=self.made is not None, note=self.desk.note)

    def all(self, files: list[Input], progress: bool) -> dict[str, Any]:
        """Every file, and what belongs to all of them. Raises DataError when none could be read."""
        from ..store.progress import bar

        failed: list[str] = []
        with bar(self.use.says.doing, files, progress) as advance:
            for file in files:
                try:
                    self.one(file, advance)
                except DataError as error:
                    failed.append(str(error))
                    if len(files) > 1:  # of a single file the error says it
                        self.desk.say(f"left out: {error}")
        if failed and len(failed) == len(files):
            raise DataError(failed[0] if len(failed) == 1 else f"none of {len(files)} files could be read: {failed[0]}")
        if self.use.finish is not None:
            self.use.finish(self.work, self.desk, self.options)
        self.desk.finish()
        return {
            "inputs": len(files) - len(failed),
            "files": [str(path) for path in self.desk.written],
            "failed": failed,
            "scores": self.desk.rows,
            "notes": self.desk.notes,
            **self.desk.facts,
        }

    def one(self, file: Input, advance: Callable[..., None]) -> None:
        """Read a file, work on its pieces, write the results. Raises DataError when it cannot be read."""
        self.desk.comes_from(file.name, file.known)
        self.work.renew()  # its result does not depend on the files before it
        own = False if self.use.file is None else self.use.file(self.work, self.desk, file.path, file.name, self.options)
        if own:
            if not isinstance(own, bool):
                self.write(file, own)
            advance()
            return
        assert isinstance(self.kind, Reads)
        beside = {name: field.of(file.name) for name, field in self.given.items()}
        if self.flows:
            self.write(file, self.flowing(file, beside, advance))
            return
        pieces = list(self.kind.read(file.path, self.spec, self.settings))
        if self.use.complete is not None:
            whole = self.use.complete(file.known, Given(pieces, beside))
            pieces, beside = whole.pieces, whole.beside
        for piece in (*pieces, *(piece for own in beside.values() for piece in own)):
            for note in piece.notes:
                self.desk.note(note)
        self.desk.values_beyond(file.known, pieces, self.use)
        count = sum(len(piece.records) for piece in pieces)
        spread = self.kind.spread if isinstance(self.kind, WritesLike) and len(self.work.fields) > 1 else 0
        learnt, *sizes = (tuple(spec.shape[len(spec.shape) - spread :]) for spec in (self.spec, *(own.spec for own in pieces)))
        other = next((size for size in sizes if size != learnt), None)
        if takes_one_size(self.work.system):
            size = "x".join(map(str, self.spec.shape[1:]))
            self.desk.note(f"{self.work.name} takes records of {size} alone: others are brought to that size")
        elif other is not None and getattr(self.options, "fitted", None) is False:
            told, own_size = ("x".join(map(str, size)) for size in (learnt, other))
            self.desk.note_first(
                "own scale",
                f"{file.known} is of {own_size}, the run learnt {told}: it is taken at its own scale; "
                "--fitted brings it to that size first",
            )
        for name, own in beside.items():
            others = sum(len(piece.records) for piece in own)
            if others not in (1, count) and name not in self.use.together:
                raise DataError(f"{file.path}: holds {count} records and {others} of {name}: give one, or as many")
        if self.made is None:
            self.look(file, pieces, beside)
            advance()
            return
        made: list[Piece] = []
        for place, piece in enumerate(pieces):
            chosen = self.beside_of(place, beside)
            result = self.worked(piece, chosen, file.path, lambda share: advance(share / len(pieces)))
            made.append(result if self.use.mend is None else self.use.mend(piece, result, chosen))
        self.write(file, made)

    @property
    def flows(self) -> bool:
        """Whether files are worked on stretch by stretch, as they are read and written."""
        both = isinstance(self.kind, Flows) and self.made is not None and kind_of(self.out_spec.kind) is self.kind
        return both and self.use.complete is None

    def flowing(self, file: Input, beside: Mapping[str, list[Piece]], advance: Callable[..., None]) -> Iterator[Piece]:
        """What is made of a file's stretches, each when it is asked for, with the same noise."""
        assert isinstance(self.kind, Reads) and isinstance(self.kind, Flows)
        total = self.kind.pieces_in(file.path, self.spec, self.settings)
        for own in beside.values():
            for note in (note for piece in own for note in piece.notes):
                self.desk.note(note)
        for name, own in beside.items():
            if len(own) not in (1, total) and name not in self.use.together:
                raise DataError(
                    f"{file.path}: {len(own)} records of {name} do not go with {total} stretches: give one, or as many"
                )
        for place, piece in enumerate(self.kind.read(file.path, self.spec, self.settings)):
            for note in piece.notes:
                self.desk.note(note)
            self.desk.values_beyond(file.known, [piece], self.use)
            self.work.renew()
            chosen = self.beside_of(place, beside)
            result = self.worked(piece, chosen, file.path, lambda share: advance(share / total))
            yield replace(result if self.use.mend is None else self.use.mend(piece, result, chosen), follows=piece.follows)

    def beside_of(self, place: int, beside: Mapping[str, list[Piece]]) -> dict[str, Piece]:
        """The further fields that go with a piece: its own, or the only one, or all at once."""
        import numpy as np

        return {
            name: replace(own[0], records=np.concatenate([piece.records for piece in own]))
            if name in self.use.together
            else own[place if len(own) > 1 else 0]
            for name, own in beside.items()
        }

    def worked(self, piece: Piece, beside: Mapping[str, Piece], path: Path, advance: Callable[[float], None]) -> Piece:
        """What is made of a piece of its own size, in file units. Raises DataError for a further field of another size."""
        import torch

        from ..inference.tiles import tiled

        work, use, kind, made_name = self.work, self.use, kind_of(self.out_spec.kind), self.made
        assert made_name is not None
        record = self.tensor(piece)
        # What is made of a picture need not lie beside it: a solid.
        spread = self.kind.spread if isinstance(self.kind, WritesLike) and isinstance(kind, WritesLike) else 0
        sides = record.shape[record.dim() - spread :]
        further = {name: self.tensor(own) for name, own in beside.items()}
        # What it makes lies beside it in space, but a given example of that (a style) is looked at whole.
        apart = {work.main, *use.together}
        along = {name: own for name, own in further.items() if spread and _spread(beside[name]) == spread and name not in apart}
        for name, own in along.items():
            if own.shape[own.dim() - spread :] != sides:
                told = ("x".join(map(str, shape)) for shape in (own.shape[own.dim() - spread :], sides))
                raise DataError(f"{path}: its {name} is of {next(told)}, it is of {next(told)}: give one of the same size")
        whole = {name: own.to(work.device) for name, own in further.items() if name not in along}
        before = work.noise.generator.get_state()

        def function(first: Tensor, *others: Tensor) -> Tensor:
            work.noise.generator.set_state(before)  # a style is that of the whole record, not of a tile
            cut = {name: own.to(work.device) for name, own in zip(along, others, strict=True)}
            result: Tensor = use.run(work, {self.first: first.to(work.device), **cut, **whole}, self.options)[made_name]
            return result

        scale, area, multiple = use.grows(work.system), math.prod(sides), getattr(work.system, "multiple", 1) or 1
        tile = None if takes_one_size(work.system) or use.cuts else getattr(self.options, "tile", None)
        if tile == 0 and self.foresee is not None:
            tile = self.fitting(record, {**along, **further}, len(sides), multiple)
        tile = tile or 0
        with torch.no_grad():
            made = tiled(
                function,
                record,
                *along.values(),
                tile=tile,
                overlap=max(16, tile // OVERLAP),
                multiple=multiple,
                scale=scale,
                spread=spread,
                advance=lambda done: advance(done / area),
            )
        spec = piece.spec if made_name == self.first else self.out_spec
        if isinstance(kind, WritesLike):
            spec = kind.resized(spec, tuple(made.shape[1:]), piece.spec if kind is self.kind else None, scale)
        return self.stored(made, spec)

    def fitting(self, record: Tensor, further: Mapping[str, Tensor], spread: int, multiple: int) -> int:
        """The side of pieces for a record that was to be worked on whole: 0 where that fits into memory, which is told."""
        import torch

        from ..doctor import memory_of

        sides = record.shape[record.dim() - spread :]
        if sides not in self.tiles:
            grown = tuple(-(-side // multiple) * multiple for side in sides)
            given = {
                name: torch.empty((*own.shape[: own.dim() - spread], *grown), dtype=own.dtype, device="meta")
                if own.shape[own.dim() - spread :] == sides
                else own
                for name, own in {self.first: record, **further}.items()
            }
            need, free = self.foresee(self.use, self.work, given, self.options), memory_of(str(self.work.device))[1]
            usual = int(type(self.options)().tile)
            what = f"{'x'.join(map(str, sides))} at once is expected to take {(need or 0) / 1e9:.1f} GB of memory"
            self.tiles[sides] = 0
            if need is not None and free and need > free and max(sides) > usual:
                self.tiles[sides] = usual
                self.desk.note(f"{what}, and {free / 1e9:.1f} GB are free: worked on in pieces of {usual} instead of --tile 0")
            elif need is not None:
                self.desk.say(f"{what}; {free / 1e9:.1f} GB are free")
        return self.tiles[sides]

    def tensor(self, piece: Piece) -> Tensor:
        """On the CPU, in the precision of the system: a large record goes to the device in tiles."""
        made = encode(piece.records, piece.spec)
        return made.to(self.work.dtype) if made.is_floating_point() else made

    def write(self, file: Input, made: Iterable[Piece]) -> None:
        """What was made of a file, in the form of that file where it is of the same kind; of records that were brought to the
        size of training, in its format alone."""
        import numpy as np

        kind, record = kind_of(self.out_spec.kind), self.run.record
        rounds = str(self.run.manifest.get("round", ""))
        note = {"system": record.card.name, "ganvas": __version__, "done": self.doing, "round": rounds}
        if isinstance(kind, WritesLike):
            self.desk.written += kind.write_like(
                cast("Sequence[Piece]", made) if isinstance(kind, Flows) else list(made),
                self.desk.out / file.name,
                file.path if kind is self.kind and self.beside is None else None,
                format=file.format,
                depth=self.depth,
                settings=self.settings,
                scale=self.use.grows(self.work.system),
                note=note,
            )
            return
        folder = self.desk.path(f"{file.name}/samples").parent
        made = list(made)
        records = np.concatenate([piece.records for piece in made])
        kept, told = filled(kind, records, file.name)
        for line in told:
            self.desk.note(f"{file.name}: {line}")
        records = records[kept]
        self.desk.written += kind.write(records, made[0].spec, folder, format=file.format, depth=self.depth, note=note)

    def look(self, file: Input, pieces: list[Piece], beside: Mapping[str, list[Piece]]) -> None:
        """Records of the size of training, some at once; their results are kept by the use, or as numbers and arrays."""
        total = sum(len(piece.records) for piece in pieces)
        names = [file.name] if total == 1 else [f"{file.name}-{k + 1:04d}" for k in range(total)]
        for number, name in enumerate(names if total > 1 else (), start=1):
            self.desk.comes_from(name, file.known, number)
        if total > 1:
            self.desk.several.append((file.path, file.name, names, self.settings))
        made: list[Piece] = []
        # Records of the size of training go through together, others a piece at a time.
        groups = [pieces] if self.use.fitted else [[piece] for piece in pieces]
        start = 0
        for group in groups:
            count = sum(len(piece.records) for piece in group)
            size = self.use.batch or count
            fields = {name: self.joined(own, start, count) for name, own in beside.items()}
            fields = {self.first: self.joined(group, 0, count), **fields}
            for first in range(0, count, size):
                part = slice(first, min(first + size, count))
                made += self.looked(names[start + part.start : start + part.stop], {k: own[part] for k, own in fields.items()})
            start += count
        if made:
            self.write(file, made)

    def joined(self, pieces: Sequence[Piece], start: int, count: int) -> Tensor:
        """`count` records of pieces from `start` on; a lone one stands for each."""
        import torch

        found = torch.cat([self.tensor(piece) for piece in pieces])
        return found.expand(count, *found.shape[1:]) if len(found) == 1 else found[start : start + count]

    def looked(self, names: list[str], fields: Mapping[str, Tensor]) -> list[Piece]:
        """What is found of records; returns those that were made, as far as the use does not keep them in its own way."""
        import torch

        given = {name: own.to(self.work.device) for name, own in fields.items()}
        with torch.no_grad():
            made = self.use.run(self.work, given, self.options)
        if self.use.keep is not None:
            self.use.keep(self.work, self.desk, names, given, made)
        drawn = [] if self.beside not in made else [self.stored(made.pop(self.beside), self.out_spec)]
        self.desk.take(names, made)
        return drawn

    def stored(self, made: Tensor, spec: Any) -> Piece:
        """Records in the depth that was asked for."""
        kind = kind_of(spec.kind)
        if self.depth is not None and isinstance(kind, Deep):
            spec = kind.stored(spec, self.format or kind.formats[0], self.depth)
        return Piece(decode(made, spec), spec)


def _spread(piece: Piece) -> int:
    kind = kind_of(piece.spec.kind)
    return kind.spread if isinstance(kind, WritesLike) else 0
