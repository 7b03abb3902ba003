"""The proof of `seqgan`: what the game adds to likelihood, on sequences whose truth is known.

The data is drawn from a fixed LSTM, the oracle, which then says how likely it finds the samples (the synthetic task of the
paper). One model learnt by likelihood is the beginning of both arms of a seed: the game is played from it, or likelihood goes
on for as many seconds of the processor.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganvas.errors import DataError
from ganvas.proofs import LOWER, Outcome, Proof, Row, Task
from ganvas.proofs._arms import trained

LENGTH = 20
TRAIN, VALIDATION = 10_000, 2_000
JUDGED, ALIKE = 20_000, 500  # samples judged at temperature 1 (a quarter at others); self-BLEU takes fewer
TEMPERATURES = (1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6)
PASSES = 50  # of likelihood over the training sequences, before the arms part
WARM_UP = 5  # generated sets from which D learns before the game
MOVES = 16  # of G in the game, with one set for D between two
BATCH, POOL = 64, 10_000
SETTINGS: dict[str, Any] = {
    "width": 128, "embedding_size": 64, "discriminator_embedding_size": 64, "filters": 25, "batch_size": BATCH,
    "generated_size": POOL, "discriminator_epochs": 1,
    "discriminator_steps": 1, "rollouts": 16, "reward_baseline": False, "warm_up": WARM_UP, "warm_up_until": 1.0,
    "pretraining_until": 1.0,
    "pretraining_learning_rate": 3e-3, "generator_learning_rate": 3e-3, "discriminator_learning_rate": 1e-4,
}  # fmt: skip
"""Every setting that the game depends on, so that no preset has a say. The paper's, but for a wider G that learns by smaller
steps, a quarter of D's filters, and one pass of D over one set between two moves of G instead of fifteen. G's rate in the game
is lower because its weights come from likelihood, and Adam's first steps move every weight by the whole rate (one move at the
paper's 0.01 made the oracle's loss 0.7 larger)."""
MOST_ALIKE = 0.05
GIVEN_UP = 20  # passes of more likelihood in a row, none of which was better on unseen sequences than the best before
ELSEWHERE = "150s"  # of each run on verse and tunes
BUDGET = f"{(WARM_UP + MOVES) * (POOL // BATCH)}r"  # a round is a move of D on one batch


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sequences to learn from and to validate on, samples to judge, passes of likelihood, settings over SETTINGS."""

    train: int = TRAIN
    validation: int = VALIDATION
    judged: int = JUDGED
    alike: int = ALIKE
    passes: int = PASSES
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def scale_of(task: Task) -> Scale:
    """The quick form: everything small."""
    if not task.quick:
        return Scale()
    return Scale(1_000, 200, 400, 100, 6, {"generated_size": 256, "rollouts": 4, "warm_up": 2, "filters": 5})


# The task


def oracle_of(task: Task) -> Any:
    """The paper's oracle, or that of the phantom. Raises DataError when its file is not one."""
    from ganvas.data.phantoms.oracle import SYMBOLS, WEIGHTS, WIDTH, Oracle

    if task.phantom:
        return Oracle.random(SYMBOLS, WIDTH, WEIGHTS)
    path = Path(task.data) / "target_lstm.npz"
    try:
        with np.load(path, allow_pickle=False) as held:
            return Oracle.of_parameters(held)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not the weights p00 to p14 of the oracle ({error})") from error


def prepared(task: Task, oracle: Any) -> tuple[Path, float]:
    """(file of the seed's sequences, share of them to hold out). Every seed has sequences of its own."""
    scale = scale_of(task)
    file = task.folder.parent / f"sequences-{task.seed}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        chances = np.random.default_rng([task.seed, 0x0AC1]).random((scale.train + scale.validation, LENGTH))
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, tokens=oracle.sample(chances), symbols=np.array([str(k) for k in range(oracle.symbols)]))
        partial.replace(file)
    return file, scale.validation / (scale.train + scale.validation)


