"""The training stream: endless shuffled batches from a data set, whose position is one number.

Record k of the stream is entry k mod n of the permutation of epoch k div n, so batches run across epochs, none is smaller
than the others, and any position can be returned to exactly. Several processes cut each batch into contiguous shares.

Of records that stay in shards (`data.shards`) the permutation goes through the shards in a random order and shuffles within a
window, so that what is read lies close together; each process has shards of its own, and goes through them at its own pace.
What comes next is known, and is decoded in the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..batches import Batch, Noise
from ..errors import GanvasError, RunError
from ..game import Feed
from ..kinds import encode, kind_of
from ..kinds.facets import Balanced, Streams
from .balancing import ASKED, Lots
from .classes import is_unlabelled
from .dataset import Dataset
from .shard_values import AHEAD, WINDOW, Expects


class _Order:
    """The endless order of the records that are dealt together.

    indices: the records. seed: of the order. groups: (N,) of all records, where a second record of the same group is wanted.
    shards: (N,) of all records, where these are read shard after shard.
    """

    def __init__(
        self, indices: np.ndarray, seed: int, groups: np.ndarray | None, shards: np.ndarray | None = None
    ) -> None:  # fmt: skip
        self.indices, self.seed, self.shards = indices, seed, shards
        self.members: dict[int, np.ndarray] = {}
        if groups is not None:
            order = np.argsort(groups[indices], kind="stable")
            numbers, starts = np.unique(groups[indices][order], return_index=True)
            parts = np.split(indices[order], starts[1:])
            self.members = {int(n): part for n, part in zip(numbers, parts, strict=True) if len(part) > 1}
            self.indices = indices[np.isin(groups[indices], list(self.members))]
        self.groups = groups
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        self._ranks: list[_Order] = []

    def share(self, position: int, batch: int, rank: int, world: int) -> tuple[np.ndarray, np.ndarray | None]:
        """`rows` of the share that a process has of the batch at a position."""
        if world == 1 or self.shards is None:
            return self.rows(position + rank * (batch // world), batch // world)
        if not self._ranks:
            ranks = divided(self.shards[self.indices], world)
            self._ranks = [
                _Order(self.indices[ranks == own], self.seed + 104_729 * own, self.groups, self.shards) for own in range(world)
            ]
        return self._ranks[rank].rows(position // world, batch // world)

    def rows(self, start: int, share: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Records `start` .. `start` + `share` of the order (share,), and another of the group of each."""
        count, place, chosen, others = len(self.indices), start, [], []
        while place < start + share:
            epoch, offset = divmod(place, count)
            take = min(count - offset, start + share - place)
            order, partner = self._epoch(epoch)
            chosen.append(order[offset : offset + take])
            others.append(order[:0] if partner is None else partner[offset : offset + take])
            place += take
        return np.concatenate(chosen), None if self.groups is None else np.concatenate(others)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        if epoch not in self._epochs:
            rng = np.random.default_rng([self.seed, epoch])
            order = self.indices[self._mixed(rng)]
            partner = None
            if self.groups is not None:
                other = np.empty(len(self.groups), np.int64)
                for part in self.members.values():
                    mixed = rng.permutation(part)
                    other[mixed] = np.roll(mixed, 1)  # nobody is his own partner
                partner = other[order]
            self._epochs = {k: v for k, v in self._epochs.items() if k >= epoch - 1}
            self._epochs[epoch] = order, partner
        return self._epochs[epoch]

    def _mixed(self, rng: np.random.Generator) -> np.ndarray:
        if self.shards is None or len(self.indices) <= WINDOW:
            return rng.permutation(len(self.indices))
        return windowed(self.shards[self.indices], WINDOW, rng)


