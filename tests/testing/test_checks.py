"""The public checks: the examples of the pages pass them, each broken copy is caught by the check that is meant for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ganvas
import ganvas.kinds
import toys
from ganvas import testing
from ganvas.cli import main
from ganvas.errors import DataError, GanvasError
from ganvas.kinds import kind_names, kind_of
from ganvas.registry import catalogue, find, load_file, load_system
from ganvas.testing import CheckFailed, Skipped, check_kind, check_system, check_use, examine, kind_checks, system_checks
from ganvas.testing.finding import check
from ganvas.testing.outcomes import Check, expect
from ganvas.uses import table

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(autouse=True)
def _own_kinds_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds and systems of files stay in the table of a process: here they go after each test."""
    for name in ("_added", "_looked"):
        monkeypatch.setattr(ganvas.kinds, name, {})
    monkeypatch.setattr("ganvas.registry._brought", {})


def copy_of(example: str, folder: Path, *pairs: tuple[str, str], name: str = "") -> Path:
    """An example with texts replaced; of images and points, points alone, which are quicker."""
    text = (EXAMPLES / f"{example}.py").read_text().replace('["image", "points"]', '["points"]')
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{name or example}.py"
    path.write_text(text)
    return path


def lines_of(path: Path, check_name: str) -> list[str]:
    """The lines of one check that failed on a file, on all that it brings."""
    chosen = []
    for examined in check(str(path)):
        chosen += [own for own in examined.outcomes if own.name.split("[")[0] == check_name]
    assert chosen, f"no such check: {check_name}"
    return [own.line for own in chosen if own.result == "failed"]


# What is right


@pytest.mark.parametrize("example", ["my_gan", "my_use", "my_kind"])
def test_the_examples_pass(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLES / f"{example}.py")]) == 0
    told = capsys.readouterr().out
    assert "FAILED" not in told
    assert re.search(r"^[1-9][0-9]+ passed in ", told, re.MULTILINE)


def test_a_kind_of_ones_own_is_learnt_sampled_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kind in its file, the system beside it in another, as the page says."""
    copy_of("my_kind", tmp_path)
    own = copy_of(
        "my_gan", tmp_path, ('["points"]', '["spectrum"]'), ("\nPRESETS", '\nKINDS = ["my_kind.py"]\n\nPRESETS'), name="raman"
    )
    rng = np.random.default_rng(0)
    x = np.arange(400.0, 1800.0, 10.0)
    for place, folder in enumerate(("calcite", "quartz")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for k in range(15):
            y = 50 * np.exp(-(((x - 1000 - 300 * place - rng.normal(0, 20)) / 40) ** 2)) + rng.normal(0, 1, len(x))
            order = slice(None, None, -1 if k % 2 else 1)  # some begin at the highest wavenumber
            rows = "\n".join(f"{a:g}\t{b:.4f}" for a, b in zip(x[order], y[order], strict=True))
            (tmp_path / "data" / folder / f"{k}.xy").write_text(f"Wavenumber\tIntensity\n{rows}\n")
    given: dict[str, Any] = {"budget": "2r", "quiet": True, "device": "cpu", "size": "32", "sample_every": 0.0}
    made = ganvas.train(str(own), tmp_path / "data", out=tmp_path / "run", config={"layers": 1, "batch_size": 8}, **given)
    assert made["rounds"] == 2
    run = ganvas.load(tmp_path / "run")
    assert (run.spec.kind, run.spec.classes, run.spec.first, run.spec.last) == (
        "spectrum",
        ("calcite", "quartz"),
        400.0,
        1790.0,
    )
    assert run.sample(3).shape == (3, 32)
    words = ["sample", str(tmp_path / "run"), "-n", "12", "--device", "cpu", "--system", str(own), "--format"]
    for format in ("xy", "jdx"):
        assert main([*words, format, "--out", str(tmp_path / format)]) == 0
        again = ganvas.open_data(tmp_path / format, kinds=("spectrum",), size=32, cache=tmp_path / "cache", progress=False)
        np.testing.assert_allclose(again.values, run.sample(12, seed=0), rtol=1e-4, atol=1e-3)
    judged = ["evaluate", str(tmp_path / "xy"), "--real", str(tmp_path / "data"), "--size", "32", "--no-audit", "--no-anchors"]
    assert main([*judged, "--kind", str(tmp_path / "my_kind.py"), "--out", str(tmp_path / "e"), "--json"]) in (0, 2)
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "xy"), "--kind", str(tmp_path / "my_kind.py"), "--size", "32"]) == 0
    assert "spectra of 32 points from 400 to 1790 1/cm" in capsys.readouterr().out
    assert main(["show", str(own)]) == 0
    assert "learns from: spectrum data;  try:  ganvas train raman --data FOLDER" in capsys.readouterr().out


def test_a_changed_kind_reads_its_files_anew(tmp_path: Path) -> None:
    """The cache knows the code of a kind of one's own."""
    (tmp_path / "data").mkdir()
    for k in range(4):
        (tmp_path / "data" / f"{k}.xy").write_text("".join(f"{x} {x * k}\n" for x in range(10)))
    opened = []
    for factor in ("1.0", "2.0"):
        copy_of("my_kind", tmp_path, ("return x[order], y[order]", f"return x[order], {factor} * y[order]"))
        check_name = ganvas.kinds.add_file(tmp_path / "my_kind.py")
        assert check_name == ("spectrum",)
        found = ganvas.open_data(tmp_path / "data", kinds=("spectrum",), size=10, cache=tmp_path / "cache", progress=False)
        opened.append(np.array(found.values))
    np.testing.assert_allclose(opened[1], 2 * opened[0])