def beginning(task: Task) -> tuple[Any, dict[str, Any]]:
    """The run that learnt by likelihood, made once for both arms of a seed: (the run, facts of its training)."""
    scale, own = scale_of(task), dataclasses.replace(task, folder=task.folder.parent / f"likelihood-{task.seed}")
    file, share = prepared(task, oracle_of(task))
    kept = own.folder / "facts.json"
    own = dataclasses.replace(own, budget=str(scale.passes * scale.train))
    config = {**SETTINGS, **scale.settings, "pretraining_samples": 10**9}
    run, facts = trained(own, "seqgan", config, data=str(file), heldout=share, threads=1)
    if kept.exists():
        facts = json.loads(kept.read_text())
    else:
        kept.write_text(json.dumps(facts))
    return run, facts


# Measuring


def judged(task: Task, oracle: Any, system: Any, more: dict[str, Any]) -> Outcome:
    """Samples at temperature 1, and what other temperatures would give."""
    from ganvas.metrics.bleu import self_bleu

    scale = scale_of(task)
    file, _ = prepared(task, oracle)
    with np.load(file) as held:
        own = held["tokens"]
    known = {row.tobytes() for row in own.astype(np.int64)}
    real = oracle.sample(np.random.default_rng([task.seed, 0x0AC2]).random((scale.judged, LENGTH)))
    sweep = {}
    for temperature in TEMPERATURES:
        count = scale.judged if temperature == 1 else scale.judged // 4
        made = samples_of(system, count, 10_000 + task.seed, temperature)
        sweep[f"{temperature:g}"] = {
            "oracle_nll": float(oracle.surprise(made).mean()),
            "self_bleu_2": float(self_bleu(made[: scale.alike].tolist(), 2).mean()),
            "self_bleu_3": float(self_bleu(made[: scale.alike].tolist(), 3).mean()),
            "nll_of_unseen": validation_loss(system, real[: scale.judged // 4], temperature),
            "different": len(np.unique(made, axis=0)) / len(made),
            "of_training": float(np.mean([row.tobytes() in known for row in made])),
        }
    plain = sweep["1"]
    alike = float(self_bleu(real[: scale.alike].tolist(), 2).mean())
    truth = {"oracle_nll": float(oracle.surprise(real).mean()), "self_bleu_2": alike}
    protocol = f"oracle-nll/mean of symbols/n={scale.judged}/temperature=1"
    return Outcome(plain["oracle_nll"], protocol, {**plain, "by_temperature": sweep, "of_the_oracle_itself": truth, **more})


def samples_of(system: Any, count: int, seed: int, temperature: float) -> np.ndarray:
    """(count, T) int64 sequences of the generator."""
    import torch

    chances = torch.rand(count, LENGTH, generator=torch.Generator().manual_seed(seed))
    made: np.ndarray = torch.cat([system.generator.write(part, temperature) for part in chances.split(1000)]).numpy()
    return made


def validation_loss(system: Any, tokens: np.ndarray, temperature: float = 1.0) -> float:
    """Mean over symbols of -log G(symbol | those before)."""
    import torch
    from torch.nn.functional import cross_entropy

    policy, total = system.generator, 0.0
    with torch.no_grad():
        for part in torch.from_numpy(tokens).split(250):
            hidden = torch.stack([h for h, _ in policy.states(part)], 1).flatten(0, 1)
            total += float(cross_entropy(policy.output(hidden) / temperature, part.flatten(), reduction="sum"))
    return total / tokens.size


# The arms


def game(task: Task) -> Outcome:
    """The game, from the beginning on; the time it takes is written down for the baseline."""
    oracle = oracle_of(task)
    begun, facts_before = beginning(task)
    file, share = prepared(task, oracle)
    config = {**SETTINGS, **scale_of(task).settings, "pretraining_samples": 0}
    before = _oracle_loss(oracle, begun.system)
    run, facts = trained(
        task, "seqgan", config, data=str(file), heldout=share, threads=1, init_from=begun.record.path
    )  # fmt: skip
    seconds = facts["processor_seconds"] or facts["seconds"]
    _seconds_file(task).write_text(json.dumps(seconds))
    more = {"oracle_nll_before": before, "seconds_of_the_game": seconds, "likelihood": facts_before, **facts}
    more |= {"discriminator_auc": knowledge(task, run)}
    more |= elsewhere(task)
    return judged(task, oracle, run.system, more)


def knowledge(task: Task, run: Any) -> dict[str, float]:
    """Area under the ROC curve of D, new samples of G against real sequences that it learnt from, and that it never saw."""
    import torch
    from sklearn.metrics import roc_auc_score

    from ganvas.proofs._arms import data_of

    dataset, count = data_of(run), scale_of(task).validation
    parts = {"learnt_from": dataset.train_indices()[:count], "unseen": dataset.heldout_indices()[:count]}
    made = torch.from_numpy(samples_of(run.system, count, 50_000 + task.seed, 1.0))
    found = {}
    with torch.no_grad():
        on_made = run.system.realness(made).numpy()
        for name, rows in parts.items():
            real = run.system.realness(torch.from_numpy(np.asarray(dataset.values[rows]).astype(np.int64))).numpy()
            truth = np.concatenate([np.ones(len(real)), np.zeros(len(made))])
            found[name] = float(roc_auc_score(truth, np.concatenate([real, on_made])))
    return found


def undirected(task: Task) -> Outcome:
    """As many moves of G by the same rule, every reward one: no D, nothing but G's own samples made likelier."""
    import torch

    oracle = oracle_of(task)
    begun, _ = beginning(task)
    policy, config = begun.system.generator, {**SETTINGS, **scale_of(task).settings}
    chances = torch.Generator().manual_seed(60_000 + task.seed)
    adam = torch.optim.Adam(policy.parameters(), config["generator_learning_rate"], betas=(0.9, 0.999))
    batch = begun.record.config["batch_size"]
    for _ in range(MOVES):
        tokens = policy.write(torch.rand(batch, LENGTH, generator=chances))
        adam.zero_grad()
        (-policy.log_probabilities(tokens).sum(1).mean()).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), begun.record.config["gradient_clip"] / batch)
        adam.step()
    return judged(task, oracle, begun.system, {"moves": MOVES})


