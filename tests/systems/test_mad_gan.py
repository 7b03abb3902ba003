"""MAD-GAN: the search, the score and what it is for, on the phantom and on arrays whose answer is known."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import toys
from ganvas.batches import Noise
from ganvas.capabilities import Projects, Samples, ScoresAnomaly
from ganvas.config import build_config
from ganvas.data.classes import find_normal
from ganvas.data.phantoms import make_phantom
from ganvas.data.phantoms.sensors import NAMES
from ganvas.errors import GanvasError
from ganvas.game import Clock
from ganvas.kinds import encode, make_batch
from ganvas.kinds.series.files import Table
from ganvas.kinds.series.spec import SeriesSpec
from ganvas.proofs.mad_gan import measures
from ganvas.run.apply import apply
from ganvas.run.load import Run
from ganvas.run.opening import open_record_data
from ganvas.run.train import train
from ganvas.systems.detection.mad_gan import Config, Generator, MadGan, Recurrent

SPEC = SeriesSpec(16, ("flow", "heat", "current"), (0.0, 1.0, 2.0), (1.0, 2.0, 3.0), 1.0)


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def system_of(spec: SeriesSpec = SPEC, **config: object) -> MadGan:
    torch.manual_seed(0)
    return MadGan(spec, build_config(Config, {"width": 12, "latent_size": 4, "search_steps": 40, **config})).eval()


def test_it_has_its_capabilities() -> None:
    system = system_of()
    assert isinstance(system, Samples) and isinstance(system, ScoresAnomaly) and isinstance(system, Projects)
    assert system.sample(3, noise()).shape == (3, 16, 3)


def test_losses_are_those_of_the_paper_by_hand() -> None:
    system = system_of(generator_turns=1)
    batch = make_batch(np.random.default_rng(0).normal(size=(6, 16, 3)).astype(np.float32), None, SPEC, noise())
    terms = system.discriminate(batch, Clock(), {})
    fake = system.generator(noise().normal(6, 16, 4))
    real_chance, fake_chance = (torch.sigmoid(system.discriminator(x)) for x in (batch.real, fake))  # type: ignore[attr-defined]
    assert torch.allclose(terms["real"], -real_chance.log().mean(), atol=1e-6)
    assert torch.allclose(terms["fake"], -(1 - fake_chance).log().mean(), atol=1e-6)
    batch.noise = noise()
    assert torch.allclose(system.fool(batch, Clock(), {})["fool"], -fake_chance.log().mean(), atol=1e-6)


def test_players_see_no_future() -> None:
    """What G writes and D says at a step depends on that step and those before it alone."""
    generator, discriminator = Generator(4, 0, 8, 3, 2), Recurrent(3, 8, 1)
    for network, steps in ((generator, torch.randn(2, 10, 4)), (discriminator, torch.randn(2, 10, 3))):
        changed = steps.clone()
        changed[:, 6:] += 1
        assert torch.equal(network(steps)[:, :6], network(changed)[:, :6])
        assert not torch.allclose(network(steps)[:, 6:], network(changed)[:, 6:])


def test_lasting_latents_are_those_of_the_first_step() -> None:
    generator = Generator(4, 2, 8, 3, 1)
    steps = torch.randn(2, 10, 4)
    later, first = steps.clone(), steps.clone()
    later[:, 1:, :2] += 1
    first[:, 0, :2] += 1
    assert torch.equal(generator(steps), generator(later))
    assert not torch.allclose(generator(steps), generator(first))


def test_the_search_finds_what_the_generator_made_and_each_window_is_on_its_own() -> None:
    system = system_of(search_steps=150, prior_weight=0.0)
    made = system.sample(5, noise(3)).detach()
    begun = (made - system.reconstruct(noise().normal(5, 16, 4))).square().mean()
    found = system.project(made, noise())
    assert (made - system.reconstruct(found)).square().mean() < 0.1 * begun
    other = made.clone()
    other[1:] = torch.randn_like(other[1:])
    assert torch.allclose(system.project(other, noise())[0], found[0], atol=1e-4)
    assert all(p.grad is None for p in system.parameters())


def test_a_prior_keeps_latents_likely() -> None:
    odd = torch.full((4, 16, 3), 3.0)
    free, held = (system_of(prior_weight=prior).project(odd, noise()).square().mean() for prior in (0.0, 1.0))
    assert held < 0.5 * free


def test_the_score_is_the_mixture_that_it_says() -> None:
    records = torch.randn(4, 16, 3)
    system = system_of(difference_weight=0.3)
    doubt, residual = system.parts(records, noise())
    scores, maps = system.anomaly(records, noise())
    assert torch.allclose(maps, 0.3 * doubt + 0.7 * residual)
    assert torch.allclose(scores, maps.mean(1))
    assert torch.allclose(doubt, 1 - torch.sigmoid(system.discriminator(records)[..., 0]))
    assert maps.shape == (4, 16) and (maps >= 0).all()


def test_one_bad_step_stands_out_at_its_place() -> None:
    system = system_of(difference_weight=0.0)
    records = system.sample(8, noise(1)).detach()
    records[:, 9, 1] = 4.0  # G ends at 1
    _, maps = system.anomaly(records, noise())
    assert (maps.argmax(1) == 9).all()


@pytest.mark.parametrize(
    ("classes", "wanted", "found"),
    [((), "", ()), (("anomaly-free", "valve1"), "", (0,)), (("bad", "Normal"), "", (1,)), (("a", "b"), "b", (1,))],
)
def test_the_normal_class(classes: tuple[str, ...], wanted: str, found: tuple[int, ...]) -> None:
    assert find_normal(classes, wanted, "mad-gan") == found


def test_an_unclear_normal_class_is_refused() -> None:
    with pytest.raises(GanvasError, match="which class is normal"):
        find_normal(("a", "b"), "", "mad-gan")
    with pytest.raises(GanvasError, match="no class 'vale'.*did you mean 'valve'"):
        find_normal(("good", "valve"), "vale", "mad-gan")
    with pytest.raises(GanvasError, match="static_latent_size 9 is more than latent_size 4"):
        system_of(static_latent_size=9)


def test_measures_are_right_where_the_answer_is_known() -> None:
    truth = np.zeros(100)
    truth[40:60] = 1
    truth[:10] = np.nan
    table = Table(("a",), np.zeros((100, 1)), truth={"anomaly": truth})
    right, wrong = np.nan_to_num(truth), 1 - np.nan_to_num(truth)
    found = measures([right], [table])
    assert (found["auroc"], found["pr_auc"], found["best_f1"], found["event_recall"]) == (1.0, 1.0, 1.0, 1.0)
    assert found["judged"] == {"series": 1, "steps": 90, "steps_of_faults": 20, "events": 1}
    assert measures([wrong], [table])["auroc"] == 0.0
    one_hit = np.random.default_rng(0).uniform(0, 0.5, 100)
    one_hit[45] = 1.0  # one step of the event, which an adjusted F1 would count as all of it
    hit = measures([one_hit], [table])
    assert hit["event_recall"] == 0.0 and hit["best_f1"] < 0.6


@pytest.mark.slow
def test_train_score_and_sample_as_a_user_would(tmp_path: Path) -> None:
    """After a few rounds scores mean little; that planted spikes stand out is due to the generator's bounds alone."""
    config = {"width": 8, "latent_size": 3, "static_latent_size": 1, "batch_size": 16, "search_steps": 10}
    run = tmp_path / "run"
    made = train("mad-gan", "sensors", out=run, config=config, budget="20r", phantom_count=160, device="cpu", quiet=True)
    assert made["rounds"] == 20
    window = make_phantom("sensors:normal", 1, 5, size=200)
    values = window.values[0].copy()
    values[150, 1] += 20.0
    lines = ["time,speed,pressure,flow,current,temperature"]
    lines += [",".join([str(k), *(f"{v:.6g}" for v in row)]) for k, row in enumerate(values)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "bad.csv").write_text("time,speed\n0,1\n")
    result = apply(run, [tmp_path / "log.csv", tmp_path / "bad.csv"], out=tmp_path / "out", device="cpu")
    assert result["verb"] == "score"
    assert "has no column 'pressure'" in result["failed"][0]
    with open(tmp_path / "out" / "log.csv") as stream:
        scores = [float(row["score"]) for row in csv.DictReader(stream)]
    assert len(scores) == 200
    assert int(np.argmax(scores)) == 150
    head = (tmp_path / "out" / "scores.csv").read_text().splitlines()[0]
    assert head == "file,score,above threshold," + ",".join(f"score of {name}" for name in NAMES)
    row = result["scores"][0]
    assert max(NAMES, key=lambda name: row[f"score of {name}"]) == "pressure"
    _alarms_are_those_above_the_threshold(run, result, scores, tmp_path)
    again = apply(run, [tmp_path / "log.csv"], out=tmp_path / "again", device="cpu")
    assert again["scores"] == result["scores"]
    near = apply(run, [tmp_path / "log.csv"], out=tmp_path / "near", verb="project", device="cpu")
    with np.load(tmp_path / "near" / "latents.npz") as held:
        assert len(held["latents"]) == len(held["files"]) == len(list((tmp_path / "near" / "sheets").iterdir()))
        assert len(near["files"]) == 2 * len(held["files"]) + 1, "a window and a picture of each, and the latents"
    with pytest.raises(GanvasError, match="--tile is for translating, restoring, deblurring and denoising; this run scores"):
        apply(run, [tmp_path / "log.csv"], out=tmp_path / "no", tile=64, device="cpu")


