"""What every system keeps to, whatever it learns: its card, its settings, its game, what it promises to do.

Each check is a function of a case whose docstring says what must hold. Not for one's own claim: `ganvas prove`.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..config import build_config, knobs
from ..errors import GanvasError, did_you_mean
from ..kinds import kind_names, kind_of
from ..kinds.facets import Streams
from ..presets import Situation
from ..registry import CARD_KEYS, SUITS
from ..uses import uses_of
from . import used
from .boards import NAMED, Case, Subject, everything, main_spec, subject_of, tiny_batch
from .outcomes import Check, CheckFailed, check_of, expect

NEEDED = ("title", "authors", "year", "paper", "summary", "data")
"""Keys that every card has."""


def system_checks(system: Any, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> Iterator[Check]:
    """The checks of a system, chosen by what its card names and what it offers.

    system: a name, a path FILE.py, or a class of `System`. settings: that make it small, where their names are its own. device:
    where it plays. Raises GanvasError in one line for what cannot be opened.
    """
    return of_subject(subject_of(system, settings, device))


def of_subject(subject: Subject) -> Iterator[Check]:
    """As `system_checks`."""
    yield check_of(the_card_is_complete, subject)
    yield check_of(settings_have_help_and_survive_yaml, subject)
    able = uses_of(subject.system_class)
    for kind in [name for name in subject.card.data if name in kind_names()]:
        case = Case(subject, kind)
        for check in (
            it_builds_from_its_defaults, what_it_settles_stands_in_its_config, presets_are_settings, terms_are_finite_scalars,
            turns_move_their_player_alone, every_owned_parameter_gets_a_gradient, every_network_is_answered_for,
            saving_and_resuming_equals_the_straight_run, computing_again_changes_nothing, a_round_waits_for_no_device,
        ):  # fmt: skip
            yield check_of(check, case, kind)
        for size, channels in kind_of(kind).says.others:
            yield check_of(
                records_of_another_size_are_taken_or_refused_by_it, case, f"{kind} {size} {channels}", size, channels
            )
        yield check_of(used.it_is_of_use, case, kind)
        if _offers(subject.system_class, "sample"):
            yield check_of(used.sampling_is_reproducible_and_leaves_no_trace, case, kind)
        for use in able:
            yield check_of(used.a_use_keeps_its_promise, case, f"{kind} {use.verb}", use.verb)
        if _offers(subject.system_class, "show"):
            yield check_of(used.what_it_shows_is_a_picture_a_caption, case, kind)


def _offers(system_class: Any, method: str) -> bool:
    return callable(getattr(system_class, method, None))


def the_card_is_complete(subject: Subject) -> None:
    """The literal CARD has title, authors, year, paper, summary and data, no unknown key, and kinds of data that exist; the
    file has a docstring."""
    card, file = subject.card, subject.card.path.name
    told: Mapping[str, Any] = getattr(subject.module, "CARD", {})
    for key in told:
        expect(
            key in CARD_KEYS, f"{file}: CARD has '{key}', which nothing reads{did_you_mean(key, sorted(CARD_KEYS))}: rename it"
        )
    for key in NEEDED:
        expect(told.get(key), f"{file}: CARD has no '{key}': add it; every card has {', '.join(NEEDED)}")
    expect(isinstance(told["year"], int), f"{file}: the year in CARD is {told['year']!r}: write a whole number, as 2017")
    data = told["data"]
    able = list(data.values()) if isinstance(data, dict) else [data]
    expect(
        isinstance(data, dict | list | tuple) and all(isinstance(kinds, str | list | tuple) for kinds in able),
        f"{file}: data in CARD is {data!r}: write ['image'], or {{'photo': 'image', 'map': 'label_map'}} for several fields",
    )
    for kinds in able:
        for name in [kinds] if isinstance(kinds, str) else kinds:
            known = kind_names()
            expect(
                name in known,
                f"{file}: CARD learns from '{name}', which is no kind of data{did_you_mean(str(name), known)}: known are "
                f"{', '.join(known)}; KINDS = ['FILE.py'] brings one of your own",
            )
    own = set(card.data).union(*card.fields.values())
    for kind, word in card.suits.items():
        expect(
            word in SUITS and kind in own,
            f"{file}: CARD suits {kind!r} for {word!r}: name kinds of its own data, each with one of {', '.join(SUITS)}",
        )
    expect(card.doc.strip(), f"{file}: has no docstring: begin it with the paper in ten lines, which ganvas show prints")


def settings_have_help_and_survive_yaml(subject: Subject) -> None:
    """Config is a dataclass of knobs with help, batch_size among them; its values are the same after being written to YAML and
    read again."""
    import yaml

    file, system_class = subject.card.path.name, subject.system_class
    config_class = getattr(system_class, "Config", None)
    expect(
        config_class is not None,
        f"{file}: {system_class.__name__} has no Config: write  Config = Config  in it, a frozen dataclass of knobs",
    )
    assert config_class is not None
    names = [knob.name for knob in knobs(config_class)]
    expect(
        "batch_size" in names, f"{file}: Config has no batch_size: add  batch_size: int = knob(64, 'records in a batch', low=1)"
    )
    for knob in knobs(config_class):
        expect(knob.help, f"{file}: the setting '{knob.name}' has no help: write  knob(default, 'what it is')")
    config = build_config(config_class, {name: NAMED[name] for name in names if name in NAMED})
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(config).items()}
    again = build_config(config_class, yaml.safe_load(yaml.safe_dump(values)))
    odd = [name for name in names if getattr(again, name) != getattr(config, name)]
    expect(not odd, f"{file}: settings change when written to YAML: {', '.join(odd)}: give them plain defaults")


def it_builds_from_its_defaults(case: Case) -> None:
    """System(spec, config) works with the default settings, and with all that are small."""
    from ..game import System

    made = case.subject.system_class(case.given(), case.config(small=False))
    expect(isinstance(made, System), f"{case.file}: {type(made).__name__} is no System: derive it from ganvas.game.System")
    case.board()


def what_it_settles_stands_in_its_config(case: Case) -> None:
    """`config` of a system says what it plays by: the classes that it is dealt are named there, if not dealt
    under their own names, and the same system comes of it again."""
    system = case.system()
    values = vars(system.config)
    for name, feed in system.feeds().items():
        for field, only in feed.of.items():
            classes = main_spec(system.spec).classes
            chosen = tuple(classes[own] for own in only) if isinstance(only, tuple) else classes[only]
            expect(
                chosen in values.values() or field == chosen,
                f"{case.file}: '{field}' of the feed '{name}' is the class {chosen!r}, and no setting says so: have a setting "
                "for it, and replace self.config by one that names it (dataclasses.replace)",
            )
    again = case.subject.system_class(case.given(), system.config)
    odd = [name for name, value in vars(again.config).items() if value != values[name]]
    expect(not odd, f"{case.file}: built from its own config, it has another {', '.join(odd)}: settle it to what stays")


def presets_are_settings(case: Case) -> None:
    """PRESETS has `auto`, and each preset, or what it returns for a situation, is made of settings that exist."""
    presets = getattr(case.subject.module, "PRESETS", {})
    expect("auto" in presets, f"{case.file}: PRESETS has no 'auto': add  PRESETS = {{'auto': {{}}}}")
    for name, preset in presets.items():
        chosen = preset(Situation(case.given(), 100, 600.0, 50.0, "cpu")) if callable(preset) else preset
        try:
            build_config(case.subject.system_class.Config, dict(chosen))
        except GanvasError as error:
            raise CheckFailed(f"{case.file}: preset '{name}': {error}") from error


def terms_are_finite_scalars(case: Case) -> None:
    """Every objective returns terms by name, each a finite scalar tensor."""
    import torch

    from ..game import Clock

    for phase, turn, dealt in _dealt(case.board()):
        (batch, *_), (shared, *_) = dealt
        terms = turn.objective(batch, Clock(phase=phase.name), shared)
        where = f"{case.file}: {turn.name}"
        expect(isinstance(terms, dict) and terms, f"{where} returns {terms!r}: return {{'name': scalar tensor}}")
        for term, value in terms.items():
            expect(isinstance(value, torch.Tensor), f"{where}: term '{term}' is {value!r}: keep it a tensor, with its graph")
            expect(
                value.dim() == 0,
                f"{where}: term '{term}' has shape {tuple(value.shape)}, not (): take its mean over the batch",
            )
            expect(torch.isfinite(value), f"{where}: term '{term}' is {value.item()} on fresh weights: look for log or / of 0")


def _dealt(engine: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every turn of every phase once: (phase, turn, what the Engine deals to it); turns of a round share what is dealt. The
    clock stands in that phase."""
    for phase in engine.phases:
        engine.clock = replace(engine.clock, phase=phase.name)
        hands: dict[str, Any] = {}
        for turn in phase.turns:
            if turn.source not in hands:
                hands[turn.source] = engine._deal(turn.source)
            yield phase, turn, hands[turn.source]


