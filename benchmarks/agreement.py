"""The metrics of ganvas beside those of other tools, on the same features: the largest relative difference of each pair.

    make bench-env
    .bench/bin/python benchmarks/agreement.py --out benchmarks/results/metrics_agreement.json

The tolerance was written before the first run: 1e-6, relative, for every pair. Exit code 1 when a pair is beyond it. All get
float64 features, so that differences are of method and not of rounding, from three laws: correlated normal, sparse like the
features behind a ReLU, and heavy-tailed. Not a measure of speed, and not of feature extractors.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch

from ganvas import metrics
from ganvas.doctor import machine

TOLERANCE = 1e-6
TOOLS = ("torch", "torch-fidelity", "torchmetrics", "prdc", "clean-fid", "scikit-learn", "scipy", "numpy")
Pair = tuple[str, str, Any, Any]  # metric, other tool, our number or numbers, theirs


def laws(n: int, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name -> (generated, real): features of n and n + 100 samples."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(128, 128)) / np.sqrt(128) + np.eye(128)
    return {
        "correlated": (rng.normal(size=(n, 128)) @ mix, rng.normal(0.1, 1.1, size=(n + 100, 128)) @ mix),
        "sparse": tuple(np.maximum(rng.normal(shift, 1, size=(size, 192)), 0) for shift, size in ((-0.4, n), (-0.5, n + 100))),
        "heavy-tailed": (rng.standard_t(4, size=(n, 64)), 1.2 * rng.standard_t(4, size=(n + 100, 64))),
    }


def frechet(g: np.ndarray, r: np.ndarray) -> list[Pair]:
    from cleanfid.fid import frechet_distance as clean
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance

    ours = metrics.frechet_distance(g, r, intervals=False).value
    s_g, s_r = np.cov(g, rowvar=False), np.cov(r, rowvar=False)
    m_g, m_r = g.mean(axis=0), r.mean(axis=0)
    by_scipy = float(((m_g - m_r) ** 2).sum() + np.trace(s_g + s_r - 2 * scipy.linalg.sqrtm(s_g @ s_r).real))
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (g, r)]
    fidelity = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    streamed = FrechetInceptionDistance(feature=given(g.shape[1])).set_dtype(torch.float64)
    streamed.update(torch.from_numpy(g), real=False)
    streamed.update(torch.from_numpy(r), real=True)
    pairs = [
        ("frechet", "scipy sqrtm", ours, by_scipy),
        ("frechet", "torch-fidelity", ours, fidelity),
        ("frechet", "torchmetrics", ours, float(streamed.compute())),
    ]
    with contextlib.suppress(TypeError):  # it calls scipy's sqrtm in a way that newer releases refuse
        pairs.append(("frechet", "clean-fid", ours, float(clean(m_g, s_g, m_r, s_r))))
    moments = []
    for features in (g, r):
        merged = metrics.FeatureMoments()
        for part in np.array_split(features, 7):
            piece = metrics.FeatureMoments()
            piece.update(part)
            merged.merge(piece)
        moments.append(merged)
    pairs.append(("frechet, seven merged states", "the whole set", moments[0].compute(moments[1]).value, ours))
    return pairs


def kernel(g: np.ndarray, r: np.ndarray) -> list[Pair]:
    from cleanfid.fid import kernel_distance as clean
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.kid import KernelInceptionDistance

    options = {"kid_subsets": 10, "kid_subset_size": 300, "verbose": False}
    theirs = kid_features_to_metric(torch.from_numpy(g), torch.from_numpy(r), **options)
    ours = metrics.kernel_distance_by_subsets(g, r, subsets=10, size=300)
    # One subset of everything is the full estimate; the order of the draw does not matter then.
    size = len(g)
    same = metrics.kernel_distance(g, r[:size], intervals=False).value
    whole = KernelInceptionDistance(feature=given(g.shape[1]), subsets=1, subset_size=size)
    whole.update(torch.from_numpy(g), real=False)
    whole.update(torch.from_numpy(r[:size]), real=True)
    return [
        ("kernel by subsets", "torch-fidelity", ours.value, theirs["kernel_inception_distance_mean"]),
        ("kernel by subsets, spread", "torch-fidelity", ours.more["std"], theirs["kernel_inception_distance_std"]),
        ("kernel", "torchmetrics", same, float(whole.compute()[0])),
        ("kernel", "clean-fid", same, clean(g, r[:size], num_subsets=1, max_subset_size=size)),
    ]


def balls(g: np.ndarray, r: np.ndarray) -> list[Pair]:
    from prdc import compute_prdc
    from torch_fidelity.metric_prc import prc_features_to_metric

    r = r[: len(g)]
    pairs: list[Pair] = []
    for k in (3, 5):
        ours = metrics.precision_recall_density_coverage(g, r, k=k, intervals=False)
        with contextlib.redirect_stdout(io.StringIO()):
            theirs = compute_prdc(r, g, k)
        pairs += [(name, "prdc", ours[name].value, float(theirs[name])) for name in ours]
        options = {"prc_neighborhood": k, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
        fidelity = prc_features_to_metric(torch.from_numpy(g), torch.from_numpy(r), **options)
        pairs += [(name, "torch-fidelity", ours[name].value, fidelity[name]) for name in ("precision", "recall")]
    return pairs


def neighbours(g: np.ndarray, r: np.ndarray) -> list[Pair]:
    from sklearn.neighbors import NearestNeighbors

    distances, indices = metrics.nearest(g, r, 5)
    theirs, where = NearestNeighbors(n_neighbors=5, algorithm="kd_tree").fit(r).kneighbors(g)
    return [
        ("nearest, distances", "scikit-learn", distances, theirs),
        ("nearest, indices", "scikit-learn", indices, where),
    ]


def scores(g: np.ndarray, r: np.ndarray) -> list[Pair]:
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torchmetrics.image.inception import InceptionScore

    logits = torch.from_numpy(2 * g[:, :10])
    ours = metrics.classifier_score(logits.softmax(dim=1), classifier="given", splits=1).value
    streamed = InceptionScore(feature=given(10), splits=1)
    streamed.update(logits)
    covered = metrics.class_coverage(logits.softmax(dim=1), 10, real=r[:, :10].argmax(axis=1), intervals=False)
    shares = [share for share, _, _ in covered["covered"].more["shares"]], covered["covered"].more["real_shares"]
    return [
        ("class score", "torch-fidelity", ours, isc_features_to_metric(logits, splits=1)["inception_score_mean"]),
        ("class score", "torchmetrics", ours, float(streamed.compute()[0])),
        ("class kl", "scipy", covered["kl"].more["observed"], float(entropy(*shares))),
        ("class js", "scipy", covered["js"].more["observed"], float(jensenshannon(*shares) ** 2)),
    ]


def given(width: int) -> torch.nn.Module:
    """Stands where torchmetrics wants a network: features go through as they are."""
    module = torch.nn.Identity()
    module.num_features = width  # type: ignore[assignment]
    return module


def apart(ours: Any, theirs: Any) -> float:
    """Largest difference relative to their largest number."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-300)) if np.any(a != b) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--samples", type=int, default=1500)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of the other tools: deprecations, and memory that states take
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for law, (g, r) in laws(args.samples).items():
        for compare in (frechet, kernel, balls, neighbours, scores):
            for metric, tool, ours, theirs in compare(g, r):
                row = rows.setdefault((metric, tool), {"metric": metric, "tool": tool, "difference": 0.0, "compared": 0})
                row["difference"] = max(row["difference"], apart(ours, theirs))
                row["compared"] += 1
                if np.ndim(ours) == 0:
                    row.setdefault("values", {})[law] = [float(ours), float(theirs)]
    agree = all(row["difference"] <= TOLERANCE for row in rows.values())
    for row in rows.values():
        print(
            f"{row['metric']:30} {row['tool']:16} {row['difference']:.1e}  {'' if row['difference'] <= TOLERANCE else 'BEYOND'}"
        )
    print(f"tolerance {TOLERANCE:g}: {'all agree' if agree else 'not all agree'}")
    if args.out:
        result = {
            "tolerance": TOLERANCE,
            "agree": agree,
            "pairs": list(rows.values()),
            "samples": [args.samples, args.samples + 100],
            "versions": {name: version(name) for name in TOOLS},
            "machine": machine(),
            "command": ".bench/bin/python benchmarks/agreement.py",
        }
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
