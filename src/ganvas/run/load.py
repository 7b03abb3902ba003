"""Opening a run that was trained: its settings, its system with weights, its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import build_config, knobs
from ..errors import GanvasError
from ..kinds import spec_from_dict
from ..registry import Card, find, load_system
from ..uses import Work
from . import checkpoint, published
from .settings import FILE, Settings, build_settings, read_yaml


@dataclass
class RunRecord:
    """What `config.yaml` of a run says. Reading it imports no torch.

    attempt: how often the run was started again because of an alarm; each attempt has a seed of its own, and the split of
    the data stays that of the first.
    """

    path: Path
    card: Card
    settings: Settings
    config: dict[str, Any]
    fields: dict[str, Any]
    data: dict[str, Any]
    attempt: int = 0

    @property
    def spec(self) -> Any:
        """Of the main field: what the system makes."""
        return next(iter(self.fields.values()))

    @property
    def learnt(self) -> int:
        """Records that are learnt from: all of the training part, or those of the classes that the system is dealt."""
        return int(self.data["learnt"]["records"])

    @property
    def learnt_text(self) -> str:
        """`467 training records`, or `104 of 467 training records (class normal)`."""
        return learnt_text(self.learnt, int(self.data["train"]), self.data["learnt"]["classes"])

    @property
    def seed(self) -> int:
        """Of weights, order and noise in this attempt."""
        return (self.settings.seed + 104_729 * self.attempt) % 2**31


def read_run(path: Path | str) -> RunRecord:
    """The settings of a run folder. Raises GanvasError when it is not one."""
    path = Path(path)
    if not path.exists():
        raise GanvasError(f"{path}: no such run folder")
    exported = not (path / FILE).is_file() and published.is_published(path)
    if not (path / FILE).is_file() and not exported:
        raise GanvasError(f"{path}: not a run folder (it has no {FILE}); runs are made by  ganvas train")
    values = published.values_of(path) if exported else read_yaml(path / FILE)
    try:
        card = _card(path, str(values["system"]), values.get("system_file"))
        fields = {str(name): spec_from_dict(spec) for name, spec in values["fields"].items()}
        settings = build_settings(values["run"], where=str(path / FILE))
        place = values["data"].get("place")
        # Named relative to another working folder: the place is the same, and a wrong one would not have its fingerprint.
        if place and str(place) != place_of(settings.data) and place_of(str(place)) is not None:
            settings = replace(settings, data=str(place))
        attempt = int(values.get("attempt", 0))
        return RunRecord(path, card, settings, dict(values["config"]), fields, dict(values["data"]), attempt)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = path / (published.CONFIG if exported else FILE)
        raise GanvasError(f"{where}: incomplete or changed by hand ({error})") from error


def learnt_text(records: int, train: int, classes: Sequence[str]) -> str:
    """How many of the training records are learnt from, and of which classes."""
    of = f" ({'class' if len(classes) == 1 else 'classes'} {' and '.join(classes)})" if classes else ""
    return f"{train:,} training records{of}" if records == train else f"{records:,} of {train:,} training records{of}"


def place_of(data: str) -> str | None:
    """Where data lies that a user named, absolute; None for phantoms and for what is not there."""
    from ..data.finding import packed_of

    if (packed := packed_of(data)) is not None:
        return packed.place if packed.is_there() else None
    path = Path(data).expanduser()
    try:
        return str(path.absolute()) if path.exists() else None
    except OSError:
        return None


def _card(path: Path, name: str, file: Any) -> Card:
    """The card of a run's system. A run made with a system file needs that file named again: code is never taken from a run."""
    if name.endswith(".py"):
        raise GanvasError(f"{path / FILE}: 'system: {name}' is a file; a run names a system, the user names its file")
    try:
        return find(name)
    except GanvasError:
        if file is None:
            raise
        raise GanvasError(
            f"{path} was trained with the system file {file}, which is not part of ganvas: name it again, with  --system PATH  "
            f"(ganvas sample) or as SYSTEM (ganvas train PATH --resume {path})"
        ) from None


def given_spec(card: Card, fields: Mapping[str, Any]) -> Any:
    """What a system is built from: the spec of its records, or, where these have several fields, the spec of each by name."""
    return dict(fields) if card.fields or len(fields) > 1 else next(iter(fields.values()))