def _play_all(case: Case, watch: Callable[[Any, Any, Callable[[], set[str]]], None]) -> Any:
    """Every turn of every phase once: watch(engine, turn, play) calls `play`, which tells the parameters that got gradients."""
    engine = case.board()
    for _, turn, dealt in _dealt(engine):

        def play(turn: Any = turn, dealt: Any = dealt) -> set[str]:
            return _gradients(engine, lambda: engine._play(turn, *dealt), f"{case.file}: {turn.name}", turn.player)

        watch(engine, turn, play)
    return engine


def _gradients(engine: Any, play: Callable[[], None], where: str, player: str) -> set[str]:
    """The names of parameters that receive a gradient while a turn is played."""
    seen: set[str] = set()
    hooks = [
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: seen.add(name))
        for name, parameter in engine.system.named_parameters()
        if parameter.requires_grad
    ]
    try:
        play()
    except RuntimeError as error:
        if "does not require grad" in str(error) or "does not have a grad_fn" in str(error):
            raise CheckFailed(
                f"{where} gives '{player}' no gradient: its terms hang on no network; look for detach(), no_grad() or .item()"
            ) from error
        raise
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def turns_move_their_player_alone(case: Case) -> None:
    """Each turn changes parameters of its player, and no other parameter; gradients are gone after it."""
    import torch

    def watch(engine: Any, turn: Any, play: Callable[[], set[str]]) -> None:
        where, seat = f"{case.file}: {turn.name}", engine.seats[turn.player]
        parameters = dict(engine.system.named_parameters())
        before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        seen = play()
        moved = {name for name, parameter in parameters.items() if not torch.equal(before[name], parameter)}
        foreign = sorted((moved | seen) - set(seat.names))
        expect(
            not foreign,
            f"{where} changes {', '.join(foreign[:3])}, which '{turn.player}' does not own: leave weights to the Engine",
        )
        expect(moved, f"{where} moves nothing of '{turn.player}': its terms do not depend on {', '.join(seat.player.networks)}")
        left = [name for name, parameter in parameters.items() if parameter.grad is not None]
        expect(
            not left,
            f"{where} leaves a gradient on {', '.join(left[:3])}: never call backward; torch.autograd.grad gives gradients",
        )

    _play_all(case, watch)


