"""Numbers about generated data, each with its protocol. Names load on first use, so importing this costs nothing.

`image_features` turns images into features (the default extractor); `kernel_distance` compares two sets of features or
images.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganvas.metrics.features import feature_protocol, image_features
    from ganvas.metrics.kernel import KernelDistance, kernel_distance

__all__ = ["KernelDistance", "feature_protocol", "image_features", "kernel_distance"]

_HOME = {
    "feature_protocol": "features",
    "image_features": "features",
    "KernelDistance": "kernel",
    "kernel_distance": "kernel",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