def windowed(shards: np.ndarray, window: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation (n,) of records that lie in shards (n,): shards in a random order, and records moved within a window.

    A record comes less than `window` places before or behind where its shard has it: when one is dealt, all that lie a window
    before it have been, and none that lie behind it is needed.
    """
    number, of = np.unique(shards, return_inverse=True)
    turn = rng.permutation(len(number))[of.reshape(-1)]
    read = np.argsort(turn, kind="stable")
    found: np.ndarray = read[np.argsort(np.arange(len(shards)) + window * rng.random(len(shards)), kind="stable")]
    return found


def divided(shards: np.ndarray, world: int) -> np.ndarray:
    """Which process (n,) has each record: whole shards, the largest first to whom has least; of fewer shards than processes
    every record in turn."""
    number, of, sizes = np.unique(shards, return_inverse=True, return_counts=True)
    if len(number) < world:
        return np.arange(len(shards)) % world
    load, owner = np.zeros(world, np.int64), np.zeros(len(number), np.int64)
    for shard in np.argsort(-sizes, kind="stable"):
        owner[shard] = int(load.argmin())
        load[owner[shard]] += sizes[shard]
    found: np.ndarray = owner[of.reshape(-1)]
    return found


def told_of_sharing(dataset: Dataset, world: int) -> list[str]:
    """What the user should know of how records in shards are shared by processes."""
    if dataset.shards is None or world == 1:
        return []
    shards = len(np.unique(dataset.shards[dataset.train_indices()]))
    if shards < world:
        return [f"{shards} shards are fewer than {world} processes: each reads all of them, and has every {world}th record"]
    return [f"each of {world} processes reads shards of its own, of {shards}: not to the bit the game of one process"]


class DatasetStream:
    """Batches of a Dataset's training part, as a `Feed` says.

    batch_size: over all processes. seed: of the order. Raises GanvasError when the batch cannot be shared equally, or when
    nothing is left to deal.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, *, seed: int = 0, world: int = 1, feed: Feed | None = None
    ) -> None:  # fmt: skip
        feed = Feed() if feed is None else feed
        if batch_size % world:
            raise GanvasError(f"a batch of {batch_size} cannot be shared by {world} processes: use a multiple of {world}")
        self.dataset, self.feed, self.seed, self.world = dataset, feed, seed, world
        self.names = field_names(dataset, feed)
        self.position = 0
        self._own_batch_size = batch_size
        groups = dataset.groups if feed.second else None
        if feed.of:
            # Other orders for the second name: where both have as many records, equal orders would pair them.
            self.orders: dict[tuple[str, ...], _Order] = {
                (name,): _Order(self._indices(feed.of[name]), seed + 7919 * i, groups, dataset.shards)
                for i, name in enumerate(self.names)
            }
        else:
            self.orders = {tuple(self.names): _Order(self._indices(None), seed, groups, dataset.shards)}
        if not all(len(order.indices) for order in self.orders.values()):
            raise GanvasError(f"{dataset.source}: no group has two records, as pairs need: name groups in groups.csv")
        self.lots = self._lots()
        self.configure()

    def _lots(self) -> Lots | None:
        """Where records are drawn by their values: how. Data in which nothing has values to choose from is dealt as ever."""
        kind = kind_of(self.dataset.spec.kind)
        if not self.feed.balanced or not isinstance(kind, Balanced):
            return None
        rows = next(iter(self.orders.values())).indices
        states = kind.states(np.asarray(self.dataset.values[rows]), self.dataset.spec)
        return Lots(states, rows, self.seed) if states.shape[1] else None

    def _by_lot(self, position: int, batch: int, own: slice, noise: Noise) -> Batch:
        assert self.lots is not None
        rows, asked = self.lots.drawn(position, batch, own)
        fields = fields_of(self.dataset, self.names, dict.fromkeys(self.names, rows), noise)
        fields[ASKED] = torch.from_numpy(asked).to(noise.generator.device, non_blocking=True)
        return Batch(noise, fields, labels_of(self.dataset, rows, noise))

    def _indices(self, only: Only) -> np.ndarray:
        indices = _dealt(self.dataset, self.feed, only)
        if len(indices) == 0:
            names = [f"'{self.dataset.spec.classes[own]}'" for own in _each(only) if self.dataset.spec.classes]
            of = f" of class {' or '.join(names)}" if names else ""
            of = of or (" with a label" if self.feed.labelled else "")
            raise GanvasError(f"{self.dataset.source}: no record{of} is left for training; lower --heldout")
        return indices

    def configure(self, **overrides: Any) -> None:
        """A phase's own `batch_size` and `size` ((height, width) to which images are averaged down), or the run's.

        Raises ValueError for any other override.
        """
        unknown = overrides.keys() - {"batch_size", "size"}
        if unknown:
            raise ValueError(f"the stream has no override '{sorted(unknown)[0]}'; known: batch_size, size")
        self.batch_size = overrides.get("batch_size", self._own_batch_size)
        if self.batch_size % self.world:
            raise GanvasError(
                f"a phase's batch of {self.batch_size} cannot be shared by {self.world} processes: use a number that divides it"
            )
        self.size: tuple[int, int] | None = overrides.get("size")
        if self.size is not None and not any(len(field.spec.shape) == 3 for field in self.dataset.fields.values()):
            raise ValueError("the stream has no images that a phase's size could bring to another")
        self._forget()

    def draw(self, noise: Noise) -> Batch:
        """The next batch: this process's share, encoded on the noise's device.

        Raises RunError when the cached data has vanished.
        """
        start = self.position
        self.position += self.batch_size
        if self.lots is not None:
            share = self.batch_size // noise.world
            return self._by_lot(start, self.batch_size, slice(noise.rank * share, (noise.rank + 1) * share), noise)
        fields: dict[str, Tensor] = {}
        labels: Tensor | None = None
        for names, order in self.orders.items():
            rows, others = order.share(start, self.batch_size, noise.rank, noise.world)
            chosen = {name: rows if others is None or name not in self.feed.second else others for name in names}
            self._expect(names, order, noise)
            fields |= fields_of(self.dataset, {name: self.names[name] for name in names}, chosen, noise)
            if len(self.orders) == 1:
                labels = labels_of(self.dataset, rows, noise)
            fields |= _told_classes(self.dataset, self.feed, chosen, noise)
        if self.size is not None:
            fields = {
                name: torch.nn.functional.interpolate(value, size=self.size, mode="area") if value.dim() == 4 else value
                for name, value in fields.items()
            }
        return Batch(noise, fields, labels)

    def _expect(self, names: tuple[str, ...], order: _Order, noise: Noise) -> None:
        """Tell fields that are read as they are asked for what comes next, and what comes when a window is dealt."""
        own = {name: self.dataset.fields[self.names[name]].values for name in names}
        reading = [(part, name in self.feed.second) for name, part in own.items() if isinstance(part, Expects)]
        if not reading:
            return
        ahead = [self.position + k * self.batch_size for k in range(AHEAD)]
        coming = [order.share(place, self.batch_size, noise.rank, noise.world) for place in ahead]
        reach = min(WINDOW * noise.world, len(order.indices) // 2)
        later = order.share(self.position + reach, self.batch_size, noise.rank, noise.world)[0]
        for part, second in reading:
            part.want(later)
            for rows, others in coming:
                part.expect(rows if others is None or not second else others)

    def _forget(self) -> None:
        for part in self.dataset.fields.values():
            if isinstance(part.values, Expects):
                part.values.forget()

    def example(self, count: int, noise: Noise) -> Batch:
        """The first `count` training records (again from the first, if there are fewer), which are not counted."""
        if self.lots is not None:
            return self._by_lot(0, count, slice(None), noise)
        rows = {name: np.resize(order.indices, count) for names, order in self.orders.items() for name in names}
        labels = None if len(self.orders) > 1 else labels_of(self.dataset, next(iter(rows.values())), noise)
        fields = fields_of(self.dataset, self.names, rows, noise) | _told_classes(self.dataset, self.feed, rows, noise)
        return Batch(noise, fields, labels)

    def state(self) -> dict[str, Any]:
        """The position; the orders follow from the seed."""
        return {"position": self.position, "records": [len(order.indices) for order in self.orders.values()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue at a saved position. Raises RunError when the data has another number of records."""
        now = self.state()["records"]
        if list(state["records"]) != now:
            raise RunError(
                f"{self.dataset.source}: the run was trained on {_told(state['records'])} records, now there are "
                f"{_told(now)}: put the data back, or start a new run with --init-from"
            )
        self.position = state["position"]
        self._forget()


Only = int | tuple[int, ...] | None
"""A class, or several; None: all records."""


def _each(only: Only) -> tuple[int, ...]:
    return () if only is None else only if isinstance(only, tuple) else (only,)


def _dealt(dataset: Dataset, feed: Feed, only: Only) -> np.ndarray:
    """Training records of some classes, or all; with labels alone, if the feed says so."""
    indices = dataset.train_indices()
    labels = np.full(len(dataset), -1) if dataset.labels is None else dataset.labels
    if only is not None:
        indices = indices[np.isin(labels[indices], _each(only))]
    if not feed.labelled:
        return indices
    named = [k for k, name in enumerate(dataset.spec.classes) if not is_unlabelled(name)]
    return indices[np.isin(labels[indices], named)]


def trained_rows(dataset: Dataset, feeds: Mapping[str, Feed]) -> np.ndarray:
    """Indices (ascending) of the training records that these streams deal: all, or those of the classes that a system chose."""
    everything: tuple[Only, ...] = (None,)
    dealt = [_dealt(dataset, feed, only) for feed in feeds.values() for only in tuple(feed.of.values()) or everything]
    return np.unique(np.concatenate(dealt))


def learnt_from(system: Any, dataset: Dataset) -> dict[str, Any]:
    """What the stream `data` of a system deals of the training part: `records`, and `classes` by name, none where all are."""
    feed = system.feeds()["data"]
    classes = [str(dataset.spec.classes[own]) for only in feed.of.values() for own in _each(only)]
    return {"records": len(trained_rows(dataset, {"data": feed})), "classes": classes}


def _told(counts: Any) -> str:
    return " and ".join(str(count) for count in counts)


def field_names(dataset: Dataset, feed: Feed) -> dict[str, str]:
    """Name in the batch -> field of the data. Raises GanvasError for a field that the data has not."""
    if not feed.fields:
        return dict.fromkeys(feed.of, dataset.main) if feed.of else {name: name for name in dataset.fields}
    for name in feed.fields.values():
        if name not in dataset.fields:
            raise GanvasError(f"{dataset.source}: no field '{name}': its fields are {', '.join(dataset.fields)}")
    return dict(feed.fields)


def fields_of(
    dataset: Dataset, names: Mapping[str, str], rows: Mapping[str, np.ndarray], noise: Noise
) -> dict[str, Tensor]:  # fmt: skip
    """Tensors by name: the field `names[name]` of the records `rows[name]`. Raises RunError when the data has vanished."""
    found = {}
    for name, own in names.items():
        part = dataset.fields[own]
        try:
            values = part.values[rows[name]]
        except (OSError, ValueError, SystemError) as error:
            raise RunError(f"{dataset.source}: the data vanished during training ({error})") from error
        found[name] = encode(values, part.spec, noise.generator.device)
    return found


def _told_classes(dataset: Dataset, feed: Feed, rows: Mapping[str, np.ndarray], noise: Noise) -> dict[str, Tensor]:
    """The classes that the feed wants told, of the records at rows[name], by their name in the batch."""
    wanted = {name: labels_of(dataset, rows[of], noise) for name, of in feed.told.items() if of in rows}
    return {name: labels for name, labels in wanted.items() if labels is not None}


def labels_of(dataset: Dataset, rows: np.ndarray, noise: Noise) -> Tensor | None:
    """Class indices of the records."""
    if dataset.labels is None:
        return None
    return torch.from_numpy(np.asarray(dataset.labels[rows], np.int64)).to(noise.generator.device, non_blocking=True)


def dealt_classes(system: Any) -> tuple[int, ...]:
    """The classes that the stream `data` of a system deals from, in the order of their names; none means all records."""
    return tuple(own for only in system.feeds()["data"].of.values() for own in _each(only))


def target_classes(system: Any) -> tuple[int, ...]:
    """The classes that a system translates to: those that it names (`targets`), else all that it is dealt."""
    return tuple(getattr(system, "targets", ())) or dealt_classes(system)


def shown_batch(dataset: Dataset, feed: Feed, count: int, noise: Noise) -> Batch:
    """A fixed batch for pictures during training: `count` records spread over the held-out part (over all, if none is)."""

    def spread(only: Only) -> np.ndarray:
        indices = dataset.heldout_indices()
        if not len(indices):
            indices = np.arange(len(dataset))
        if only is not None and dataset.labels is not None:
            of_class = indices[np.isin(dataset.labels[indices], _each(only))]
            indices = of_class if len(of_class) else np.flatnonzero(np.isin(dataset.labels, _each(only)))
        return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]

    names = field_names(dataset, feed)
    rows = {name: spread(feed.of.get(name)) for name in names}
    for name in feed.second:  # the next record of its group
        rows[name] = np.array([_next_of_group(dataset, int(row)) for row in rows[name]])
    labels = None if len(feed.of) > 1 else labels_of(dataset, next(iter(rows.values())), noise)
    fields = fields_of(dataset, names, rows, noise) | _told_classes(dataset, feed, rows, noise)
    return Batch(noise, fields, labels)


def _next_of_group(dataset: Dataset, row: int) -> int:
    members = np.flatnonzero(dataset.groups == dataset.groups[row])
    return int(members[(np.searchsorted(members, row) + 1) % len(members)])


def open_stream(dataset: Dataset, feed: Feed, batch_size: int, *, seed: int = 0, world: int = 1) -> Any:
    """A stream of the data, as a system's feed says, or that of the kind of data."""
    kind = kind_of(dataset.spec.kind)
    if isinstance(kind, Streams):
        return kind.stream(dataset, batch_size, seed, world, feed.options)
    return DatasetStream(dataset, batch_size, seed=seed, world=world, feed=feed)