def every_owned_parameter_gets_a_gradient(case: Case) -> None:
    """What a player owns gets a gradient in one of its turns, all of it."""
    touched: dict[str, set[str]] = {}

    def watch(engine: Any, turn: Any, play: Callable[[], set[str]]) -> None:
        touched.setdefault(turn.player, set()).update(play())

    engine = _play_all(case, watch)
    for player, seat in engine.seats.items():
        expect(player in touched, f"{case.file}: player '{player}' has no turn in any phase: give it one, or leave it out")
        missing = [name for name in seat.names if name not in touched[player]]
        expect(
            not missing,
            f"{case.file}: '{player}' owns {len(missing)} parameters that never get a gradient ({', '.join(missing[:3])}): use "
            "them in its objectives, or take them out of its networks",
        )


def every_network_is_answered_for(case: Case) -> None:
    """Every parameter belongs to a player, to the target of an average, or to a declared bystander."""
    system = case.board().system
    owners = [name for player in system.players() for name in player.networks]
    known = [*owners, *(average.target for average in system.averages()), *system.bystanders()]
    for parameter, _ in system.named_parameters():
        expect(
            any(parameter == name or parameter.startswith(name + ".") for name in known),
            f"{case.file}: nobody answers for {parameter}: name '{parameter.split('.')[0]}' in a player's networks, or in "
            "bystanders()",
        )