def _alarms_are_those_above_the_threshold(run: Path, result: dict[str, Any], scores: list[float], folder: Path) -> None:
    """The threshold is that of the held-out windows of the class `normal`, and found once."""
    opened = Run(run)
    data = open_record_data(opened.record)
    held = data.heldout_indices()
    normal = np.asarray(data.values[held[data.labels[held] == 0]])
    usual = opened.use("score", normal)["map"].ravel()
    limit = result["threshold"]
    assert (usual > limit).mean() == pytest.approx(0.05, abs=0.01)
    with open(folder / "out" / "alarms.csv") as stream:
        alarms = list(csv.DictReader(stream))
    assert [alarm["from"] for alarm in alarms] == [str(alarm["from"]) for alarm in result["alarms"]]
    inside = np.zeros(len(scores), bool)
    for alarm in alarms:
        inside[int(alarm["from"]) : int(alarm["to"]) + 1] = True
    assert inside[150] and (np.flatnonzero(np.array(scores) > limit + 1e-6)[..., None] == np.flatnonzero(inside)).any(1).all()
    assert any(alarm["file"] == "log.csv" and alarm["quantity"] == "pressure" for alarm in alarms)
    kept = (run / "checkpoints" / "usual-scores.npz").stat()
    fewer = apply(run, [folder / "log.csv"], out=folder / "fewer", device="cpu", false_alarms=0.0)
    assert fewer["threshold"] == pytest.approx(usual.max(), rel=1e-4)
    assert (run / "checkpoints" / "usual-scores.npz").stat().st_mtime_ns == kept.st_mtime_ns
    other = apply(run, [folder / "log.csv"], out=folder / "other", device="cpu", config={"search_steps": 11})
    assert other["threshold"] != limit, "other scores have another threshold"