def likelihood(task: Task) -> Outcome:
    """Likelihood goes on for the seconds that the game took, and the best of all it was on unseen sequences is kept.

    It ends before when it has long been learning its training sequences by heart (GIVEN_UP): what is kept would be the same.
    """
    import copy

    oracle = oracle_of(task)
    begun, facts_before = beginning(task)
    seconds = float(json.loads(_seconds_file(task).read_text()))
    engine, validation, passes = continued(begun)
    best = validation_loss(engine.system, validation)
    weights = copy.deepcopy(engine.system.state_dict())
    course, said, spent, chosen = [round(best, 4)], [_oracle_loss(oracle, engine.system)], 0.0, 0
    while spent < seconds and len(course) - 1 - chosen < GIVEN_UP:
        begin = time.process_time()
        for _ in range(passes):
            engine.play_round()
        spent += time.process_time() - begin
        engine.settle()
        course.append(round(validation_loss(engine.system, validation), 4))
        said.append(_oracle_loss(oracle, engine.system))
        if course[-1] < best:
            best, weights, chosen = course[-1], copy.deepcopy(engine.system.state_dict()), len(course) - 1
    engine.system.load_state_dict(weights)
    engine.system.eval()
    more = {
        "validation": course,
        "oracle_nll_by_pass": said,
        "best_pass": chosen,
        "seconds_of_more_likelihood": round(spent, 1),
    }
    return judged(task, oracle, engine.system, {**more, "likelihood": facts_before})


def _oracle_loss(oracle: Any, system: Any) -> float:
    """From fewer samples than the judgement has, to follow a course."""
    return round(float(oracle.surprise(samples_of(system, 1000, 1, 1.0)).mean()), 4)


