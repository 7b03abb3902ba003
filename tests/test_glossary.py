"""Settings that mean the same are called the same in every system, and the glossary says what they are called elsewhere."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from ganvas.config import build_config, knobs
from ganvas.errors import GanvasError
from ganvas.glossary import ALSO, here
from ganvas.registry import catalogue, load_system

PAGE = Path(__file__).resolve().parents[1] / "docs" / "glossary.md"
MEANING: list[tuple[str, str]] = [
    (r"learning rate of (both|G and D)", r"learning_rate"),
    (r"learning rate of (G|the generator)\b(?! and)", r"(generator|pretraining)_learning_rate"),
    (r"learning rate of (D|the discriminator|the critic)", r"(discriminator|critic)_learning_rate"),
    (r"learning rate of", r"(\w+_)?learning_rate"),
    (r"^size of the (latent|noise)", r"latent_size"),
    (r"^half-life", r"ema_half_life"),
    (r"first beta", r"beta1"),
    (r"second beta", r"beta2"),
    (r"^\w+( of each class)? in a batch", r"batch_size"),
    (r"weight of the gradient penalty", r"penalty_weight"),
    (r"^weight of", r"\w+_weight|kappa|(\w+_)?weight_decay"),
    (r"(moves|turns) of (the critic|D)\b", r"critic_turns|discriminator_turns"),
    (r"moves of G", r"generator_turns"),
    (r"^(BatchNorm|batch norm)", r"(generator|discriminator)_batch_norm"),
    (r"residual blocks", r"(generator_)?blocks|generator_batch_norm"),
    (r"rates? (begin to )?fall, linearly, to 0", r"decay_start"),
    (r"rates fall to zero, linearly over the budget", r"linear_decay"),
    (r"^steps of (a|the) (search|projection)", r"search_steps"),
    (r"class to learn as normal", r"normal"),
    (r"changes that D sees", r"augment"),
    (r"\bmirror\b", r"flip"),
    (r"numbers by which .* (reads|knows)", r"(\w+_)?embedding_size"),
    (r"downsampling layers of D", r"patch_depth"),
    (r"optimiser of both", r"optimiser"),
]
"""What a setting's help says -> the name that it must have."""


@cache
def settings() -> dict[str, dict[str, str]]:
    """Name of a setting -> system -> help, over all built-in systems."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in catalogue():
        for knob in knobs(load_system(name)[2].Config):
            found[knob.name][name] = knob.help
    return found


def explained() -> dict[str, str]:
    """Setting -> its other names, as the page has them."""
    text = PAGE.read_text(encoding="utf-8").split("## Settings")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {name: row[2] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize(("says", "name"), MEANING, ids=lambda text: text[:30])
def test_what_means_the_same_is_called_the_same(says: str, name: str) -> None:
    told = [(setting, text) for setting, systems in settings().items() for text in systems.values() if re.search(says, text)]
    assert told, "no setting says this any more: the rule protects nothing"
    others = sorted({setting for setting, _ in told if not re.fullmatch(name, setting)})
    assert not others, f"{others}: called {name} elsewhere"


def test_what_two_systems_share_is_in_the_glossary() -> None:
    shared = {name for name, systems in settings().items() if len(systems) > 1}
    assert sorted(shared - set(explained())) == []


def test_no_setting_has_the_name_that_another_tool_gives_to_a_shared_one() -> None:
    others = {word for words in ALSO.values() for word in words}
    assert sorted(others & set(settings())) == []


def test_the_page_and_the_table_agree() -> None:
    for name, others in explained().items():
        assert name in settings(), f"no system has {name}"
        for other in re.findall(r"`(\w+)`", others):
            owners = [setting for setting, words in ALSO.items() if other in words]
            assert owners, f"the page calls {name} also {other}, the table of glossary.py does not know it"
    assert sorted(set(ALSO) - set(settings())) == [], "names of settings that no system has"


@pytest.mark.parametrize(
    ("system", "word", "name"),
    [
        ("dcgan", "lr", "generator_learning_rate or discriminator_learning_rate"),
        ("dcgan", "nz", "latent_size"),
        ("cyclegan", "lr", "learning_rate"),
        ("cyclegan", "lambda-cycle", "cycle_weight"),
        ("wgan-gp", "n_critic", "critic_turns"),
        ("stylegan2", "ema_kimg", "ema_half_life"),
    ],
)
def test_the_words_of_other_tools_are_answered(system: str, word: str, name: str) -> None:
    with pytest.raises(GanvasError, match=rf"unknown setting '{word}' \(here: {name}\)"):
        build_config(load_system(system)[2].Config, {word: "1"})


def test_a_word_of_no_tool_is_answered_by_likeness() -> None:
    assert here("widht", ["width"]) == []
    with pytest.raises(GanvasError, match="did you mean 'width'"):
        build_config(load_system("dcgan")[2].Config, {"widht": "1"})
