"""What watches a training run, and what it says when something goes wrong.

`losses` reads the loss terms and gradient norms that the Engine hands out anyway; `samples` draws a few samples now and then
and sees whether they differ; `quality` measures their kernel distance to held-out records. `watch` holds the three together,
keeps to its share of the time, and keeps its state in the checkpoint. Nothing here touches the game: what is drawn has random
numbers of its own. What follows from an alarm is done by `run.loop`.
"""

from __future__ import annotations

from .alarms import Alarm

__all__ = ["Alarm"]
