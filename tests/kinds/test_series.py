"""Series: what is read from tables and arrays, what is refused, and that samples come back as they were written."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ganvas.data.check import check
from ganvas.data.dataset import Dataset, open_data
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms._files import write_phantom
from ganvas.data.twins import join_twins
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_of
from ganvas.kinds.facets import ScoredFile, Scores
from ganvas.kinds.series.files import read_tables
from ganvas.kinds.series.kind import measured, starts_of
from ganvas.kinds.series.pictures import _time_axis
from ganvas.kinds.series.pieces import notes_on
from ganvas.kinds.series.scoring import step_scores, stretches_above
from ganvas.kinds.series.spec import SeriesSpec

KIND = kind_of("series")
SPEC = SeriesSpec(20, ("flow, raw", "heat"), (10.0, -2.0), (5.0, 0.5), 0.5)


def values_of(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    turns = np.sin(np.arange(rows)[:, None] / (4, 9)) * (3, 0.4) + (10, -2)
    return turns + 0.05 * rng.standard_normal((rows, 2))


def write_csv(
    path: Path, values: np.ndarray, times: list | None = None, header: str = "time,flow,heat", sep: str = ","
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = range(len(values)) if times is None else times
    lines = [header.replace(",", sep)]
    lines += [sep.join([str(stamp), *("" if np.isnan(v) else f"{v:.6g}" for v in row)]) for stamp, row in zip(stamps, values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def opened(path: Path, **settings: object) -> Dataset:
    return open_data(path, kinds=("series",), progress=False, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_a_table_is_read_whatever_separates_its_columns(sep: str, tmp_path: Path) -> None:
    values = values_of(30)
    table = read_tables(write_csv(tmp_path / "a.csv", values, sep=sep))[0]
    assert table.names == ("flow", "heat")
    assert np.allclose(table.values, values, rtol=1e-5)
    assert table.step == 1.0


def test_known_truth_is_kept_out_of_the_quantities_and_labels_windows(tmp_path: Path) -> None:
    marks = np.zeros(400)
    marks[200:230] = 1
    rows = np.column_stack([values_of(400), marks, marks * 0])
    path = write_csv(tmp_path / "a.csv", rows, header="time,flow,heat,Anomaly,changepoint")
    table = read_tables(path)[0]
    assert table.names == ("flow", "heat")
    assert np.array_equal(table.truth["anomaly"], marks)
    data = opened(path, size=20)
    assert data.spec.classes == ("normal", "anomalous")
    assert data.labels is not None
    starts = [int(np.argmin(np.abs(rows[:, :2] - window[0]).sum(1))) for window in np.asarray(data.values)]
    assert [int(marks[a : a + 20].any()) for a in starts] == data.labels.tolist()


@pytest.mark.parametrize(
    ("stamps", "seconds"),
    [
        (["2020-03-09 10:14:33", "2020-03-09 10:14:34.5"], 1.5),
        (["2020/03/09 10:14", "2020/03/09 10:16"], 120.0),
        (["09.03.2020 23:59:59", "10.03.2020 00:00:00"], 1.0),
        (["2020-03-09T10:14:33+01:00", "2020-03-09T10:14:33Z"], 3600.0),
        (["0.25", "0.5"], 0.25),
    ],
)
def test_times_are_understood(stamps: list[str], seconds: float, tmp_path: Path) -> None:
    header = "time,flow,heat" if stamps[0][1] == "." else "when,flow,heat"
    table = read_tables(write_csv(tmp_path / "a.csv", values_of(2), stamps, header))[0]
    assert table.step == pytest.approx(seconds)
    assert table.stamps == stamps


def test_windows_go_across_neither_jumps_in_time_nor_missing_values(tmp_path: Path) -> None:
    values = values_of(100)
    values[70, 1] = np.nan
    times = [*range(40), *range(60, 120)]
    table = read_tables(write_csv(tmp_path / "a.csv", values, times))[0]
    assert table.stretches() == [(0, 40), (40, 70), (71, 100)]
    assert starts_of(table.stretches(), 20).tolist() == [0, 5, 10, 15, 20, 40, 45, 50, 71, 76]
    assert starts_of(table.stretches(), 20, whole=True).tolist()[-3:] == [71, 76, 80]
    data = opened(tmp_path / "a.csv", size=20, heldout=0.0)
    assert np.isfinite(data.values).all()
    assert any("1 jumps in time" in note for note in data.notes)
    assert any("1 rows lack a value" in note for note in data.notes)


def test_single_missed_readings_are_kept_and_told(tmp_path: Path) -> None:
    times = np.cumsum([0, *([1] * 9 + [2]) * 6])
    table = read_tables(write_csv(tmp_path / "a.csv", values_of(61), times.tolist()))[0]
    assert table.stretches() == [(0, 61)]
    assert any("6 steps are up to 3 times" in note for note in opened(tmp_path / "a.csv").notes)


def test_whole_files_are_held_out_and_folders_are_classes(tmp_path: Path) -> None:
    for first, name in ((0, "good"), (5, "bad")):
        for k in range(5):
            write_csv(tmp_path / name / f"{k}.csv", values_of(90 + k, seed=first + k))
    data = opened(tmp_path)
    assert data.spec == measured(np.asarray(data.values)[~data.heldout], ("flow", "heat"), 1.0, ("bad", "good"))
    assert data.values.shape[1:] == (60, 2)
    assert len(np.unique(data.groups)) == 10
    assert 0 < data.heldout.sum() < len(data)
    for group in np.unique(data.groups):
        assert len(set(data.heldout[data.groups == group])) == 1


def test_a_series_alone_is_held_out_in_blocks_that_share_no_step(tmp_path: Path) -> None:
    values = values_of(2000)
    values[:, 0] = np.arange(2000)  # so that a window says where it lies
    data = opened(write_csv(tmp_path / "a.csv", values), size=20)
    held = {int(v) for window in data.values[data.heldout] for v in window[:, 0]}
    kept = {int(v) for window in data.values[~data.heldout] for v in window[:, 0]}
    assert held and kept
    assert min(abs(a - b) for a in held for b in kept) > 20
    assert any("held out in blocks" in note for note in data.notes)


def test_quantities_are_put_in_one_order_and_must_be_the_same(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", values_of(90))
    write_csv(tmp_path / "b.csv", values_of(90)[:, ::-1], header="time,heat,flow")
    data = opened(tmp_path)
    assert np.allclose(data.values[0], data.values[len(data) // 2])
    write_csv(tmp_path / "c.csv", values_of(90), header="time,flow,pressure")
    with pytest.raises(DataError, match=r"c\.csv: has no column 'heat' and has a column 'pressure' too many"):
        opened(tmp_path)


BAD = {
    "empty": ("", "empty"),
    "numbers only": ("1,2\n3,4\n", "names of the columns first"),
    "header only": ("time,flow\n", "no rows"),
    "ragged": ("time,flow\n0,1\n1,2,3\n", "line 3 has 3 cells, the header 2"),
    "text": ("time,flow\n0,open\n", "line 2, column 'flow' is 'open', not a number"),
    "decimal commas and points": ("time;flow\n0;1,5\n1;2.5\n", "write decimal points"),
    "thousands": ('time,flow\n0,"1,500"\n1,"2,500"\n', "may have a mark between thousands"),
    "infinity": ("time,flow\n0,inf\n", "infinity"),
    "backwards": ("time,flow\n1,1\n0,1\n", "line 3: time runs backwards"),
    "no time": ("time,flow\nsoon,1\n", "'soon' in column 'time' is no time"),
    "mixed zones": ("time,flow\n2020-01-01 00:00,1\n2020-01-01T00:01Z,1\n", "with and without a time zone"),
    "twice": ("flow,flow\n1,2\n", "column 'flow' appears twice"),
    "no name": ("flow,\n1,2\n", "column 2 has no name"),
    "nothing measured": ("time,anomaly\n0,1\n", "no column of measurements"),
    "open quote": ('time,flow\n0,"1\n', "not a CSV table"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_tables_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(BAD[name][0])
    with pytest.raises(DataError) as caught:
        opened(path)
    assert BAD[name][1] in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_short_and_settings_that_mean_nothing_are_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", values_of(30))
    assert opened(path).values.shape == (1, 30, 2)
    with pytest.raises(DataError, match="the longest has 30"):
        opened(path, size=40)
    with pytest.raises(GanvasError, match="--rate means nothing"):
        opened(path, rate=8000)
    with pytest.raises(GanvasError, match="at least 4"):
        opened(path, size=2)


def test_an_unreadable_file_among_others_is_skipped_with_a_note_or_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", values_of(90))
    (tmp_path / "b.csv").write_bytes(b"time,flow\n\xff\xfe")
    assert any("b.csv: not UTF-8" in note for note in opened(tmp_path).notes)
    with pytest.raises(DataError, match="not UTF-8"):
        opened(tmp_path, strict=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 10_000), junk=st.binary(max_size=6), cut=st.booleans(), kind=st.sampled_from(["csv", "npz", "parquet"])
)
def test_damaged_files_are_read_or_refused_but_never_crash(
    place: int, junk: bytes, cut: bool, kind: str, tmp_path: Path
) -> None:
    whole = tmp_path / f"whole.{kind}"
    if not whole.exists():
        if kind == "csv":
            write_csv(whole, values_of(20))
        elif kind == "npz":
            np.savez(whole, series=values_of(20)[None], names=np.array(["flow", "heat"]))
        else:
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            parquet.write_table(pyarrow.table({"flow": list(range(20)), "heat": [0.5] * 20}), whole)
    body = whole.read_bytes()
    place %= len(body)
    path = tmp_path / f"damaged.{kind}"
    path.write_bytes(body[:place] + junk + (b"" if cut else body[place + len(junk) :]))
    try:
        tables = read_tables(path)
    except DataError as error:
        told = str(error)
    else:
        told = str(path) if all(not np.isinf(table.values).any() for table in tables) else "infinity was let through"
    assert str(path) in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("names", [["flow", "time"], ["Anomaly", "heat"], ["flow", "flow"], ["", "heat"]])
def test_quantities_of_an_array_need_names_that_a_table_can_hold(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "windows.npz"
    np.savez(path, series=values_of(20)[None], names=np.array(names), step=np.array(2.0))
    with pytest.raises(DataError, match="'names' has") as told:
        read_tables(path)
    assert str(path) in str(told.value)


def test_parquet_is_read_as_a_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from datetime import datetime, timedelta

    from pyarrow import parquet

    times = [datetime(2020, 3, 9) + timedelta(seconds=2 * k) for k in range(70)]
    flow = [None if k == 65 else float(k) for k in range(70)]
    parquet.write_table(pyarrow.table({"at": times, "flow": flow, "anomaly": [False] * 69 + [True]}), tmp_path / "a.parquet")
    table = read_tables(tmp_path / "a.parquet")[0]
    assert (table.names, table.step, table.stretches()) == (("flow",), 2.0, [(0, 65), (66, 70)])
    assert table.truth["anomaly"].sum() == 1
    assert opened(tmp_path).values.shape == (1, 60, 1)


@pytest.mark.parametrize("format", ["csv", "parquet", "npz"])
def test_samples_say_what_they_are_and_are_read_back(format: str, tmp_path: Path) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    records = np.stack([values_of(20, seed) for seed in range(6)]).astype(np.float32)
    files = KIND.write(records, SPEC, tmp_path, format=format, depth=None, note={"system": "mad-gan", "seed": "3"})
    tables = [table for file in files for table in read_tables(file)]
    assert np.allclose([table.values for table in tables], records, rtol=1e-6)
    assert {table.names for table in tables} == {SPEC.names}
    assert {table.step for table in tables} == {0.5}
    if format == "csv":
        assert files[0].read_text().startswith("# SYNTHETIC")
    elif format == "parquet":
        from pyarrow import parquet

        assert parquet.read_schema(files[0]).metadata[b"note"].startswith(b"SYNTHETIC")
    else:
        with np.load(files[0], allow_pickle=False) as held:
            assert "SYNTHETIC" in str(held["note"])
    data = opened(tmp_path, heldout=0.0)
    assert np.allclose(np.asarray(data.values), records, rtol=1e-6)
    with pytest.raises(GanvasError, match="--depth"):
        KIND.write(records, SPEC, tmp_path, format=format, depth=8, note={})


def test_encoding_can_be_undone() -> None:
    records = np.stack([values_of(20, seed) for seed in range(3)]).astype(np.float32)
    tensor = KIND.encode(records, SPEC, "cpu")
    assert float(tensor.abs().max()) < 1.5
    assert np.allclose(KIND.decode(tensor, SPEC), records, atol=1e-5)


def test_features_tell_series_apart_that_differ_in_one_way_only() -> None:
    """Same values in another order (course, autocorrelation), and one quantity late (cross-correlation)."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(80) / 5 + rng.uniform(0, 6, (200, 1)))
    together = np.stack([waves, waves], 2)
    shuffled = rng.permuted(together, axis=1)
    late = np.stack([waves[:, 8:], waves[:, :-8]], 2)
    spec = SeriesSpec(80, ("a", "b"), (0.0, 0.0), (1.0, 1.0))
    found = {name: KIND.vectors(v.astype(np.float32), spec).mean(0) for name, v in (("a", together), ("b", shuffled))}
    assert found["a"].shape == (2 + 2 + 2 + 1 + 20,)
    assert np.all(found["a"][4:6] > 0.9) and np.all(np.abs(found["b"][4:6]) < 0.1)
    assert found["a"][6] > 0.99
    assert abs(KIND.vectors(late.astype(np.float32), spec).mean(0)[6]) < 0.3
    constant = KIND.vectors(np.zeros((2, 80, 2), np.float32), spec)
    assert np.isfinite(constant).all()


