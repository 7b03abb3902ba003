"""Does ganvas' Inception extractor give what torch-fidelity gives? Both get one file of random weights and the same images.

Random weights need no download and leave nothing to chance: any difference in reading, resizing or scaling the images, in
the order of channels or in the layers read would show. Needs torch-fidelity.

    python benchmarks/inception_agreement.py --out benchmarks/results/inception_agreement.json
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.version import __version__

from ganvas.metrics.extractors import InceptionExtractor

COUNT = 12


class RandomInception(FeatureExtractorInceptionV3):
    """The network as it is initialised: what it reads from the file is not used."""

    def load_state_dict(self, *_: object, **__: object) -> None:
        """Keep the random weights."""


def images() -> dict[str, np.ndarray]:
    """Smooth patterns with noise: colour, grey, and 16-bit, in sizes that the network enlarges and shrinks."""
    rng = np.random.default_rng(0)
    y, x, n, c = np.ogrid[:64, :48, :COUNT, :3]
    waves = 128 + 90 * np.sin(x / (3 + n) + y / (5 + n) + c)
    colour = np.moveaxis(waves, 2, 0) + rng.normal(0, 20, (COUNT, 64, 48, 3))
    colour = colour.clip(0, 255).round().astype(np.uint8)
    large = np.repeat(np.repeat(colour[:4], 6, axis=1), 7, axis=2)
    return {"colour 64x48": colour, "grey 64x48": colour[..., 0], "16-bit grey": colour[..., 0].astype(np.uint16) * 257,
            "colour 384x336": large}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pth"
        torch.save({}, file)
        network = RandomInception("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(file))
        for name, value in network.named_parameters():  # as they come, random weights let hardly anything through
            if "conv.weight" in name:
                torch.nn.init.kaiming_normal_(value)
            elif name == "fc.weight":
                torch.nn.init.normal_(value, 0, 0.5)
        torch.save(network.state_dict(), file)
        ours = InceptionExtractor(file, batch=7)
    assert not ours.is_inception, "random weights must not pass for the original ones"
    rows = []
    for name, given in images().items():
        eight = (given // 257).astype(np.uint8) if given.dtype == np.uint16 else given
        eight = np.repeat(eight[..., None], 3, axis=3) if eight.ndim == 3 else eight
        with torch.no_grad():
            features, logits = network(torch.from_numpy(eight).permute(0, 3, 1, 2))
        said = logits.double().softmax(dim=1)
        mine = ours.probabilities(given).astype(np.float64)
        rows.append({
            "images": name,
            "scale_of_features": float(features.abs().mean()),
            "largest_difference": float(np.abs(ours.features(given) - features.numpy()).max()),
            "inception_score": _score(said.numpy()),
            "inception_score_of_ganvas": _score(mine),
        })  # fmt: skip
    largest = max(row["largest_difference"] / row["scale_of_features"] for row in rows)
    result = {"torch": torch.__version__, "torch_fidelity": __version__, "rows": rows, "largest_relative_difference": largest,
              "agrees": largest < 1e-4, "command": "python benchmarks/inception_agreement.py"}  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    raise SystemExit(0 if result["agrees"] else 1)


def _score(probabilities: np.ndarray) -> float:
    """Inception Score of one split."""
    marginal = probabilities.mean(axis=0, keepdims=True)
    return math.exp(float((probabilities * (np.log(probabilities) - np.log(marginal))).sum(axis=1).mean()))


if __name__ == "__main__":
    main()