def test_without_the_data_there_are_scores_and_no_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(80, 12, 2)).astype(np.float32)
    np.savez(tmp_path / "windows.npz", series=windows)
    config = {"width": 4, "latent_size": 2, "static_latent_size": 0, "batch_size": 8, "search_steps": 2}
    train("mad-gan", tmp_path / "windows.npz", out=tmp_path / "run", config=config, budget="2r", quiet=True, threads=1)
    lines = ["quantity-1,quantity-2", *(f"{a:.4f},{b:.4f}" for a, b in rng.normal(size=(30, 2)))]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    known = apply(tmp_path / "run", [tmp_path / "log.csv"], out=tmp_path / "known", device="cpu")
    assert known["threshold"] > 0
    (tmp_path / "windows.npz").unlink()
    kept = apply(tmp_path / "run", [tmp_path / "log.csv"], out=tmp_path / "kept", device="cpu")
    assert kept["threshold"] == known["threshold"], "it travels with the run"
    (tmp_path / "run" / "checkpoints" / "usual-scores.npz").unlink()
    gone = apply(tmp_path / "run", [tmp_path / "log.csv"], out=tmp_path / "gone", device="cpu")
    assert gone["threshold"] is None and gone["scores"][0]["score"] == known["scores"][0]["score"]
    assert any("no threshold of alarms" in note and "is not there any more" in note for note in gone["notes"])
    assert not (tmp_path / "gone" / "alarms.csv").exists()
    with pytest.raises(GanvasError, match=r"false_alarms.*0\.5"):
        apply(tmp_path / "run", [tmp_path / "log.csv"], out=tmp_path / "no", device="cpu", false_alarms=0.7)