def saving_and_resuming_equals_the_straight_run(case: Case) -> None:
    """Three rounds, saving, loading into a fresh system and three more rounds equal six rounds, bit for bit: on two threads, on
    a GPU with torch's deterministic algorithms."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(max(2, threads))  # gradients that threads add up in any order differ from run to run
    torch.use_deterministic_algorithms(strict or case.subject.device != "cpu", warn_only=True)
    try:
        _resumes(case)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warned)


def computing_again_changes_nothing(case: Case) -> None:
    """Three rounds in which networks forget their activations and compute them again equal three in which they keep them, bit
    for bit (`--recompute-activations`)."""
    import torch

    from ..recomputing import forget_activations

    threads = torch.get_num_threads()
    torch.set_num_threads(max(2, threads))
    try:
        ends = []
        for forgets in (False, True):
            engine = case.board()
            for name in {network for player in engine.system.players() for network in player.networks} if forgets else ():
                forget_activations(engine.system.get_submodule(name))
            torch.manual_seed(0)
            for number in range(3):
                engine.progress = number / 3
                engine.play_round()
            ends.append(everything(engine))
    finally:
        torch.set_num_threads(threads)
    differing = sorted(key for key, value in ends[0].items() if not torch.equal(ends[1][key], value))
    expect(
        not differing,
        f"{case.file}: {', '.join(differing[:3])} ends otherwise when networks compute their activations again: let a network "
        "do the same each time it is called with the same (draw noise outside, keep no state but buffers)",
    )


def _resumes(case: Case) -> None:
    import torch

    def play(engine: Any, rounds: range) -> None:
        for number in rounds:
            engine.progress = number / 6  # so that phases that end at a share of the budget do end
            engine.play_round()

    straight = case.board()
    play(straight, range(3))
    weights = copy.deepcopy(straight.system.state_dict())
    saved = io.BytesIO()
    torch.save(straight.state(), saved)
    play(straight, range(3, 6))
    expected = everything(straight)
    resumed = case.board(seed=7)  # other weights, other noise: everything must come from the state
    fresh = case.board()
    for name in fresh.system.feeds():  # the order of the data is a setting, its position is state
        resumed.streams[name] = fresh.streams[name]
    resumed.system.load_state_dict(weights)
    resumed.restore(torch.load(io.BytesIO(saved.getvalue()), map_location="cpu", weights_only=True))
    play(resumed, range(3, 6))
    actual = everything(resumed)
    differing = sorted(key for key, value in expected.items() if key not in actual or not torch.equal(actual[key], value))
    expect(
        not differing and actual.keys() == expected.keys(),
        f"{case.file}: {differing[0] if differing else 'the state'} differs after saving and resuming: keep what must "
        "survive in parameters or persistent buffers, not in attributes of Python",
    )


def a_round_waits_for_no_device(case: Case) -> None:
    """While rounds are played nothing is read back from the device (.item(), if tensor:, x[mask]) and no numbers are copied to
    it, for a GPU would be waited for; between turns a game may decide by what it reads (Turn.times, Phase.enough)."""
    from .waits import waits

    engine = case.board()
    engine.check_every = 1_000_000
    for _ in range(2):  # first uses: states of the optimisers, tables
        engine.play_round()
    with waits(case.subject.device) as found:
        for number in range(5):
            engine.progress = number / 4  # through all phases
            engine.play_round()
    walked = isinstance(kind_of(case.kind), Streams)  # such records are drawn by the processor
    met = [wait for wait in found if not (walked and wait.dealing)]
    expect(
        not met,
        f"{case.file}: {met[0].where if met else ''} {met[0].what if met else ''}, {len(met)} such places: keep it a tensor "
        "(torch.where, masks that multiply), and tables in buffers or ganvas.batches.constant",
    )


def records_of_another_size_are_taken_or_refused_by_it(case: Case, size: Any, channels: int) -> None:
    """Records of an odd size or number of channels are played with and made, or refused with a line that names the size."""
    import torch

    from ..batches import Noise
    from ..capabilities import Samples
    from ..game import Clock

    given = case.given(size, channels)
    spec = main_spec(given)
    try:
        system = case.system(given)
    except GanvasError as error:
        told = str(getattr(spec, "size", size))
        expect(told in str(error), f"{case.file}: refuses {told} with '{error}': name the size that it cannot take")
        return
    noise = Noise(torch.Generator().manual_seed(0))
    batch = tiny_batch(system, noise)
    for phase in system.phases():
        shared: dict[str, Any] = {}
        for turn in phase.turns:
            terms = turn.objective(batch, Clock(phase=phase.name), shared)
            expect(all(term.dim() == 0 for term in terms.values()), f"{case.file}: {turn.name} of {spec.shape}: not scalars")
    system.eval()
    if isinstance(system, Samples):
        made = tuple(system.sample(2, noise).shape)
        expect(made == (2, *spec.shape), f"{case.file}: sample(2) of {spec.shape} has shape {made}, not {(2, *spec.shape)}")