def test_the_functions_for_python(tmp_path: Path) -> None:
    outcomes = check_system(copy_of("my_gan", tmp_path))
    assert all(own.result == "passed" and own.says and own.seconds >= 0 for own in outcomes)
    _, _, own_class = load_system(str(tmp_path / "my_gan.py"))
    assert [own.name for own in system_checks(own_class)] == [own.name for own in outcomes], "a class is its file's"
    assert {own.result for own in check_kind(type(kind_of("points")))} == {"passed"}
    assert check_kind(kind_of("table"))[0].name == "it_says_what_it_is[table]"
    assert len(check_use(next(use for use in table() if use.verb == "sample"))) == 3
    assert any(own.name == "a_use_keeps_its_promise[netgan graph]" for own in testing.use_checks("link"))
    name, run = next(system_checks("gan"))
    run()
    assert name == "the_card_is_complete"
    for own in (*system_checks("pix2pix"), *kind_checks("image")):
        assert own.says.endswith("."), f"{own.name} says what must hold"


def test_checks_follow_from_what_is_offered() -> None:
    def names(found: Any) -> set[str]:
        return {own.name.split("[")[0] for own in found}

    assert "what_it_shows_is_a_picture_a_caption" in names(system_checks("cyclegan"))
    assert "sampling_is_reproducible_and_leaves_no_trace" not in names(system_checks("cyclegan"))
    assert "maps_are_shown_over_what_they_are_of" in names(kind_checks("image"))
    assert "maps_are_shown_over_what_they_are_of" not in names(kind_checks("table"))
    assert "records_of_another_size_are_taken_or_refused_by_it" not in names(system_checks("wavegan"))


# What is broken

SPARE = (
    "self.average = copy.deepcopy(self.generator)",
    "self.average, self.spare = copy.deepcopy((self.generator, self.discriminator))",
)
SAMPLE = "    def sample(self, count: int, noise: Noise, labels: Tensor | None = None) -> Tensor:\n"
REAL = '"real": relu(1 - self.discriminator(real)).mean()'