def test_each_quantity_has_a_score_whose_mean_or_largest_is_the_steps() -> None:
    records = torch.randn(4, 16, 3)
    for residual in ("mean", "largest"):
        system = system_of(difference_weight=0.3, residual_score=residual)
        scores, maps, parts = system.anomaly_by_part(records, noise())
        assert torch.allclose(parts.mean(2) if residual == "mean" else parts.amax(2), maps, atol=1e-6)
        assert all(torch.equal(a, b) for a, b in zip((scores, maps), system.anomaly(records, noise()), strict=True))
        assert (parts >= 0).all()
    bad = system_of(difference_weight=0.0).sample(4, noise(1)).detach()
    bad[:, 9, 1] = 4.0
    assert (system_of(difference_weight=0.0).anomaly_by_part(bad, noise())[2][:, 9].argmax(1) == 1).all()
    step, both, whole = (system_of(resolution=r).anomaly_by_part(records, noise()) for r in ("step", "both", "window"))
    assert (whole[2] == whole[2][:, :1]).all() and torch.allclose(whole[2].mean(2), whole[1], atol=1e-6)
    assert all(torch.allclose(both[k], 0.25 * step[k] + 0.75 * whole[k], atol=1e-6) for k in (1, 2))
    assert torch.equal(step[0], whole[0]) and torch.equal(step[0], both[0])


def test_it_learns_the_course_of_a_wave() -> None:
    """A short real game: samples of a trained G are far more like the waves than those of a fresh one."""
    from ganvas.data.streams import DatasetStream
    from ganvas.engine import Engine

    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(12)[None, :, None] / 2 + np.zeros((64, 1, 2))) * (0.8, 0.4) + 0.02 * rng.normal(size=(64, 12, 2))
    spec = SeriesSpec(12, ("a", "b"), (0.0, 0.0), (1.0, 1.0))
    torch.manual_seed(0)
    given = {"width": 16, "latent_size": 2, "batch_size": 32, "generator_turns": 1, "discriminator_optimiser": "adam"}
    system = MadGan(spec, build_config(Config, {**given, "discriminator_learning_rate": 2e-3, "generator_learning_rate": 2e-3}))

    class Data(toys.OneField):
        spec, source = SeriesSpec(12, ("a", "b"), (0.0, 0.0), (1.0, 1.0)), "waves"
        values = waves.astype(np.float32)

    engine = Engine(system, {"data": DatasetStream(Data(), 32)})  # type: ignore[arg-type]
    mean = encode(Data.values, spec).mean(0)

    def off() -> float:
        with engine.watching() as board:
            made: Tensor = board.sample(64, noise(9))
        return math.sqrt(float((made.mean(0) - mean).square().mean()))

    before = off()
    for _ in range(250):
        engine.play_round()
    assert off() < 0.5 * before