def continued(run: Any) -> tuple[Any, np.ndarray, int]:
    """(an Engine that stands where the run's stood, its held-out sequences, rounds of a pass over the training ones)."""
    from ganvas.data.streams import open_stream
    from ganvas.engine import Engine
    from ganvas.game import Feed
    from ganvas.proofs._arms import data_of
    from ganvas.run import checkpoint

    dataset, settings = data_of(run), run.record.settings
    batch = run.record.config["batch_size"]
    stream = open_stream(dataset, Feed(), batch, seed=settings.seed)
    engine = Engine(run.system, {"data": stream}, seed=settings.seed, check_every=1000)
    loaded = checkpoint.load(run.record.path)
    assert loaded is not None
    engine.restore(loaded[1]["engine"])
    held = np.asarray(dataset.values[dataset.heldout_indices()]).astype(np.int64)
    return engine, held, max(1, len(dataset.train_indices()) // batch)


# What is reported beside: real verse and tunes


def elsewhere(task: Task) -> dict[str, Any]:
    """With the first seed, where the real data sets lie beside the oracle: a few minutes each of the default preset.

    Verse: BLEU-2 of single characters with all held-out quatrains, and self-BLEU-2, of the game, of likelihood alone for the
    same time, and of training quatrains. Tunes: MIDI files beside the kept values.
    """
    root = Path(task.data).parent
    verse, tunes = root / "tang-quatrains" / "5-char.txt", root / "nottingham-midi"
    found: dict[str, Any] = {}
    if task.phantom or task.quick or task.seed:
        return found
    if verse.exists():
        found["quatrains"] = {
            name: _verse(task, verse, name, config)
            for name, config in (("game", {}), ("likelihood", {"pretraining_samples": 10**9, "pretraining_until": 1.0}))
        }
    if tunes.exists():
        run, _ = _short(task, tunes, "tunes", {})
        from ganvas.kinds import kind_of

        folder = task.folder.parent / "midi"
        folder.mkdir(parents=True, exist_ok=True)
        written = kind_of("tokens").write(
            run.sample(10, seed=1), run.spec, folder, format="mid", depth=None, note={"system": "seqgan"}
        )
        found["tunes"] = {"midi_files": len(written)}
    return found


def _short(task: Task, data: Path, name: str, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    own = dataclasses.replace(task, folder=task.folder.parent / name, budget=ELSEWHERE)
    return trained(own, "seqgan", config, data=str(data), threads=1)


def _verse(task: Task, data: Path, name: str, config: dict[str, Any]) -> dict[str, float]:
    from ganvas.kinds.tokens.spec import texts
    from ganvas.metrics.bleu import bleu, self_bleu
    from ganvas.proofs._arms import data_of

    run, facts = _short(task, data, f"quatrains-{name}", config)
    dataset = data_of(run)

    def signs(rows: np.ndarray) -> list[list[str]]:
        return [[s for s in texts(row, run.spec) if s != " "] for row in rows]

    held = signs(dataset.values[dataset.heldout_indices()])
    real = signs(dataset.values[dataset.train_indices()[:ALIKE]])
    made = signs(run.sample(ALIKE, seed=1))
    return {
        "bleu_2": float(bleu(made, held, 2).mean()), "self_bleu_2": float(self_bleu(made, 2).mean()),
        "real_bleu_2": float(bleu(real, held, 2).mean()), "real_self_bleu_2": float(self_bleu(real, 2).mean()),
        "samples": facts["samples"],
    }  # fmt: skip


def _seconds_file(task: Task) -> Path:
    return task.folder.parent / f"seconds-{task.seed}.json"


def met(rows: Sequence[Row]) -> bool:
    """Every seed for itself; and variety, so that one likely sequence said over and over does not pass."""
    return all(
        row.values["system"] < row.values["baseline"]
        and row.more["system"]["self_bleu_2"] <= row.more["baseline"]["self_bleu_2"] + MOST_ALIKE
        for row in rows
    )


ARMS: dict[str, Callable[[Task], Outcome]] = {"system": game, "baseline": likelihood, "no discriminator": undirected}

PROOF = Proof(
    claim="played from a model learnt by likelihood, the game makes sequences that the oracle finds likelier than more "
    "likelihood does in the same time",
    baseline="the same model learning by likelihood for as many seconds of the processor, taken where it was best on unseen "
    f"sequences (ended when {GIVEN_UP} passes in a row were no better there)",
    metric="the oracle's mean negative log-likelihood per symbol of samples, in nats, at temperature 1",
    direction=LOWER,
    mark="with every seed below the baseline's, and self-BLEU-2 of the samples at most 0.05 above the baseline's",
    met=met,
    arms=ARMS,
    budget=BUDGET,
    quick_budget="1500",
    real="seqgan-oracle",
    phantom="oracle",
    note="Beside it stands G moved as often by the same rule with every reward one: what the game gains beyond that, the "
    "discriminator has taught. Its area under the ROC curve on sequences that it never saw says whether it knows anything.",
)
