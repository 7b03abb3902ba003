"""The doctor: true counts, missing things named with the line that brings them, nothing that names a person or a place."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
import time

import pytest
import torch

from ganvas import doctor
from ganvas.metrics import features


def test_machine_is_small_plain_and_anonymous() -> None:
    facts = doctor.machine()
    text = json.dumps(facts)
    assert facts.keys() == {"ganvas", "python", "platform", "torch", "numpy", "cpu", "cores", "memory", "gpus"}
    assert facts["torch"] == torch.__version__
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)
    assert facts["memory"] > 500_000_000
    assert facts["cpu"]
    assert os.getcwd() not in text
    assert os.path.expanduser("~") not in text or os.path.expanduser("~") == "/"
    words = text.replace('"', " ").replace(",", " ").split()
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


def test_machine_opens_no_gpu_and_is_quick() -> None:
    doctor.machine()
    begin = time.perf_counter()
    doctor.machine()
    assert time.perf_counter() - begin < 1.0
    assert not torch.cuda.is_initialized()


def test_importing_the_doctor_loads_no_torch() -> None:
    code = "import sys, ganvas.doctor; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_packages_are_grouped_by_extra() -> None:
    lines = [
        "numpy>=1.26",
        "surely-absent>=3; extra == 'medical'",
        'pillow>=10 ; python_version >= "3.11" and extra == "medical"',
        "ganvas[medical]; extra == 'all'",
    ]
    found = doctor.packages(lines)
    assert list(found) == ["core", "medical"]
    assert found["core"][0]["package"] == "numpy"
    assert found["core"][0]["version"]
    absent, pillow = found["medical"]
    assert absent == {"package": "surely-absent", "version": None, "install": "pip install 'ganvas[medical]'"}
    assert pillow["version"]


def test_the_projects_own_requirements_are_known() -> None:
    found = doctor.packages(doctor.requirements())
    core = {member["package"]: member["version"] for member in found["core"]}
    assert core["torch"]
    assert core["rich"]
    assert {member["package"] for member in found["medical"]} >= {"pydicom", "nibabel"}


@pytest.mark.parametrize("width", [20, 64])
def test_work_of_a_round_is_the_sum_over_its_convolutions(width: int) -> None:
    """Multiply-adds of each layer per record, times two; which passes a round makes is counted by hand."""
    w = width
    generator = [100 * 8 * w * 16, 8 * w * 4 * w * 16 * 16, 4 * w * 2 * w * 16 * 64, 2 * w * w * 16 * 256, w * 16 * 1024]
    discriminator = [w * 16 * 1024, w * 2 * w * 16 * 256, 2 * w * 4 * w * 16 * 64, 4 * w * 8 * w * 16 * 16, 8 * w * 16]
    # G: forward, backward to weights, backward to its inputs but the latents. D on real and fake: forward, weights, inputs
    # but the images; D for G's turn: forward and inputs, the images included.
    passes_g = 3 * sum(generator) - generator[0]
    passes_d = 2 * (3 * sum(discriminator) - discriminator[0]) + 2 * sum(discriminator)
    assert doctor.round_work(width) == pytest.approx(2 * 128 * (passes_g + passes_d) / 1e9, rel=1e-9)


def test_measuring_leaves_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    speed = doctor.convolution_speed("cpu", width=8, seconds=0.02)
    doctor.round_work(4)
    assert torch.equal(torch.rand(3), expected)
    assert 0.1 < speed < 100_000


def test_measuring_works_where_gradients_are_off() -> None:
    with torch.no_grad():
        assert doctor.convolution_speed("cpu", width=8, seconds=0.0) > 0


def test_expected_rounds_scale_and_are_rounded() -> None:
    assert doctor.expected_rounds(200.0, 28.57, 600) == 3600
    assert doctor.expected_rounds(100.0, 28.57, 600) == 1800
    assert doctor.expected_rounds(1.0, 286.3, 60) == 0


def test_the_whole_report_in_words() -> None:
    report = doctor.examine()
    json.dumps(report)
    assert report["extractor"] == {"right": True, "state": "EfficientNet-lite0, the known weights", "install": None}
    small, large = report["speed"]["examples"]
    assert (small["width"], large["width"]) == (20, 64)
    assert large["gflop_per_round"] > 5 * small["gflop_per_round"]
    report["packages"]["medical"] = doctor.packages(["surely-absent; extra == 'medical'"])["medical"]
    text = "\n".join(doctor.lines(report))
    for part in ("Python 3", f"torch {torch.__version__}", "threads", "of disk free", "Image extractor", "GFLOP/s", "width 20"):
        assert part in text, part
    report["speed"]["busy"] = True
    assert "busy now" in "\n".join(doctor.lines(report))
    report["speed"]["busy"] = False
    assert "busy now" not in "\n".join(doctor.lines(report))
    assert "missing surely-absent:  pip install 'ganvas[medical]'" in text
    assert os.getcwd() not in text


def test_wrong_extractor_weights_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "WEIGHTS_SHA256", "0" * 64)
    found = doctor._extractor()
    assert found["right"] is False
    assert "sha256" in found["state"]
    assert found["install"].startswith("pip install")


def test_a_codec_that_does_not_load_is_named() -> None:
    report = {"versions": {"gdcm": "3.0"}, "broken": {"imagecodecs": "no such library"}, "dicom": {"JPEG": True, "RLE": False}}
    assert doctor._codec_words(report) == "gdcm 3.0; compressed DICOM: JPEG"


def test_threads_are_set_for_a_while_and_put_back() -> None:
    import torch

    from ganvas.doctor import on_threads, useful_threads

    before = torch.get_num_threads()
    with on_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with on_threads(None):
        assert torch.get_num_threads() == before
    assert 1 <= useful_threads() <= before
    assert useful_threads(processes=64) == 1