SYSTEMS: dict[str, tuple[list[tuple[str, str]], str, str]] = {
    "a misspelt key": (
        [('"summary":', '"sumary":')],
        "the_card_is_complete",
        r"CARD has 'sumary', which nothing reads \(did you mean 'summary'\?\): rename it",
    ),
    "a key too few": ([('    "paper": "arXiv 1705.02894",\n', "")], "the_card_is_complete", "CARD has no 'paper': add it"),
    "no such kind": (
        [('["points"]', '["point"]')],
        "the_card_is_complete",
        r"'point', which is no kind of data \(did you mean 'points'\?\)",
    ),
    "no help": (
        [('"records in a batch"', '""')],
        "settings_have_help_and_survive_yaml",
        "the setting 'batch_size' has no help",
    ),
    "a preset of no setting": (
        [('{"width": 16}', '{"widht": 16}')],
        "presets_are_settings",
        r"preset 'small': unknown setting 'widht' \(did you mean 'width'",
    ),
    "does not build": (
        [("build_pair(spec, config)", "build_pair(spec, config.none)")],
        "it_builds_from_its_defaults",
        r"AttributeError: .* \(my_gan\.py, line \d+, in __init__\)",
    ),
    "not a scalar": (
        [(REAL, REAL.removesuffix(".mean()"))],
        "terms_are_finite_scalars",
        r"term 'real' has shape \(8, 1\), not \(\)",
    ),
    "not finite": ([(REAL, REAL + ".sub(9).log()")], "terms_are_finite_scalars", "term 'real' is nan on fresh weights"),
    "no gradient": (
        [("-self.discriminator(fake).mean()", "-self.discriminator(fake).mean().detach()")],
        "turns_move_their_player_alone",
        "fool gives 'generator' no gradient: its terms hang on no network; look for detach",
    ),
    "moves another": (
        [
            (
                "        real = batch.real\n",
                "        real = batch.real\n        next(self.generator.parameters()).data.add_(1)\n",
            )
        ],
        "turns_move_their_player_alone",
        "discriminate changes generator.*, which 'discriminator' does not own: leave weights to",
    ),
    "owned in vain": (
        [SPARE, ('("discriminator",), rule', '("discriminator", "spare"), rule')],
        "every_owned_parameter_gets_a_gradient",
        r"'discriminator' owns \d+ parameters that never get a gradient \(spare\.",
    ),
    "nobody's": (
        [SPARE],
        "every_network_is_answered_for",
        r"nobody answers for spare\..*: name 'spare' in a player's networks",
    ),
    "forgets": (
        [
            ("        real = batch.real\n", "        real = batch.real\n        self.seen = getattr(self, 'seen', 0) + 1\n"),
            (REAL, REAL + " * self.seen"),
        ],
        "saving_and_resuming_equals_the_straight_run",
        "differs after saving and resuming: keep what must survive in parameters or",
    ),
    "waits": (
        [("-self.discriminator(fake).mean()", "-self.discriminator(fake).mean() * (1 if fake.sum().detach() < 9 else 2)")],
        "a_round_waits_for_no_device",
        r"my_gan.py:\d+ in fool reads a number back \(aten._local_scalar_dense\), 1 such places: keep it a tensor",
    ),
    "noise of its own": (
        [("self.average(noise.normal(", "self.average(torch.randn("), ("import copy\n", "import copy\nimport torch\n")],
        "sampling_is_reproducible_and_leaves_no_trace",
        "sampling draws from torch's own random numbers: take them from the noise",
    ),
    "no noise": (
        [("self.average(noise.normal(", "self.average(0 * noise.normal(")],
        "sampling_is_reproducible_and_leaves_no_trace",
        "other noise gives the same samples",
    ),
    "one too few": (
        [(SAMPLE, SAMPLE + "        count -= 1\n")],
        "sampling_is_reproducible_and_leaves_no_trace",
        r"70 samples have shape \(69, 2\), not \(70, 2\)",
    ),
    "leaves a mode": (
        [(SAMPLE, SAMPLE + "        self.average.train()\n")],
        "sampling_is_reproducible_and_leaves_no_trace",
        "sampling puts .* into training mode: leave modes to the Engine",
    ),
    "writes to itself": (
        [(SAMPLE, SAMPLE + "        next(self.average.parameters()).data.add_(1)\n")],
        "sampling_is_reproducible_and_leaves_no_trace",
        "sampling changes average.*: work on copies",
    ),
    "a class of its own choice": (
        [
            (
                "    def averages(",
                "    def feeds(self) -> Any:\n        return {'data': Feed(of={'real': 1})}\n\n    def averages(",
            ),
            ("Average, Clock, Phase,", "Average, Clock, Feed, Phase,"),
        ],
        "what_it_settles_stands_in_its_config",
        "is the class 'second', and no setting says so",
    ),
    "a setting that does not stay": (
        [
            ("super().__init__(spec, config)", "super().__init__(spec, dataclasses.replace(config, width=2 * config.width))"),
            ("import copy\n", "import copy\nimport dataclasses\n"),
        ],
        "what_it_settles_stands_in_its_config",
        "has another width: settle it to what stays",
    ),
    "of no use": ([("    def sample(", "    def samples(")], "it_is_of_use", "can be put to no use: give it a method sample"),
}
KINDS: dict[str, tuple[list[tuple[str, str]], str, str]] = {
    "not the inverse": (
        [("(scaled + 1) / 2", "(scaled + 1) / 3")],
        "tensors_and_records_are_the_same",
        "decode.. is not the inverse of encode..: .* became .*; mend the one or the other",
    ),
    "another shape": (
        [("torch.from_numpy(scaled.astype(", "torch.from_numpy(scaled[:, None].astype(")],
        "blank_records_can_be_played_with",
        r"encode.. of 3 records has shape \(3, 1, 24\), and the spec says \(3, 24\)",
    ),
    "loses values": (
        [("{y:.7g}", "{y:.1g}")],
        "what_is_written_is_read_again",
        "written as xy: loses values, .* became .* when read again: write more",
    ),
    "writes nothing": (
        [("            write_atomically(", "            print(")],
        "what_is_written_is_read_again",
        "sample-00001.xy, .* is not there",
    ),
    "raises what it runs into": (
        [('with guard(path, "spectrum"):', "if guard:"), ('"utf-8", "replace"', '"utf-8"')],
        "bad_files_are_refused_in_one_line",
        r"a bad file \(bytes, .xy\) raises UnicodeDecodeError, not DataError: read within  ?with guard",
    ),
    "takes anything": (
        [
            (
                '    if not rows:\n        raise failure(path, "has no two',
                '    if not rows:\n        return np.arange(9.0), np.arange(9.0)\n        raise failure(path, "has no two',
            )
        ],
        "bad_files_are_refused_in_one_line",
        r"a bad file \(empty, .xy\) takes it for data: raise DataError that names the file",
    ),
    "not frozen": (
        [("@dataclass(frozen=True)", "@dataclass")],
        "a_spec_is_plain_values",
        "its spec cannot be hashed .*: freeze it",
    ),
    "forgets classes": (
        [("SpectrumSpec(size, classes=classes)", "SpectrumSpec(size)")],
        "a_spec_is_plain_values",
        "leaves out the classes that it is",
    ),
    "a list in the spec": (
        [("    low: float = 0.0", "    low: Any = frozenset({0.0})")],
        "a_spec_is_plain_values",
        "frozenset is not JSON serializable",
    ),
    "two lines": (
        [('f"spectra of', 'f"spectra\\nof')],
        "a_spec_is_plain_values",
        "say what records are in a few words, in one line",
    ),
    "of double length": (
        [("axis=1).astype(np.float32)\n\n    def properties", "axis=1)\n\n    def properties")],
        "features_are_numbers",
        r"vectors.. gives \(12, 24\) float64, not \(N, D\) float32",
    ),
    "not finite": (
        [("/ (spec.high - spec.low)\n        bands", "/ 0\n        bands")],
        "features_are_numbers",
        "numbers that are not finite",
    ),
    "grey": (
        [("[..., :3].copy()", "[..., 0].copy()")],
        "pictures_are_pictures",
        r"picture.. gives .* uint8, not \(H, W, 3\) uint8",
    ),
    "one number": (
        [("records.max(axis=1).astype(np.float64)", "np.array(records.max())")],
        "properties_have_a_number_a_record",
        r"property 'height' has shape \(\), not \(12,\)",
    ),
    "learns from all": (
        [("np.percentile(values[rows], (0.1, 99.9))", "np.percentile(values, (0.1, 99.9))")],
        "what_is_learnt_comes_from_the_records_given",
        r"gives another spec when records that are not trained on change: look at values\[rows\] alone",
    ),
    "learns untold": (
        [('learnt = ("low", "high")', 'learnt = ("low",)')],
        "what_is_learnt_comes_from_the_records_given",
        "changes high of the spec: name it in `learnt`",
    ),
    "no words": ([('noun="spectra"', 'noun=""')], "it_says_what_it_is", "says.noun is empty"),
    "by scales of their own": (
        [("for record in values]).astype(np.float32), other, []", "for record in values]).astype(np.float32), spec, []")],
        "a_part_is_compared_as_within_the_whole",
        "half of the records, given as files of their own, are compared as others .*: bring records to another spec in aligned",
    ),
    "marks of any length": (
        [("return (own / np.where(length > 0, length, 1))", "return own")],
        "records_are_known_again",
        "must be float32 of length 1, or 0 throughout",
    ),
    "unlike itself": (
        [("        return np.clip(np.einsum", "        return 0.5 * np.clip(np.einsum")],
        "records_are_known_again",
        r"likeness.. of a record with itself is 0.5, not 1",
    ),
    "decodes again": (
        [
            ("import re\n", "import re\nimport time\n"),
            (
                "    def fill(",
                "    def settle(self, settings: Any) -> Any:\n        return {**settings, 'now': time.time()}\n\n    def fill(",
            ),
        ],
        "the_second_open_comes_from_the_cache",
        "decodes the same files again",
    ),
}
USES: dict[str, tuple[list[tuple[str, str]], str, str]] = {
    "gives another": (
        [('gives=("rating",)', 'gives=("ratings",)')],
        "a_use_keeps_its_promise",
        r"rate promises ratings \(gives\) and does not give it: it gives rating",
    ),
    "chance": (
        [("work.system.rate(records, work.noise)", "work.system.rate(records, work.noise) + records.new_empty(()).uniform_()")],
        "a_use_keeps_its_promise",
        "rate draws from torch's own random numbers",
    ),
    "too few": (
        [("work.system.rate(records, work.noise)", "work.system.rate(records, work.noise)[:1]")],
        "a_use_keeps_its_promise",
        "rate gives 1 values of rating for 2 records: one each",
    ),
    "no run": (
        [("ganvas apply RUN FILE", "ganvas apply FILE")],
        "its_words_are_there",
        "write a command, as in  ?ganvas apply RUN FILE --as rate",
    ),
    "asks in vain": (
        [("@runtime_checkable\n", "")],
        "its_promise_can_be_asked_for",
        "its promise is no protocol at run time: put @runtime_checkable",
    ),
    "another method": (
        [('done="rated",', 'done="rated", method="rates",')],
        "its_promise_can_be_asked_for",
        "its promise has no method 'rates': name the one that takes the fields, as in  ?method='rate'",
    ),
    "no help": ([('"in percent, 100 for what looks real"', '""')], "its_options_have_help", "the option 'percent' has no help"),
}
BROKEN = [
    pytest.param(example, *facts, id=f"{example}: {what}")
    for example, table_of in (("my_gan", SYSTEMS), ("my_kind", KINDS), ("my_use", USES))
    for what, facts in table_of.items()
]


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(("example", "pairs", "check_name", "line"), BROKEN)
def test_a_broken_copy_is_caught_by_the_check_that_is_meant_for_it(
    example: str, pairs: list[tuple[str, str]], check_name: str, line: str, tmp_path: Path
) -> None:
    path = copy_of(example, tmp_path, *pairs)
    found = lines_of(path, check_name)
    assert found, f"{check_name} passes"
    assert all("\n" not in own and len(own) < 500 for own in found)
    assert re.search(line, found[0]), found[0]