def build_system(record: RunRecord, changes: Mapping[str, Any] | None = None) -> Any:
    """The run's system with fresh weights, on the CPU. changes: settings that a trained run takes (`knob(later=True)`).

    Raises GanvasError for a change of any other setting.
    """
    _, _, system_class = load_system(str(record.card.path) if not record.card.module else record.card.name)
    config_class = system_class.Config
    config = build_config(config_class, record.config, where=str(record.path / FILE))
    if changes:
        changed = vars(build_config(config_class, dict(changes)))  # says what is wrong with names and values
        later = [k.name for k in knobs(config_class) if k.later]
        for name in (key.replace("-", "_") for key in changes):
            if name not in later:
                which = f"may be changed now: {', '.join(later)}" if later else "nothing of it can be changed now"
                raise GanvasError(f"--set {name}: it was fixed when {record.path} was trained; {which}")
            config = replace(config, **{name: changed[name]})
    return system_class(given_spec(record.card, record.fields), config)


def put_weights(system: Any, weights: dict[str, Any], where: Path) -> None:
    """Load weights into a system. Raises GanvasError naming the first tensor that does not fit."""
    own = system.state_dict()
    for name in dict.fromkeys((*own, *weights)):
        if name not in own or name not in weights or own[name].shape != weights[name].shape:
            raise GanvasError(f"{where}: its weights do not fit this system (first difference: '{name}')")
    system.load_state_dict(weights)