def test_scores_of_steps_are_means_over_the_windows_that_cover_them(tmp_path: Path) -> None:
    values = values_of(50)
    values[30, 0] = np.nan
    table = read_tables(write_csv(tmp_path / "a.csv", values))[0]
    seen = []

    def scored(windows: np.ndarray) -> Scores:
        seen.extend(windows)
        maps = np.arange(len(windows))[:, None] + np.zeros(windows.shape[1])
        return Scores(windows.mean((1, 2)), maps, maps[..., None] * (1.0, 2.0))

    scores, parts = step_scores(table, 20, scored)
    assert len(seen) == 3
    assert parts is not None and np.array_equal(parts, scores[:, None] * (1.0, 2.0), equal_nan=True)
    assert scores[:5].tolist() == [0] * 5 and scores[5] == 0.5 and scores[12] == 1.0 and scores[29] == 2.0
    assert np.isnan(scores[30:]).all()  # 19 steps behind the missing one are no window


def far_off(windows: np.ndarray) -> Scores:
    """How far every step is from the usual (10, -2)."""
    parts = np.abs(windows - (10, -2)).astype(np.float64)
    return Scores(parts.mean((1, 2)), parts.mean(2), parts)


def score(
    path: Path, out: Path, threshold: float | None = None, spec: SeriesSpec | None = None, name: str = "in"
) -> ScoredFile:
    spec = spec or SeriesSpec(20, ("flow", "heat"), (10.0, -2.0), (4.0, 1.0), 1.0)
    return KIND.score(path, name, spec, far_off, out, threshold)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path) as stream:
        return list(csv.DictReader(stream))