# The command line


def test_the_command_tells_what_failed_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy_of("my_gan", tmp_path, ('"summary":', '"sumary":'))
    assert main(["check", str(path), "points"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [
        "system my-gan",
        "  FAILED   the card is complete: my_gan.py: CARD has 'sumary', which nothing reads (did you mean 'summary'?): rename "
        "it",
    ]
    assert "kind of data points" in told
    assert (
        told[-1].split(" in ")[0] == f"{len([*system_checks(str(path))]) + len([*kind_checks('points')]) - 1} passed, 1 failed"
    )
    assert main(["check", str(path), "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["failed"], value["checked"][0]["what"], value["checked"][0]["failed"]) == (1, "system", 1)
    assert {"name", "says", "result", "line", "seconds"} == value["checked"][0]["checks"][0].keys()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("def broken(:", r"not a readable Python file \(invalid syntax"),
        ("x = 1\n", r"brings nothing that can be checked: neither CARD = \{...\} .* nor KIND = .* nor USES"),
        (
            "import no_such_package\nKIND = 1\n",
            r"cannot be imported \(ModuleNotFoundError: No module named 'no_such_package'\)",
        ),
        ("CARD = dict(title='x')\n", "CARD must be a literal dictionary"),
        ("CARD = {'title': 'x', 'data': ['points']}\n", "defines no System"),
        ("KIND = 3\n", "KIND is 3, not an object of a class of ganvas.kinds.Kind"),
        (
            "from ganvas.kinds.points.kind import PointsKind\nKIND = PointsKind\n",
            "KIND is PointsKind itself, .*: write  ?KIND = MyKind",
        ),
        (
            "from ganvas.kinds.points.kind import KIND as K\nKIND = K\n",
            "ganvas has a kind 'points' already: give it another name",
        ),
        ("KINDS = ['nowhere.py']\n", "own.py: KINDS names 'nowhere.py', which does not lie beside it"),
        ("USES = [3]\n", "USES holds 3, not an object of ganvas.uses.Use"),
    ],
)
def test_a_file_that_cannot_be_opened_is_one_line(
    content: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text(content)
    assert main(["check", str(tmp_path / "own.py")]) == 1
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
    (failed,) = [own for own in told.out.splitlines() if "FAILED" in own]
    assert failed.startswith("  FAILED   it can be opened: ")
    assert re.search(line, failed), failed


def test_unknown_names_are_answered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "pionts"]) == 2
    assert "'pionts' is no system, kind of data or use (did you mean 'points'?)" in capsys.readouterr().err
    assert main(["check", "gan", "--set", "width"]) == 2
    assert "--set 'width' is not KEY=VALUE" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path), "--kind", "sund"]) == 2
    assert "unknown kind of data 'sund' (did you mean 'sound'?)" in capsys.readouterr().err
    with pytest.raises(GanvasError, match=r"unknown use 'smaple' \(did you mean 'sample'"):
        check_use("smaple")
    with pytest.raises(CheckFailed, match="my_gan.py: its_card|the_card_is_complete: .*sumary"):
        check_system(str(copy_of("my_gan", tmp_path, ('"summary":', '"sumary":'))))


