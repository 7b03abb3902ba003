"""Project: the latents whose record comes nearest to a given one, and that record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..capabilities import Projects
from ..kinds import decode, kind_of
from ..kinds.facets import Gridded, Mapped
from . import MADE, Fields, Use, UseSays, Work, first_of

if TYPE_CHECKING:
    from .desk import Desk


def run(work: Work, given: Fields, options: Any) -> Fields:
    records, more = first_of(given)
    latents = work.system.project(records, work.noise, **more)
    return {"latent": latents, work.main: work.system.reconstruct(latents)}


def keep(work: Work, desk: Desk, names: list[str], given: Fields, made: Fields) -> None:
    """A sheet of each record, `sheets/NAME.png`: what was given, and the nearest, which is written as a file of its own."""
    import torch

    from ..drawing import save_picture

    kind = kind_of(work.spec.kind)
    spec = kind.screen(work.spec) if isinstance(kind, Mapped) else work.spec
    pairs = torch.stack([first_of(given)[0].float().cpu(), made[work.main].float().cpu()], 1).flatten(0, 1)
    records = decode(pairs, spec)
    for k, name in enumerate(names):
        pair = records[2 * k : 2 * k + 2]
        captions = ("given", f"nearest {kind.says.noun.removesuffix('s')}")
        picture = kind.grid(pair, spec, captions=captions) if isinstance(kind, Gridded) else kind.picture(pair, spec)
        path = desk.path(f"sheets/{name}.png")
        save_picture(path, picture)
        desk.written.append(path)


USE = Use(
    verb="project",
    done="projected",
    promise=Projects,
    gives=("latent", MADE),
    order=50,
    fitted=True,
    run=run,
    keep=keep,
    says=UseSays(
        purpose="finding the latent whose record comes nearest to a given one",
        doing="projecting",
        example="ganvas apply RUN FILE --as project --out FOLDER",
    ),
)