def test_scoring_a_file_writes_times_scores_and_a_picture(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", values_of(45)[:, ::-1], header="time,heat,flow")
    found = score(path, tmp_path / "out", name="sub/in")
    rows = rows_of(tmp_path / "out" / "sub" / "in.csv")
    assert [row["time"] for row in rows] == [str(k) for k in range(45)]
    assert list(rows[0]) == ["time", "score", "score of flow", "score of heat"]
    assert max(float(row["score"]) for row in rows) == pytest.approx(found.score, rel=1e-5)
    assert all(
        float(row["score"]) == pytest.approx((float(row["score of flow"]) + float(row["score of heat"])) / 2, abs=1e-4)
        for row in rows
    )
    assert [file.suffix for file in found.files] == [".csv", ".png"]
    assert found.numbers["score of flow"] > found.numbers["score of heat"] > 0
    assert found.notes == [] and found.alarms == []
    with pytest.raises(DataError, match="no stretch of 60 steps"):
        score(path, tmp_path / "out", spec=SeriesSpec(60, ("flow", "heat"), (0.0, 0.0), (1.0, 1.0)))


def test_steps_above_the_threshold_are_alarms_that_name_when_and_which_quantity(tmp_path: Path) -> None:
    values = np.full((100, 2), (10.0, -2.0))
    values[30:40, 1] += 9
    values[80:83, 0] -= 7
    marks = np.zeros((100, 1))
    marks[30:40] = 1
    stamps = [f"2020-03-09 10:{k // 60:02d}:{k % 60:02d}" for k in range(100)]
    path = write_csv(tmp_path / "in.csv", np.hstack([values, marks]), stamps, header="when,flow,heat,anomaly")
    found = score(path, tmp_path / "out", 1.0)
    rows = rows_of(tmp_path / "out" / "in.csv")
    assert [k for k, row in enumerate(rows) if row["alarm"] == "1"] == [*range(30, 40), *range(80, 83)]
    assert found.alarms == [
        {"from": stamps[30], "to": stamps[39], "steps": 10, "score": 4.5, "quantity": "heat"},
        {"from": stamps[80], "to": stamps[82], "steps": 3, "score": 3.5, "quantity": "flow"},
    ]
    assert found.numbers["above threshold"] == pytest.approx(0.13)
    assert found.numbers["area"] == 1.0


def test_alarms_that_are_near_are_one() -> None:
    scores = np.array([0, 2, 2, 0, 2, 0, 0, 0, 2, np.nan, 2, 0], float)
    assert stretches_above(scores, 1, 1) == [(1, 3), (4, 5), (8, 9), (10, 11)]
    assert stretches_above(scores, 1, 2) == [(1, 5), (8, 11)]
    assert stretches_above(scores, 5, 2) == []


def test_scores_of_windows_that_follow_each_other_are_those_of_the_file(tmp_path: Path) -> None:
    """A threshold is chosen by what files get: the mean over the windows that hold a step."""
    values = values_of(80)
    table = read_tables(write_csv(tmp_path / "a.csv", values))[0]
    windows = np.asarray(opened(tmp_path / "a.csv", size=20, heldout=0.0).values)

    def scored(given: np.ndarray) -> Scores:
        return Scores(given.mean((1, 2)), np.abs(given[:, :1, 0]) + np.arange(given.shape[1]))

    of_file, _ = step_scores(table, 20, scored)
    assert np.allclose(KIND.usual(windows, SPEC, scored), of_file, atol=1e-4)
    apart = KIND.usual(windows[::5], SPEC, scored)
    assert len(apart) == 20 * len(windows[::5])


def test_values_that_were_never_learnt_are_told_by_quantity(tmp_path: Path) -> None:
    values = values_of(200)
    values[:50, 0] = 99.0
    values[0, 1] = 7.0
    spec = SeriesSpec(20, ("flow", "heat"), (10.0, -2.0), (4.0, 1.0), 1.0)
    path = write_csv(tmp_path / "a.csv", values)
    assert notes_on(read_tables(path)[0], spec, path) == [
        f"{path}: outside of the range that was learnt from: 25% of flow (6 to 14)"
    ]
    assert score(path, tmp_path / "out").notes == notes_on(read_tables(path)[0], spec, path)


def test_the_picture_of_scores_has_an_axis_of_time(tmp_path: Path) -> None:
    values = values_of(60)
    dated = [f"2020-03-09 10:14:{k:02d}" for k in range(60)]
    clocks, axes = {}, {}
    for name, stamps in (("dates", dated), ("zoned", [f"{stamp}+01:00" for stamp in dated]), ("seconds", None)):
        table = read_tables(write_csv(tmp_path / f"{name}.csv", values, stamps))[0]
        clocks[name], axes[name] = table.clock, _time_axis(table)
    assert clocks == {"dates": "local", "zoned": "UTC", "seconds": ""}
    assert axes["dates"][0][0] == np.datetime64("2020-03-09T10:14:00")
    assert axes["zoned"][0][0] == np.datetime64("2020-03-09T09:14:00") and axes["zoned"][1] == "time (UTC)"
    assert axes["seconds"][0].tolist() == list(range(60)) and axes["seconds"][1] == "time (s)"
    np.savez(tmp_path / "windows.npz", series=values[None].astype(np.float32))
    assert _time_axis(read_tables(tmp_path / "windows.npz")[0])[1] == "step"
    score(tmp_path / "dates.csv", tmp_path / "plain")
    score(tmp_path / "dates.csv", tmp_path / "alarmed", 0.5)
    plain, alarmed = (np.asarray(Image.open(tmp_path / place / "in.png")) for place in ("plain", "alarmed"))
    assert plain.shape == alarmed.shape and (plain != alarmed).any()


def test_the_picture_shows_lines() -> None:
    picture = KIND.picture(np.stack([values_of(20, k) for k in range(6)]), SPEC)
    assert picture.ndim == 3 and picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


def test_the_phantom_plants_what_it_says() -> None:
    made = make_phantom("sensors", 300, seed=1, size=80)
    again = make_phantom("sensors", 20, seed=1, size=80)
    assert np.array_equal(made.values[:20], again.values)
    assert made.labels is not None and set(made.labels.tolist()) == set(range(5))
    assert 0.4 < (made.labels == 0).mean() < 0.6
    for values, label, fact in zip(made.values, made.labels, made.facts, strict=True):
        assert made.classes[label] == fact["fault"]
        if fact["fault"] == "normal":
            continue
        own = values[:, made.spec.names.index(fact["sensor"])]  # type: ignore[union-attr]
        bad = own[fact["first"] : fact["last"] + 1]
        if fact["fault"] == "stuck":
            assert np.ptp(bad) == 0
        if fact["fault"] == "spike":
            assert len(bad) <= 3
    only = make_phantom("sensors:drift", 5, size=80)
    assert only.labels is None and {fact["fault"] for fact in only.facts} == {"drift"}


def test_the_phantom_is_data_like_any_other(tmp_path: Path) -> None:
    data = open_data("sensors", phantom_count=60, size=48, progress=False)
    assert data.spec.kind == "series" and data.values.shape == (60, 48, 5)
    assert data.spec.classes[0] == "normal"
    write_phantom("sensors", 30, tmp_path / "out", size=48)
    again = opened(tmp_path / "out", heldout=0.0)
    assert again.values.shape == (30, 48, 5)
    assert set(again.spec.classes) == set(data.spec.classes)


def test_checking_speaks_of_series(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", values_of(90), [f"2020-01-01 00:{k // 60:02d}:{k % 60:02d}" for k in range(90)])
    lines = "\n".join(check(tmp_path, progress=False).lines())
    assert "series of 60 steps of 2 quantities, one each 1 s" in lines
    assert "duplicates" not in lines
    assert "series of 64 steps" in check("sensors", progress=False).lines()[0]


def test_skab_as_it_comes(real_data: Path) -> None:
    if not (real_data / "skab").is_dir():
        pytest.skip("no skab here")
    data = opened(real_data / "skab")
    assert data.spec.classes == ("anomaly-free", "valve1")
    assert data.values.shape[1:] == (60, 8)
    assert data.spec.step == 1.0  # type: ignore[union-attr]
    assert all(data.heldout[np.asarray(data.labels) == k].any() for k in (0, 1))


def test_long_windows_are_known_again_from_a_shift_of_any_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    long = rng.standard_normal((30, 300, 3)).cumsum(axis=1) + rng.standard_normal((30, 300, 3))
    kind, spec = kind_of("series"), kind_of("series").example(240, 3)
    first, later = long[:, 30:270].astype(np.float32), long[:, 47:287].astype(np.float32) * 3 + 5
    assert kind.prints(first, spec, True).shape[2] < 64 * 3, "candidates are sorted out on means of neighbouring steps"
    assert (kind.likeness(first, later, spec) > 0.999).all()
    assert (kind.likeness(first, later[::-1], spec)[:15] < 0.9).all()
    groups, _ = join_twins(kind, np.concatenate([first, later]), spec, np.arange(60))
    assert (groups[:30] == groups[30:]).all() and len(np.unique(groups)) == 30