class Run:
    """A trained run. `ganvas.load("runs/cxr").sample(64)` -> (64, H, W, C) array in file units.

    which: `last`, `previous` or `best`; None takes `last`, or `best` where the run's own alarms say that it is the better
    one (`checkpoint.preferred`), and `notes` then say so.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        which: str | None = None,
        device: str = "cpu",
        system: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        from ..parallel import exactly, pick_device

        if system is not None:
            find(str(system))
        self.record = read_run(path)
        self.which, told = checkpoint.preferred(self.record.path) if which is None else (which, "")
        self.notes = [told] if told else []
        loaded = checkpoint.load(self.record.path, self.which)
        if loaded is None:
            raise GanvasError(f"{path} has no checkpoint yet: go on with  ganvas train --resume {path}")
        weights, _, self.manifest = loaded
        self.system = build_system(self.record, config)
        if any(t.is_floating_point() and t.dtype.itemsize == 8 for t in weights.values()):
            self.system.double()
        put_weights(self.system, weights, self.record.path)
        place = pick_device(device)
        exactly(place)
        self.system.to(place).eval()
        self.spec = self.record.spec

    def work(self, seed: int = 0, say: Any = None) -> Work:
        """What a use works with (`ganvas.uses`). say: told when something has to be found out first."""
        from ..inference.directions import directions_of

        return Work(
            self.system,
            self.record.fields,
            seed,
            name=self.record.card.name,
            place=str(self.record.path),
            learnt=self.record.learnt,
            directions=lambda: directions_of(self, say),
            kept=self.kept,
        )

    def kept(self, name: str, facts: Any, find: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Arrays that were found for these weights, settings and facts: kept beside the checkpoints (`store.kept`)."""
        from ..store.kept import kept

        weights = self.manifest["files"]["weights.safetensors"]["sha256"]
        place = self.record.path / "checkpoints" / f"{name}.npz"
        return kept(place, [weights, vars(self.system.config), facts], find)

    def use(self, verb: str, records: Any = None, *, seed: int = 0, **given: Any) -> dict[str, Any]:
        """Put the run to a use, as `ganvas apply --as VERB` does, on records in memory: name -> array of what it gives.

        records: of the field that is worked on, in file units and of one size; None where it makes them from noise. given:
        options of the use and further fields, by name; texts for fields of words. Fields come back in file units.
        Raises GanvasError for what the run cannot do.
        """
        import numpy as np
        import torch

        from ..kinds import decode
        from ..uses import build_options, fields_taken, find_use, pieces_of, spec_given
        from ..uses.tiling import takes_one_size

        use = find_use(self.system, verb, self.record.card.name)
        work = self.work(seed)
        first, more = fields_taken(use, self.system, work.fields)
        specs = {name: spec_given(use, work, name) for name in (*more, *((first,) if first else ()))}
        fields = {name: _as_record(name, given.pop(name), specs[name]) for name in list(given) if name in more}
        lacking = [name for name, must in more.items() if must and name not in fields]
        if lacking or (records is None) != (first is None):
            what = lacking[0] if lacking else first or "nothing"
            raise GanvasError(f"{work.name} needs {what} to {use.verb}: give it")
        tensors = {} if first is None else {first: work.encode(np.asarray(records), specs[first])}
        if first is not None and takes_one_size(self.system):
            shape, wanted = tuple(tensors[first].shape[1:]), tuple(specs[first].shape)
            if shape != wanted:
                raise GanvasError(
                    f"{work.name} takes records of the shape {wanted} alone, not {shape}: bring them to that size"
                )
        tensors |= {name: work.encode(np.asarray(values), specs[name]) for name, values in fields.items()}
        with torch.no_grad():
            try:
                made = use.run(work, tensors, build_options(use, given))
            except (RuntimeError, ValueError) as error:
                if first is None or (odd := _odd_one(tensors, first)) is None:
                    raise
                raise GanvasError(odd) from error
            found = {}
            for name, value in made.items():
                own = work.fields.get(name)
                pieces = [piece.numpy() if own is None else decode(piece, own) for piece in pieces_of(value)]
                found[name] = np.concatenate(pieces)
        return found

    def field(self, name: str, value: Any) -> Any:
        """Records of a further field: an array as it is, or text where its kind makes a record of words."""
        return _as_record(name, value, self.record.fields[name])

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        label: str | int | None = None,
        depth: int | None = None,
        moves: Mapping[str, float] | None = None,
        codes: Mapping[str, float] | None = None,
        attributes: Mapping[str, str | float] | None = None,
        sweep: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Any:
        """`count` new records in file units: images (N, H, W, C) in uint8/uint16/float32, points (N, D) float32.

        label: a class name or index, for systems that take one; without it they make the classes in turn (`labels_for`).
        depth: 8, 16 or 32 bits, the data's own by default.
        moves: by how many standard deviations latents are moved along directions with names, such as {"brightness": 2}
        (`ganvas.inference.directions`). codes: of systems that found some, as {"0": 3, "1": 2.0}. attributes: of systems that
        learnt some, as {"hair": "blue"}, or of runs that learnt properties, as {"decay": 0.2} or {"brightness": "+1sd"}; others
        are as the records have them that were learnt from. sweep: `brightness=-2..2:9`, of which `count` is the number of
        series, so that there are nine times as many records, series by series. fields: what is asked for
        besides, as {"caption": "a red bird"} or arrays, which are taken in turn. Raises GanvasError for a label, a code, an
        attribute or a direction the run does not know.
        """
        import numpy as np

        from ..kinds import decode
        from ..uses import build_options, find_use, pieces_of, verbs_of

        if "sample" not in verbs_of(self.system):
            raise GanvasError(
                f"{self.record.path}: {self.record.card.name} makes nothing from noise alone: give it images, with  "
                f"ganvas apply {self.record.path} FILE ..."
            )
        use, work = find_use(self.system, "sample"), self.work(seed)
        move = tuple(f"{name}={amount!r}" for name, amount in (moves or {}).items())
        code = tuple(f"{name}={value!r}" for name, value in (codes or {}).items())
        shown = tuple(f"{name}={value}" for name, value in (attributes or {}).items())
        asked = {
            "count": count,
            "label": None if label is None else str(label),
            "move": move,
            "code": code,
            "attributes": shown,
            "sweep": sweep,
        }
        options = build_options(use, asked)
        given = {name: work.encode(self.field(name, value), work.fields[name]) for name, value in (fields or {}).items()}
        made = use.run(work, given, options)
        return np.concatenate([decode(piece, self.spec, depth) for piece in pieces_of(made[work.main])])

    def labels_for(self, count: int, label: str | int | None = None) -> Any:
        """Which classes `sample` asks for: (count,) int64 indices into `spec.classes`, or None for a system without labels.

        label: one for all; without it the classes come in turn, so that each is there as often as any other. Raises GanvasError
        for a class the run does not know.
        """
        from ..uses.sample import labels_of

        return labels_of(self.work(), count, label)


def _odd_one(tensors: Mapping[str, Any], first: str) -> str | None:
    """What to say of the first field that has another number of records than the first, or other sides."""
    count, sides = len(tensors[first]), tuple(tensors[first].shape[2:])
    for name, own in tensors.items():
        other = tuple(own.shape[2:])
        if len(own) != count:
            return f"{name}: {len(own)} records, of {first} there are {count}: give as many"
        if len(other) == len(sides) and other != sides:
            told = ("x".join(map(str, size)) for size in (other, sides))
            return f"{name}: records of {next(told)}, those of {first} are of {next(told)}: give both in one size"
    return None


def _as_record(name: str, value: Any, spec: Any) -> Any:
    """See `Run.field`."""
    from ..kinds import kind_of
    from ..kinds.facets import Worded

    kind = kind_of(spec.kind)
    if not isinstance(value, str):
        return value
    if not isinstance(kind, Worded):
        raise GanvasError(f"{name}: {kind.says.noun} are no text: give an array")
    return kind.encode_text(value, spec)[0]
