"""What a run is told to find out for itself, settled once: its preset, threads, precision and memory layout.

Used before a run folder is written, and by `ganvas memory`, which answers for a run that is not there yet. Not for the size
that data is opened at (`opening`) nor for what settings mean (`settings`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..config import build_config, knobs
from ..errors import GanvasError, did_you_mean
from ..kinds import Kind, kind_of
from ..parallel import pick_device
from ..presets import Situation
from ..registry import Card
from ..shapes import shapes_only
from .budget import parse_budget
from .settings import Settings, parse_size

RECORDS = 4_000  # that a preset is told of, where they are not counted yet
HEAVY = 1_000  # weights of convolutions for each pixel of a batch, above which channels_last does not pay on the CPU


def choose_preset(module: Any, name: str, overrides: dict[str, Any], config_class: type) -> Any:
    """The preset of that name. Raises GanvasError when there is none, or for overrides that are no settings."""
    presets = getattr(module, "PRESETS", {})
    if name not in presets and name != "auto":
        raise GanvasError(f"unknown preset '{name}'{did_you_mean(name, list(presets))}; presets: {', '.join(presets)}")
    known = {k.name for k in knobs(config_class)}
    unknown = [k for k in overrides if k.replace("-", "_") not in known]
    if unknown:  # before any time is spent on measuring
        build_config(config_class, {unknown[0]: None})
    return presets.get(name, {})


def check_size(settings: Settings, card: Card, module: Any, system_class: Any, overrides: dict[str, Any]) -> None:
    """Raise what the system says of the size that was asked for, before data is read or made for nothing.

    Nothing is said here of what depends on the data: the size is refused only if the system takes the usual one otherwise.
    """
    size = parse_size(settings.size)
    if size is None or card.fields:
        return
    size = size[0] if isinstance(size, tuple) and len(set(size)) == 1 else size
    preset = choose_preset(module, settings.preset, overrides, system_class.Config)
    seconds, device = parse_budget(settings.budget).seconds, pick_device(settings.device, settings.processes).type

    def refused(kind: Kind, side: Any) -> GanvasError | None:
        spec = kind.example(side, kind.says.example_channels)
        chosen = preset(Situation(spec, RECORDS, seconds, 0.0, device)) if callable(preset) else preset
        config = build_config(system_class.Config, {**chosen, **{k.replace("-", "_"): v for k, v in overrides.items()}})
        try:
            with shapes_only():
                system_class(spec, config)
        except GanvasError as error:
            return error
        except Exception:  # a third party's system, which looks at its numbers as it is built
            return None
        return None

    found = [(kind, refused(kind, size)) for kind in map(kind_of, card.data)]
    if all(error is not None and refused(kind, kind.says.example_size) is None for kind, error in found):
        raise found[0][1] or AssertionError


def resolve_numbers(settings: Settings, system_class: Any, spec: Any, curious: bool) -> tuple[Settings, float]:
    """Settle threads, precision and memory layout by measuring; also returns the speed of convolutions, in GFLOP/s.

    curious: whether the speed will be looked at; it is not measured for nothing.
    """
    from ..doctor import fastest_numbers, useful_threads

    threads, device = settings.threads, pick_device(settings.device)
    says = kind_of(spec.kind).says
    if not says.measures_speed or not (curious or "auto" in (settings.precision, settings.channels_last)):
        # Networks on points and series are too small to be shared out: threads would only wait for each other.
        chosen, layout, speed = "32", False, 0.0
        if threads is None and device.type == "cpu" and not says.measures_speed:
            threads = says.threads or useful_threads(settings.processes)
    else:
        mixed = settings.precision == "bf16-mixed" or (settings.precision == "auto" and system_class.mixed_is_safe)
        if threads is None and device.type == "cpu":
            threads = useful_threads(settings.processes)
        chosen, layout, speed = fastest_numbers(device, mixed=mixed, threads=threads)
    precision = chosen if settings.precision == "auto" else settings.precision
    # Compiled for a GPU, torch 2.11 expects other layouts of gradients than cuDNN gives for maps that end in one pixel.
    layout = layout and not (settings.compile and device.type == "cuda")
    channels_last = ("on" if layout else "off") if settings.channels_last == "auto" else settings.channels_last
    return dataclasses.replace(settings, precision=precision, channels_last=channels_last, threads=threads), speed


def suit_layout(settings: Settings, asked: str, system: Any) -> Settings:
    """Settings in which `channels_last`, chosen unasked (`asked` is "auto") for the CPU by the speed of a convolution, is taken
    back for a system that loses by it.

    With InstanceNorm torch lays maps the other way round and back in every layer, forward and backward (cyclegan at 128 pixels
    took 1.15 times as long); where weights are many and a batch is small, as in a U-Net that plays single images, laying
    weights costs more than maps gain (pix2pix at 128 pixels, one image: 1.1 times).
    """
    from torch.nn.modules.instancenorm import _InstanceNorm

    if asked != "auto" or settings.channels_last != "on" or pick_device(settings.device).type != "cpu":
        return settings
    spec = next(iter(system.spec.values())) if isinstance(system.spec, dict) else system.spec
    pixels = system.config.batch_size * getattr(spec, "height", 0) * getattr(spec, "width", 0)
    weights = sum(parameter.numel() for parameter in system.parameters() if parameter.dim() == 4)
    loses = any(isinstance(module, _InstanceNorm) for module in system.modules()) or (0 < HEAVY * pixels < weights)
    return dataclasses.replace(settings, channels_last="off") if loses else settings


def too_few_to_audit(system: Any, dataset: Any) -> list[str]:
    """What to say before a run whose samples could not be audited for copies afterwards; nothing where they can."""
    from ..data.streams import learnt_from
    from ..health.samples import learnt_rows
    from ..metrics.memorisation import too_few

    learnt = learnt_from(system, dataset)
    told = f" of class {' and '.join(learnt['classes'])}" if len(learnt["classes"]) == 1 else ""
    found = too_few(learnt["records"], len(learnt_rows(system, dataset, dataset.heldout_indices())), told)
    return [] if found is None else [f"copies of training records could not be told afterwards: {found}"]


def check_sharing(settings: Settings, config: Any) -> None:
    """Raise GanvasError when a batch cannot be cut into equal pieces for processes and micro-batches."""
    pieces = settings.processes * settings.micro_batches
    if config.batch_size % pieces:
        raise GanvasError(
            f"batch_size {config.batch_size} cannot be cut into {settings.processes} processes x {settings.micro_batches} "
            f"micro-batches: use --set batch_size={-(-config.batch_size // pieces) * pieces}"
        )
