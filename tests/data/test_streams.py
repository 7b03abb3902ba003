"""The training stream: every record once an epoch, any position returned to, shares that add up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganvas.batches import Noise
from ganvas.data.dataset import Dataset, Field
from ganvas.data.streams import DatasetStream, open_stream, shown_batch
from ganvas.errors import GanvasError, RunError
from ganvas.game import Feed
from ganvas.kinds.image.spec import ImageSpec
from ganvas.kinds.points.spec import PointsSpec
from ganvas.specs import REAL

PAIR = Feed(of={"a": 0, "b": 1})


def ten(spec: object = None, values: np.ndarray | None = None) -> Dataset:
    """Ten points, 0 to 9; 8 and 9 are held out."""
    numbers = np.arange(10, dtype=np.float32)[:, None] if values is None else values
    field = Field(spec or PointsSpec(1, (0.0,)), numbers)
    return Dataset({REAL: field}, np.arange(10) % 2, np.arange(10), np.arange(10) >= 8, "ten", "")


def noise(rank: int = 0, world: int = 1) -> Noise:
    return Noise(torch.Generator().manual_seed(0), rank, world)


def drawn(stream: DatasetStream, count: int, own: Noise | None = None) -> list[int]:
    return [int(v) for _ in range(count) for v in stream.draw(own or noise()).real[:, 0]]


def test_every_record_once_an_epoch_in_a_new_order_and_never_a_held_out_one() -> None:
    stream = DatasetStream(ten(), 3, seed=1)
    values = drawn(stream, 8)  # 24 records: three epochs, batches run across them
    epochs = [values[i : i + 8] for i in (0, 8, 16)]
    assert all(sorted(e) == list(range(8)) for e in epochs)
    assert epochs[0] != epochs[1]


def test_labels_travel_with_their_records() -> None:
    batch = DatasetStream(ten(), 8).draw(noise())
    assert batch.labels is not None
    assert torch.equal(batch.labels, batch.real[:, 0].long() % 2)


def test_returns_to_any_position() -> None:
    stream = DatasetStream(ten(), 3)
    drawn(stream, 4)
    state = stream.state()
    expected = drawn(stream, 5)
    other = DatasetStream(ten(), 3)
    other.restore(state)
    assert drawn(other, 5) == expected
    with pytest.raises(RunError, match="was trained on 7 records, now there are 8"):
        other.restore({"position": 0, "records": [7]})


def test_processes_share_each_batch() -> None:
    whole = drawn(DatasetStream(ten(), 4), 3)
    streams = [DatasetStream(ten(), 4, world=2) for _ in range(2)]
    shared = [v for _ in range(3) for rank in range(2) for v in drawn(streams[rank], 1, noise(rank, 2))]
    assert shared == whole
    with pytest.raises(GanvasError, match="cannot be shared by 2 processes"):
        DatasetStream(ten(), 3, world=2)
    with pytest.raises(GanvasError, match="a phase's batch of 7 cannot be shared by 2 processes"):
        DatasetStream(ten(), 4, world=2).configure(batch_size=7)


def test_a_size_is_for_images() -> None:
    with pytest.raises(ValueError, match="no images"):
        DatasetStream(ten(), 4).configure(size=(8, 8))


def test_phases_may_override_batch_and_image_size() -> None:
    squares = ten(ImageSpec(1, 8, 8), np.repeat(np.arange(10, dtype=np.uint8), 64).reshape(10, 8, 8, 1))
    stream = DatasetStream(squares, 4)
    stream.configure(batch_size=2, size=(4, 4))
    assert stream.draw(noise()).real.shape == (2, 1, 4, 4)
    stream.configure()
    assert stream.draw(noise()).real.shape == (4, 1, 8, 8)
    with pytest.raises(ValueError, match="no override 'colour'"):
        stream.configure(colour=1)


def test_one_class_alone_and_two_side_by_side_unpaired() -> None:
    only = DatasetStream(ten(), 2, seed=1, feed=Feed(of={"real": 1}))
    assert sorted(drawn(only, 2)) == [1, 3, 5, 7]
    with pytest.raises(GanvasError, match="of class 'b'"):
        DatasetStream(pictures(labels=np.zeros(12, np.int64)), 2, feed=Feed(of={"real": 1}))


def pictures(labels: np.ndarray | None = None) -> Dataset:
    """Twelve pictures, of a value each: 0 to 11, even ones of class a. 10 and 11 are held out."""
    values = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None, None], (12, 8, 8, 1))
    field = Field(ImageSpec(1, 8, 8, low=0.0, high=255.0, classes=("a", "b")), values)
    labels = np.arange(12) % 2 if labels is None else labels
    return Dataset({REAL: field}, labels, np.arange(12), np.arange(12) >= 10, "pictures", "")


def shown(images: torch.Tensor) -> list[int]:
    return [round(float(v)) for v in (images[:, 0, 0, 0] + 1) * 127.5]


def test_domains_come_side_by_side_unpaired_and_resume_exactly() -> None:
    stream = open_stream(pictures(), PAIR, 5, seed=3)
    batch = stream.draw(noise())
    assert sorted(shown(batch["a"])) == [0, 2, 4, 6, 8]
    assert sorted(shown(batch["b"])) == [1, 3, 5, 7, 9]
    assert len(batch) == 5
    assert [x + 1 for x in shown(batch["a"])] != shown(batch["b"]), "the orders of the two have nothing to do with each other"
    state = stream.state()
    following = stream.draw(noise())
    again = open_stream(pictures(), PAIR, 5, seed=3)
    again.restore(state)
    repeated = again.draw(noise())
    assert torch.equal(following["a"], repeated["a"])
    assert torch.equal(following["b"], repeated["b"])
    pieces = batch.split(5)
    assert [shown(p["a"])[0] for p in pieces] == shown(batch["a"])


def test_several_classes_under_one_name_come_with_their_classes() -> None:
    data = pictures(labels=np.arange(12) % 3)
    feed = Feed(of={"source": (0, 2), "target": 1}, told={"class": "source"})
    stream = DatasetStream(data, 6, seed=1, feed=feed)
    for batch in (stream.draw(noise()), stream.draw(noise()), stream.example(6, noise()), shown_batch(data, feed, 2, noise())):
        assert [number % 3 for number in shown(batch["source"])] == batch["class"].tolist()
        assert set(batch["class"].tolist()) <= {0, 2} and all(number % 3 == 1 for number in shown(batch["target"]))
        assert batch.labels is None
    assert sorted(shown(DatasetStream(data, 7, seed=1, feed=feed).draw(noise())["source"])) == [0, 2, 3, 5, 6, 8, 9]
    with pytest.raises(GanvasError, match="of class 'a' or 'b'"):
        DatasetStream(pictures(labels=np.full(12, -1)), 2, feed=Feed(of={"real": (0, 1)}))


def test_pictures_during_training_show_records_that_are_held_out() -> None:
    batch = shown_batch(pictures(), PAIR, 3, noise())
    assert (shown(batch["a"]), shown(batch["b"])) == ([10] * 3, [11] * 3)
    single = shown_batch(pictures(), Feed(of={"real": 1}), 2, noise())
    assert shown(single.real) == [11, 11]
