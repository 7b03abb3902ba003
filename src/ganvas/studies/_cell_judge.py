"""How good the samples of a job's looks are: what most studies measure. A study may name another judge in its plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GanvasError
from ._cell_job import drawn_file, look_rounds


def judge_images(place: Path, job: Mapping[str, Any]) -> dict[str, Any]:
    """How good the samples of each look are, against the held-out images: Frechet and kernel distance, spectrum, and how
    much they vary. Every number carries its protocol, so it is a FID only where Inception's own weights were given.
    """
    from ..run.load import read_run
    from ..run.opening import open_record_data

    record = read_run(place / "run")
    dataset = open_record_data(record)
    bench = _Bench(dataset, job["judge_settings"].get("inception"))
    looks = [bench.look(place, end, job["seed"]) for end in look_rounds(job["rounds"], job["looks"])]
    return {"looks": looks, "real": bench.anchor()}


class _Bench:
    """The held-out images of a run, their features, and what samples are compared with."""

    def __init__(self, dataset: Any, inception: str | None) -> None:
        from ..metrics import find_extractor
        from ..metrics.feature_cache import cached_features

        size = (dataset.spec.height, dataset.spec.width)
        self.size = size
        self.extractor = find_extractor("inception" if inception else "effnet", size=size, inception=inception)
        heldout, train = dataset.heldout_indices(), dataset.train_indices()
        if len(heldout) < 4:
            raise GanvasError(f"{len(heldout)} held-out images are too few to judge samples by: give more data")
        rng = np.random.default_rng(0)
        some = np.sort(rng.permutation(train)[: len(heldout)])
        self.heldout, self.train = (_eight_bit(dataset.values[part], dataset.spec) for part in (heldout, some))
        self.features = cached_features(self.heldout, self.extractor)
        self.spread = _spread(self.heldout)

    def look(self, place: Path, end: int, seed: int) -> dict[str, Any]:
        """The measures of one look."""
        from ..metrics import frechet_distance, kernel_distance, spectrum_distance

        with np.load(drawn_file(place, end), allow_pickle=False) as drawn:
            samples = drawn["samples"]
        made = self.extractor.features(samples)
        named: dict[str, Any] = {"features": self.extractor.name, "reference": "heldout"}
        spectrum = spectrum_distance(samples, self.heldout, replicates=200, seed=seed, reference="heldout").to_dict()
        spectrum["distance"], spectrum["value"] = spectrum["value"], spectrum["top_third"]
        spectrum["low"], spectrum["high"] = spectrum.pop("top_third_low"), spectrum.pop("top_third_high")
        diversity = _spread(samples) / self.spread
        protocol = f"pixel-distance-ratio/n={len(samples)}/m={len(self.heldout)}/ref=heldout"
        return {
            "round": end,
            "frechet": frechet_distance(made, self.features, **named).to_dict(),
            "kernel": kernel_distance(made, self.features, **named).to_dict(),
            "top_third": spectrum,
            "diversity": {"value": diversity, "protocol": protocol},
        }

    def anchor(self) -> dict[str, Any]:
        """The same of as many training images: about what a perfect generator would reach."""
        from ..metrics import frechet_distance, kernel_distance, spectrum_distance
        from ..metrics.feature_cache import cached_features

        made = cached_features(self.train, self.extractor)
        named: dict[str, Any] = {"features": self.extractor.name, "reference": "heldout", "intervals": False}
        spectrum = spectrum_distance(self.train, self.heldout, intervals=False, reference="heldout").to_dict()
        spectrum["distance"], spectrum["value"] = spectrum["value"], spectrum["top_third"]
        return {
            "frechet": frechet_distance(made, self.features, **named).to_dict(),
            "kernel": kernel_distance(made, self.features, **named).to_dict(),
            "top_third": spectrum,
        }


def _eight_bit(values: Any, spec: Any) -> np.ndarray:
    """Images of the file type as 8 bits, by the way samples go."""
    from ..kinds import decode, encode

    made: np.ndarray = decode(encode(values, spec), spec, 8)
    return made


def _spread(images: np.ndarray) -> float:
    """Mean distance of pairs of images, over their pixels."""
    from ..health.samples import distances

    flat = images.reshape(len(images), -1)
    apart = distances(flat, False)
    count = len(apart)
    return float(apart.sum() / (count * (count - 1)))