def test_settings_make_a_system_small(tmp_path: Path) -> None:
    path = copy_of("my_gan", tmp_path)
    (failed,) = {own.line for own in examine(system_checks(str(path), {"widht": 4})) if own.result == "failed"}
    assert "unknown setting 'widht' (did you mean 'width'?)" in failed
    assert all(own.result == "passed" for own in examine(system_checks(str(path), {"width": 5, "batch-size": 8})))


def test_skipped_and_failed_are_known_to_test_libraries() -> None:
    assert issubclass(Skipped, unittest.SkipTest)
    assert issubclass(CheckFailed, AssertionError)
    with pytest.raises(CheckFailed, match="^a line$"):
        expect(False, "a\n   line")

    def skips() -> None:
        raise Skipped("nothing to look at")

    def fails() -> None:
        raise KeyError("x")

    skipped, failed = examine([Check("one", skips), Check("two", fails)])
    assert (skipped.result, skipped.line) == ("skipped", "nothing to look at")
    assert failed.line.startswith("KeyError: 'x' (test_checks.py, line ")


# Where kinds are found


def test_a_package_brings_a_kind_and_one_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_file(EXAMPLES / "my_kind.py")
    monkeypatch.setitem(sys.modules, "a_kind", SimpleNamespace(KIND=module.KIND))
    points = [EntryPoint("spectrum", "a_kind", "ganvas.kinds"), EntryPoint("gone", "no_such_module", "ganvas.kinds")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "ganvas.kinds" else [])
    for own in ("_added", "_looked"):  # what other tests brought by files
        monkeypatch.setattr(ganvas.kinds, own, {})
    monkeypatch.setattr(ganvas.kinds, "brought", lambda: ())
    ganvas.kinds._homes.cache_clear()
    try:
        assert "spectrum" in kind_names() and "gone" not in kind_names()
        assert kind_of("spectrum") is module.KIND
        with pytest.raises(GanvasError, match=r"kind 'gone' of an installed package cannot be loaded \(ModuleNotFoundError"):
            kind_of("gone")
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
        ganvas.kinds._homes.cache_clear()
        with pytest.raises(GanvasError, match=r"unknown kind of data 'spectrum'; known: .*points"):
            kind_of("spectrum")
    finally:
        monkeypatch.undo()
        ganvas.kinds._homes.cache_clear()


