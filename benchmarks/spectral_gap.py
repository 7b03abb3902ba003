"""How much of the gap in the highest octaves of the spectrum remedies close, and what they cost: `dcgan` on radiographs.

    python benchmarks/spectral_gap.py --data ROOT/chest-xray

Five forms of `dcgan` with its preset `auto` at 64 pixels, each for as long on one core (`equal_time.py`), three seeds: its
last layer as in the paper (a transposed convolution), enlarged by repeated pixels or between pixels before a convolution
(Chandrasegaran et al. 2021), with a loss on the mean spectrum (after Durall et al. 2020), and both. Of 500 samples against
held-out ones: mean distance of log spectra over all rings, signed gap in the top third (below 0: detail is missing), kernel
distance times 1000 by two extractors. Beside them stand as many training images. No mark: what is found is told.

Writes benchmarks/results/spectral_gap.json; runs that are in it are not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from equal_time import COUNT, SIDE, distances, run
from ganvas.data import open_data
from ganvas.doctor import machine
from ganvas.kinds import decode, encode
from ganvas.metrics import spectrum_distance

RESULT = Path(__file__).parent / "results" / "spectral_gap.json"
FORMS: dict[str, dict[str, Any]] = {
    "transposed, as in the paper": {"generator_last": "transposed"},
    "nearest": {"generator_last": "nearest"},
    "bilinear": {"generator_last": "bilinear"},
    "transposed, loss on the spectrum": {"generator_last": "transposed", "spectrum_weight": 0.3},
    "nearest, loss on the spectrum": {"generator_last": "nearest", "spectrum_weight": 0.3},
}
KEYS = ("spectrum", "top_third", "distance", "by_another")


def measured(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """The two distances, and those of the spectra."""
    found = spectrum_distance(made, real, intervals=False, reference="heldout").to_dict()
    return {**distances(made, real), "spectrum": round(found["value"], 3), "top_third": round(found["top_third"], 3)}


def real_ones(data: Path) -> dict[str, float]:
    """Training images in the place of samples."""
    dataset, rng = open_data(data, size=SIDE, progress=False), np.random.default_rng(0)
    parts = [rng.permutation(own)[:COUNT] for own in (dataset.train_indices(), dataset.heldout_indices())]
    one, other = (decode(encode(dataset.values[np.sort(part)], dataset.spec), dataset.spec, depth=8) for part in parts)
    return measured(one, other)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of images")
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--seconds", type=float, default=80.0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"runs": []}
    known = {(own["form"], own["seed"], own["asked"]) for own in kept["runs"]}
    kept["real"] = real_ones(options.data)
    print("training images", kept["real"], flush=True)
    for seed in options.seeds:
        for form, settings in FORMS.items():
            if (form, seed, options.seconds) in known:
                continue
            found = run("dcgan", options.data, seed, options.seconds, settings, None, measured)
            kept["runs"].append({"form": form, "asked": options.seconds, **found})
            kept["machine"] = machine()
            kept["table"] = {
                name: {key: round(statistics.fmean(own[key] for own in rows), 3) for key in KEYS} | {"seeds": len(rows)}
                for name in FORMS
                if (rows := [own for own in kept["runs"] if own["form"] == name and own["asked"] == options.seconds])
            }
            options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(form, seed, {key: found[key] for key in KEYS}, flush=True)
    print(json.dumps(kept["table"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
