"""Numbers about generated data, each with its protocol. Names load on first use, so importing this costs nothing.

`image_features` turns images into features (the default extractor); every metric on features takes two sets of them and
returns a `Measure`: the value, its protocol, and a 95 % interval where a sound one is known.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganvas.metrics.blocks import block_edges
    from ganvas.metrics.classes import class_coverage, classifier_score, different_bins
    from ganvas.metrics.collected import Collected
    from ganvas.metrics.diversity import pairwise_diversity, perceptual_distances
    from ganvas.metrics.extractors import Extractor, find_extractor, train_classifier
    from ganvas.metrics.feature_cache import cached_features
    from ganvas.metrics.features import feature_protocol, image_features
    from ganvas.metrics.frechet import FeatureMoments, frechet_distance, frechet_extrapolated
    from ganvas.metrics.kernel import kernel_distance, kernel_distance_by_subsets
    from ganvas.metrics.measure import Measure
    from ganvas.metrics.memorisation import Audit, audit
    from ganvas.metrics.neighbours import nearest, radii
    from ganvas.metrics.pairs import retrieval
    from ganvas.metrics.pixels import IntensityHistogram, checkerboard_energy, diversity_ms_ssim, intensity_distance
    from ganvas.metrics.prdc import precision_recall_density_coverage
    from ganvas.metrics.spectrum import SpectrumMoments, draw_spectrum, radial_spectrum, spectrum_distance

__all__ = [
    "Audit",
    "Collected",
    "Extractor",
    "FeatureMoments",
    "IntensityHistogram",
    "Measure",
    "SpectrumMoments",
    "audit",
    "block_edges",
    "cached_features",
    "checkerboard_energy",
    "class_coverage",
    "classifier_score",
    "different_bins",
    "diversity_ms_ssim",
    "draw_spectrum",
    "feature_protocol",
    "find_extractor",
    "frechet_distance",
    "frechet_extrapolated",
    "image_features",
    "intensity_distance",
    "kernel_distance",
    "kernel_distance_by_subsets",
    "nearest",
    "pairwise_diversity",
    "perceptual_distances",
    "precision_recall_density_coverage",
    "radial_spectrum",
    "radii",
    "retrieval",
    "spectrum_distance",
    "train_classifier",
]

_HOME = {
    "Audit": "memorisation",
    "Collected": "collected",
    "Extractor": "extractors",
    "FeatureMoments": "frechet",
    "IntensityHistogram": "pixels",
    "Measure": "measure",
    "SpectrumMoments": "spectrum",
    "audit": "memorisation",
    "block_edges": "blocks",
    "cached_features": "feature_cache",
    "checkerboard_energy": "pixels",
    "class_coverage": "classes",
    "classifier_score": "classes",
    "different_bins": "classes",
    "diversity_ms_ssim": "pixels",
    "draw_spectrum": "spectrum",
    "feature_protocol": "features",
    "find_extractor": "extractors",
    "frechet_distance": "frechet",
    "frechet_extrapolated": "frechet",
    "image_features": "features",
    "intensity_distance": "pixels",
    "kernel_distance": "kernel",
    "kernel_distance_by_subsets": "kernel",
    "nearest": "neighbours",
    "pairwise_diversity": "diversity",
    "perceptual_distances": "diversity",
    "precision_recall_density_coverage": "prdc",
    "radial_spectrum": "spectrum",
    "radii": "neighbours",
    "retrieval": "pairs",
    "spectrum_distance": "spectrum",
    "train_classifier": "extractors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