def test_two_files_may_not_both_be_the_one_that_is_meant(tmp_path: Path) -> None:
    path = copy_of(
        "my_kind",
        tmp_path,
        ("KIND = SpectrumKind()", "class Other(SpectrumKind):\n    name = 'other'\n\n\nKINDS = [SpectrumKind(), Other()]"),
    )
    assert main(["data", "check", "x", "--kind", str(path)]) == 2
    assert ganvas.kinds.add_file(path) == ("spectrum", "other")
    find(str(copy_of("my_gan", tmp_path, ("\nPRESETS", '\nKINDS = ["my_kind.py"]\n\nPRESETS'))))
    assert {"spectrum", "other"} <= set(kind_names())


def test_points_are_read_from_arrays(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.savez(tmp_path / "p.npz", x=values)
    found = ganvas.open_data(tmp_path / "p.npz", kinds=("points",), cache=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(found.values, values)
    np.savez(tmp_path / "q.npz", y=values, z=values)
    with pytest.raises(DataError, match=r"q\.npz has no array 'x' but y, z"):
        ganvas.open_data(tmp_path / "q.npz", kinds=("points",), cache=tmp_path / "cache", progress=False)


def test_the_checks_are_listed_without_torch() -> None:
    code = (
        "import sys, ganvas.testing; from ganvas.testing import kind_checks\n"
        "[list(kind_checks(name)) for name in ('points', 'image')]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=toys.environment())
    assert done.stdout.split() == ["False"]
    assert "gan" in catalogue()
