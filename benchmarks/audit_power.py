"""What the memorisation audit sees: planted copies on real radiographs and MR slices, and its false alarms on real data.

Cases, each over seeds, at 64x64, `--samples` samples:
(a) training copies with Gaussian noise (standard deviation in units of the range), as a share of the samples; the rest are
    samples of an honestly trained generator, (b) mirrored, shifted (with the border repeated), brightened copies likewise,
(c) real records that neither the generator nor the null has seen, (d) the honest generator alone, both also under noise,
(e) dcgan trained on 50 images (which need not copy them: augmentation keeps it from that), and a generator that does by
    construction: the same network fitted to reproduce 50 images from 50 latents, sampled near these latents.
Splits: fresh group-wise splits of all real records into training, held-out and samples of equal size and class mix as the
held-out part: none of these is a copy, so every verdict but `clear` is a false alarm.

Aims, written down before the run (after trials on some of these cases): no planted set of 10 % or more with noise up to 0.1
missed (verdict `suspect` or `copies`); at most 1 of 100 splits not `clear`, and no set of unseen real records or honest
samples, under noise or not.

    python benchmarks/audit_power.py --data ROOT --work FOLDER --out benchmarks/results/audit_power.json

Results are kept in the work folder as they come; a stopped run goes on where it was. Sets that are not run keep their place
in the report.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import ganvas
from ganvas.data.dataset import Dataset
from ganvas.doctor import machine
from ganvas.metrics import audit, find_extractor
from ganvas.store.splits import hold_out

SIDE = 64
SHARES = (1.0, 0.1, 0.05, 0.02, 0.01)
NOISE = (0.0, 0.02, 0.05, 0.1, 0.2)
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda x: x[:, :, ::-1],
    "shifted by 2": lambda x: np.pad(x, ((0, 0), (2, 0), (2, 0), (0, 0)), mode="edge")[:, :SIDE, :SIDE],
    "shifted by 5": lambda x: np.pad(x, ((0, 0), (0, 5), (5, 0), (0, 0)), mode="edge")[:, 5:, :SIDE],
    "brighter": lambda x: np.clip(x * 0.75 + 50, 0, 255),
    "mirrored, shifted by 3, darker": lambda x: (
        np.pad(x[:, :, ::-1], ((0, 0), (3, 0), (0, 3), (0, 0)), mode="edge")[:, :SIDE, 3:] * 0.8
    ),
}


class Bench:
    """One data set: its features, the honest and the overfitted generator, and the cases."""

    def __init__(self, folder: Path, work: Path, samples: int, budget: str, small_budget: str) -> None:
        self.name, self.count, self.work = folder.name, samples, work / folder.name
        self.dataset: Dataset = ganvas.open_data(folder, size=SIDE, progress=False)
        self.extractor = find_extractor("effnet", size=SIDE)
        self.values = np.asarray(self.dataset.values)
        self.features = self._kept(self.values)
        self.flipped = self._kept(np.ascontiguousarray(self.values[:, :, ::-1]))
        self.budgets = budget, small_budget
        self.made: dict[int, np.ndarray] = {}

    def _kept(self, images: np.ndarray) -> np.ndarray:
        from ganvas.metrics.feature_cache import cached_features

        return cached_features(images, self.extractor)

    def honest(self, seed: int) -> np.ndarray:
        """Samples of dcgan trained on the training part."""
        if seed not in self.made:
            run = self._trained("honest", str(self.dataset.source), self.budgets[0], {"width": 16, "batch_size": 16})
            self.made[seed] = np.asarray(run.sample(self.count, seed=seed, depth=8))
        return self.made[seed]

    def overfitted(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(samples of dcgan trained on 50 images, which images these are)."""
        chosen = np.sort(np.random.default_rng(5).choice(self.dataset.train_indices(), 50, replace=False))
        # With the preset's augmentation: without it D learns 50 images by heart within seconds and teaches G nothing.
        run = self._trained("overfitted", self.values[chosen], self.budgets[1], {"width": 16, "batch_size": 16})
        return np.asarray(run.sample(self.count, seed=seed, depth=8)), chosen

    def reproducing(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """(samples of a generator fitted to 50 images by least squares, which images these are)."""
        import torch

        from ganvas.networks.convolutional import ConvolutionalGenerator

        chosen = np.sort(np.random.default_rng(5).choice(self.dataset.train_indices(), 50, replace=False))
        images = torch.from_numpy(self.values[chosen].astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = ConvolutionalGenerator(32, (images.shape[1], SIDE, SIDE), 16)
            latents = torch.randn(len(images), 32)
            rule = torch.optim.Adam(generator.parameters(), 2e-3)
            for _ in range(800):
                rule.zero_grad()
                torch.nn.functional.mse_loss(generator(latents), images).backward()
                rule.step()
            near = latents[torch.arange(self.count) % len(latents)] + 0.1 * torch.randn(self.count, 32)
            with torch.no_grad():  # in training mode, as it was fitted
                made = torch.cat([generator(part) for part in near.split(50)])
        pixels = ((made + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy().astype(np.uint8)
        return pixels, chosen

    def _trained(self, name: str, data: Any, budget: str, config: dict[str, Any]) -> ganvas.Run:
        folder = self.work / name
        if not (folder / "done").exists():
            share = 0.0 if isinstance(data, np.ndarray) else 0.2
            if (folder / "config.yaml").exists():
                ganvas.train(None, data if isinstance(data, np.ndarray) else None, resume=folder, quiet=True)
            else:
                more = {"size": str(SIDE), "heldout": share, "sample_every": 0.0}
                ganvas.train("dcgan", data, out=folder, budget=budget, config=config, quiet=True, **more)
            (folder / "done").touch()
        return ganvas.load(folder)

    def judge(
        self, made: np.ndarray, train: np.ndarray, heldout: np.ndarray, seed: int, features: Any = None
    ) -> dict[str, Any]:
        """The audit of these samples, in short."""
        d = self.dataset
        found = audit(
            self.extractor.features(made) if features is None else features,
            self.features[train],
            self.features[heldout],
            train_flipped=self.flipped[train],
            heldout_flipped=self.flipped[heldout],
            pictures=(made, self.values[train], self.values[heldout]),
            train_groups=d.groups[train],
            heldout_groups=d.groups[heldout],
            train_labels=None if d.labels is None else d.labels[train],
            heldout_labels=None if d.labels is None else d.labels[heldout],
            seed=seed,
        )
        kept = ("near_copies", "noisy_copies", "dcr_share", "mia_auc", "auth_pct", "c_t")
        values = {name: round(found.measures[name].value, 4) for name in kept if name in found.measures}
        return {"verdict": found.verdict, "p": {k: float(f"{v:.2g}") for k, v in found.tests.items()}, **values}

    def planted(
        self, share: float, change: Callable[[np.ndarray, np.random.Generator], np.ndarray], seed: int
    ) -> dict[str, Any]:
        """Samples of which a share are changed copies of training records."""
        rng = np.random.default_rng([seed, 77])
        train = self.dataset.train_indices()
        k = max(1, round(share * self.count))
        source = rng.choice(train, k, replace=k > len(train))
        copies = np.clip(np.round(change(self.values[source].astype(np.float64), rng)), 0, 255).astype(np.uint8)
        features = self.extractor.features(copies)
        if k < self.count:
            rest = self.honest(1000 + seed)[k:]
            known = self._kept(self.honest(1000 + seed))[k:]
            copies, features = np.concatenate([copies, rest]), np.concatenate([features, known])
        return self.judge(copies, train, self.dataset.heldout_indices(), seed, features)

    def split(self, seed: int) -> dict[str, Any]:
        """Training, held-out and samples from one fresh group-wise split of all real records."""
        d = self.dataset
        samples = hold_out(d.groups, d.labels, 0.2, 10_000 + seed)
        rest = np.flatnonzero(~samples)
        heldout = hold_out(d.groups[rest], None if d.labels is None else d.labels[rest], 0.25, 20_000 + seed)
        chosen = np.flatnonzero(samples)
        return self.judge(self.values[chosen], rest[~heldout], rest[heldout], seed, self.features[chosen])

    def unseen(self, seed: int, noise: float = 0.0) -> dict[str, Any]:
        """Half of the held-out part as samples, under noise, the other half as the null."""
        held = np.random.default_rng([seed, 3]).permutation(self.dataset.heldout_indices())
        half = len(held) // 2
        samples, null = np.sort(held[:half]), np.sort(held[half:])
        made = under_noise(self.values[samples], noise, np.random.default_rng([seed, 5]))
        return self.judge(made, self.dataset.train_indices(), null, seed)

    def cases(self, seeds: int, splits: int, shares: Sequence[float] = SHARES) -> dict[str, Callable[[], dict[str, Any]]]:
        """Every case by name; `name/seed`."""
        train, held = self.dataset.train_indices(), self.dataset.heldout_indices()
        found: dict[str, Callable[[], dict[str, Any]]] = {}
        for seed in range(splits):
            found[f"split/{seed}"] = lambda seed=seed: self.split(seed)
        for seed in range(seeds):
            for noise in NOISE:
                after = f", noise {noise}" if noise else ""

                def noisy_honest(noise: float = noise, seed: int = seed) -> dict[str, Any]:
                    made = under_noise(self.honest(seed), noise, np.random.default_rng([seed, 6]))
                    return self.judge(made, train, held, seed)

                found[f"unseen real records{after}/{seed}"] = lambda seed=seed, noise=noise: self.unseen(seed, noise)
                found[f"honest generator{after}/{seed}"] = noisy_honest
            for share in shares:
                for noise in NOISE:

                    def noisy(x: np.ndarray, rng: np.random.Generator, noise: float = noise) -> np.ndarray:
                        return x + 255 * noise * rng.standard_normal(x.shape)

                    found[f"copies {share:.0%}, noise {noise}/{seed}"] = lambda s=share, c=noisy, seed=seed: self.planted(
                        s, c, seed
                    )
            for share in (1.0, 0.1):
                for name, change in CHANGES.items():

                    def changed(x: np.ndarray, rng: np.random.Generator, change: Any = change) -> np.ndarray:
                        return np.asarray(change(x))

                    found[f"copies {share:.0%}, {name}/{seed}"] = lambda s=share, c=changed, seed=seed: self.planted(s, c, seed)

            def moved(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
                change = CHANGES["mirrored, shifted by 3, darker"]
                return np.asarray(change(x)) + 255 * 0.05 * rng.standard_normal(x.shape)

            for share in (1.0, 0.1):
                name = f"copies {share:.0%}, mirrored, shifted by 3, darker, noise 0.05/{seed}"
                found[name] = lambda s=share, c=moved, seed=seed: self.planted(s, c, seed)

            def on_fifty(seed: int = seed) -> dict[str, Any]:
                made, chosen = self.overfitted(seed)
                return self.judge(made, chosen, held, seed)

            def copying(seed: int = seed) -> dict[str, Any]:
                made, chosen = self.reproducing(seed)
                return self.judge(made, chosen, held, seed)

            found[f"dcgan trained on 50 images/{seed}"] = on_fifty
            found[f"fitted to 50 images/{seed}"] = copying
        return found


def under_noise(images: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Images uint8 with Gaussian noise, its standard deviation in units of the range."""
    return np.clip(np.round(images + 255 * noise * rng.standard_normal(images.shape)), 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["chest-xray", "brain-mr"])
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and partial results")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="of planted copies among the samples")
    parser.add_argument("--budget", default="250k", help="training of the honest generator")
    parser.add_argument("--small-budget", default="100k", help="training of the generator on 50 images")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/audit_power.json"))
    args = parser.parse_args()
    aims = (__doc__ or "").split("Aims, written down before the run ")[1].split("\n\n")[0].replace("\n", " ")
    found: dict[str, Any] = {}
    for name in args.sets:
        work = args.work / name
        work.mkdir(parents=True, exist_ok=True)
        kept = work / "cases.json"
        done: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
        bench = Bench(args.data / name, args.work, args.samples, args.budget, args.small_budget)
        for case, run in bench.cases(args.seeds, args.splits, args.shares).items():
            if case not in done:
                started = time.perf_counter()
                done[case] = run()
                kept.write_text(json.dumps(done))
                print(f"{name}  {case}: {done[case]} {time.perf_counter() - started:.1f} s", flush=True)
        shown = {kind: int(ganvas.load(work / kind).manifest["samples"]) for kind in ("honest", "overfitted") if args.seeds}
        shares = " ".join(f"{share:g}" for share in args.shares)
        command = (
            f"python benchmarks/audit_power.py --data ROOT --work FOLDER --sets {name} --samples {args.samples} "
            f"--seeds {args.seeds} --splits {args.splits} --shares {shares} "
            f"--budget {args.budget} --small-budget {args.small_budget}"
        )
        facts = {"command": command, "samples": args.samples, "machine": machine(), "generators_were_shown": shown}
        found[name] = {**facts, "cases": table(done)}
        for case, row in found[name]["cases"].items():
            print(f"{name:<12} {case:<50} {row['verdicts']}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = {**(json.loads(args.out.read_text()) if args.out.exists() else {}), "aims": aims, **found}
    args.out.write_text(json.dumps(report, indent=1) + "\n")


def table(done: dict[str, Any]) -> dict[str, Any]:
    """By case: how often each verdict, and the range of the numbers over seeds."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, result in done.items():
        rows.setdefault(name.rpartition("/")[0], []).append(result)
    found = {}
    for case, results in rows.items():
        verdicts = dict(Counter(result["verdict"] for result in results))
        spans = {
            key: [min(values), max(values)]
            for key in ("near_copies", "noisy_copies", "dcr_share", "mia_auc", "auth_pct", "c_t")
            if (values := [result[key] for result in results if key in result])
        }
        found[case] = {"verdicts": verdicts, **spans}
    return found


if __name__ == "__main__":
    main()
