"""What systems keep to when they are put to use, and what a use says of itself. Not for reading and writing files: `kinds`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..config import knobs
from ..errors import GanvasError
from ..kinds import kind_of
from ..uses import Use, Work, build_options, fields_given, fields_taken, find_use, pieces_of, spec_given, verbs_of
from .boards import RECORDS, Case, everything, main_spec, tiny_data
from .outcomes import CheckFailed, Skipped, expect

QUICK = {"count": 3, "effort": 0.01}
"""Options of uses, small where they cost time."""


# Systems


@contextmanager
def _without_trace(case: Case, engine: Any, doing: str) -> Iterator[Any]:
    """A system as it is put to use; weights, buffers, random numbers and modes are the same after it."""
    import torch

    before = everything(engine)
    with engine.watching() as system, torch.no_grad():
        random_state = torch.get_rng_state()
        yield system
        expect(
            torch.equal(torch.get_rng_state(), random_state),
            f"{case.file}: {doing} draws from torch's own random numbers: take them from the noise that is handed in",
        )
        awake = [name for name, module in system.named_modules() if module.training]
        expect(not awake, f"{case.file}: {doing} puts {', '.join(awake[:3])} into training mode: leave modes to the Engine")
    after = everything(engine)
    changed = [name for name, value in before.items() if not torch.equal(after[name], value)]
    expect(not changed, f"{case.file}: {doing} changes {', '.join(changed[:3])}: work on copies, or do not write to it")
    left = [name for name, parameter in engine.system.named_parameters() if parameter.grad is not None]
    expect(not left, f"{case.file}: {doing} leaves a gradient on {', '.join(left[:3])}: use torch.autograd.grad")


def it_is_of_use(case: Case) -> None:
    """A trained system can be put to some use, and its class tells which."""
    system = case.system()
    able = verbs_of(system)
    expect(able, f"{case.file}: can be put to no use: give it a method sample(count, noise, labels=None), or USES of its own")
    untold = sorted(set(able) - set(verbs_of(type(system))))
    expect(not untold, f"{case.file}: offers {', '.join(untold)} only once it is built: make it a method of the class")


def sampling_is_reproducible_and_leaves_no_trace(case: Case) -> None:
    """sample(count, noise) makes records of the spec's shape, equal for equal noise, different for other noise, the first ones
    whatever the count; nothing has changed after it."""
    import torch

    from ..capabilities import Samples
    from ..inference.sampling import draw_samples

    engine = case.board()
    if not isinstance(engine.system, Samples):
        raise Skipped("makes nothing from noise alone")
    engine.play_round()
    with _without_trace(case, engine, "sampling") as system:
        first = torch.cat(list(draw_samples(system, 70, seed=3)))
        again = torch.cat(list(draw_samples(system, 5, seed=3)))
        other = torch.cat(list(draw_samples(system, 5, seed=4)))
    shape = (70, *main_spec(engine.system.spec).shape)
    expect(first.shape == shape, f"{case.file}: 70 samples have shape {tuple(first.shape)}, not {shape}: (count, *spec.shape)")
    expect(
        torch.equal(first[:5], again),
        f"{case.file}: the same noise gives other samples: draw from the noise that is handed in, and from nothing else",
    )
    expect(not torch.equal(again, other), f"{case.file}: other noise gives the same samples: sample() does not use its noise")


def a_use_keeps_its_promise(case: Case, verb: str) -> None:
    """What a use makes of two records, for each class that may be asked for, with and without what may be left out: the fields
    it promises, a value each, finite, equal when asked again; records of the shape that they must have, maps not negative;
    nothing has changed after it."""
    import torch

    from ..parallel import exactly

    engine = case.board()
    exactly(engine.processes.device)
    if verb not in verbs_of(engine.system):
        raise Skipped(f"offers no '{verb}' for these records")
    use = find_use(engine.system, verb)
    engine.play_round()
    where = f"{case.file}: {verb}"
    with _without_trace(case, engine, verb) as system:
        first, again = _put_to(use, system, where), _put_to(use, system, where)
    for key, value in first.items():
        expect(torch.isfinite(value.double()).all(), f"{where} gives {key} that is not finite")
        expect(
            value.shape == again[key].shape and torch.equal(value, again[key]),
            f"{where} gives another {key} when asked again: draw from work.noise alone",
        )
        expect(not key.startswith("map ") or (value >= 0).all(), f"{where} gives a map with negative values: 0 is normal")


def _put_to(use: Use, system: Any, where: str) -> dict[str, Any]:
    """What a use makes, by field and trial, after looking at its form."""
    import torch

    from ..specs import REAL

    specs = system.spec if isinstance(system.spec, dict) else {REAL: system.spec}
    work = Work(system, specs, learnt=RECORDS)
    first, more = fields_taken(use, system, specs)
    known = {knob.name for knob in knobs(use.Options)}
    chosen = {name: value for name, value in QUICK.items() if name in known}
    trials = [{}] if use.trials is None else use.trials(work)
    specs = {**specs, **{name: spec_given(use, work, name) for name in (*more, *((first,) if first else ()))}}
    found: dict[str, Any] = {}
    needed = tuple(name for name, must in more.items() if must)
    for names in dict.fromkeys([needed, tuple(more)]):
        for trial in trials:
            work.renew()
            asked = " ".join(str(value) for value in trial.values())
            options = build_options(use, {**chosen, **trial})
            if use.tell is not None:
                told = use.tell(work, options)
                expect(isinstance(told, str) and told, f"{where}: tell() returns {told!r}: say in words what is done")
            tensors = _larger(
                {
                    name: work.encode(kind_of(specs[name].kind).blank(specs[name], 2, np.random.default_rng(1)), specs[name])
                    for name in ((first,) if first else ()) + names
                },
                system,
                first,
            )
            made = use.run(work, dict(tensors), options)
            lacking = sorted(set(fields_given(use, specs)) - set(made))
            expect(
                not lacking, f"{where} promises {', '.join(lacking)} (gives) and does not give it: it gives {', '.join(made)}"
            )
            count = 2 if first else chosen.get("count", 1)
            for name, value in made.items():
                whole = torch.cat(list(pieces_of(value)))
                expect(len(whole) == count, f"{where} gives {len(whole)} values of {name} for {count} records: one each")
                found[f"{name} of {asked or 'any'} {' '.join(names)}".strip()] = whole
                if name == work.main:
                    _shaped(use, work, whole, None if first is None else tensors[first], where)
    return found


def _shaped(use: Use, work: Work, made: Any, given: Any, where: str) -> None:
    """Records that were drawn are of the spec's shape (or whole things of as many as were learnt from); those made of others
    have as many channels as the field, and sides as the use says."""
    shape = tuple(made.shape[1:])
    if given is None:
        expect(
            shape in (tuple(work.spec.shape), (RECORDS, *work.spec.shape)),
            f"{where} draws records of shape {shape}, not {tuple(work.spec.shape)}",
        )
    elif not use.fitted:
        expect(shape[0] == work.spec.shape[0], f"{where} gives {shape[0]} channels, and the field has {work.spec.shape[0]}")
        if given.dim() < 3:  # words have no sides in space
            return
        sides = tuple(given.shape[-len(shape[1:]) :]) if shape[1:] else ()
        wanted = tuple(side * use.grows(work.system) for side in sides)
        expect(shape[1:] == wanted, f"{where} gives sides of {shape[1:]}, and of {sides} they should be {wanted} (Use.grows)")


def _larger(tensors: dict[str, Any], system: Any, first: str | None) -> dict[str, Any]:
    """Fields that lie side by side, continued to sides that the system takes."""
    from ..inference.tiles import continued

    multiple = getattr(system, "multiple", 1)
    if first is None or multiple in (0, 1) or tensors[first].dim() < 3:
        return tensors
    return {name: continued(value, multiple, 2) if value.dim() > 2 else value for name, value in tensors.items()}


def what_it_shows_is_a_picture_a_caption(case: Case) -> None:
    """show(batch, noise) gives a Panel: records (B, K, ...) with K captions of columns, and B captions of rows or none; it
    changes nothing."""

    from ..batches import Noise
    from ..capabilities import Panel, Shows
    from ..data.streams import shown_batch

    engine = case.board()
    if not isinstance(engine.system, Shows):
        raise Skipped("shows no picture of its own")
    engine.play_round()
    with _without_trace(case, engine, "show()") as system:
        noise = Noise.seeded(0, engine.processes.device, engine.dtype)
        batch = shown_batch(tiny_data(system.spec), system.feeds()["data"], 2, noise)
        panel = system.show(batch, noise)
    expect(isinstance(panel, Panel), f"{case.file}: show() gives {type(panel).__name__}: give a ganvas.capabilities.Panel")
    wanted = (2, len(panel.columns), *main_spec(engine.system.spec).shape)
    expect(
        tuple(panel.records.shape) == wanted,
        f"{case.file}: show() gives {tuple(panel.records.shape)} with {len(panel.columns)} captions: of two records it should "
        f"be {wanted}",
    )
    expect(
        len(panel.rows) in (0, 2),
        f"{case.file}: show() gives {len(panel.rows)} captions of rows for two records: give one each, or none",
    )


# Uses


def its_words_are_there(use: Use) -> None:
    """A use has a verb and its participle, says what it is for, and gives a command as an example, in which RUN stands for the
    run."""
    name = f"use '{use.verb}'"
    expect(use.verb.isidentifier(), f"{name}: the verb is what is typed after --as: one word")
    expect(use.done, f"{name}: done is empty: give the past participle, as in 'translated'")
    for word in ("purpose", "doing", "example"):
        expect(getattr(use.says, word), f"{name}: says.{word} is empty: help, report and model card print it")
    example = use.says.example
    expect(
        example.startswith("ganvas ") and "RUN" in example,
        f"{name}: the example is '{example}': write a command, as in  ganvas apply RUN FILE --as {use.verb} --out FOLDER",
    )


def its_promise_can_be_asked_for(use: Use) -> None:
    """The promise is a protocol that isinstance understands, with the method that takes the fields."""
    name, method = f"use '{use.verb}'", use.method or use.verb
    try:
        isinstance(object(), use.promise)
    except TypeError as error:
        raise CheckFailed(f"{name}: its promise is no protocol at run time: put @runtime_checkable above it") from error
    promised = [key for key, member in vars(use.promise).items() if inspect.isfunction(member) and key[0] != "_"]
    expect(promised, f"{name}: its promise names no method: then every system would offer it")
    expect(
        method in promised,
        f"{name}: its promise has no method '{method}': name the one that takes the fields, as in  method='{promised[0]}'",
    )
    parameters = list(inspect.signature(getattr(use.promise, method)).parameters)
    expect(
        not use.takes or len(parameters) > 1,
        f"{name}: {method}() takes no records, and the use takes {', '.join(use.takes)}: set takes=()",
    )


def its_options_have_help(use: Use) -> None:
    """Options are knobs with help; an unknown one is refused in one line that names the right ones."""
    name = f"use '{use.verb}'"
    for knob in knobs(use.Options):
        expect(knob.help, f"{name}: the option '{knob.name}' has no help: write  knob(default, 'what it is')")
    build_options(use, {})
    try:
        build_options(use, {"no_such_option": 1})
    except GanvasError as error:
        expect("\n" not in str(error), f"{name}: an unknown option is refused in several lines")
    else:
        raise CheckFailed(f"{name}: takes an option that it has not")
    expect(
        all(isinstance(field, str) and field for field in use.gives) and use.gives,
        f"{name}: gives is {use.gives!r}: name fields",
    )
