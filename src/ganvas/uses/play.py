"""Play: the notes of a MIDI file, or of a text, made sound; of a sound, its pitch played anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..borders import no_graph
from ..capabilities import Plays
from ..config import knob
from ..errors import DataError, GanvasError
from ..kinds import decode
from ..kinds.facets import Piece
from ..store.listing import counted
from . import Fields, Use, UseSays, Work, first_of
from .sample import attributes_of, attributes_wanted

if TYPE_CHECKING:
    from torch import Tensor

    from ..metrics.measure import Measure
    from ..store.midi import Note, Score
    from ..store.records import Dataset
    from .desk import Desk

TOGETHER = 32  # notes drawn at once
RELEASE = 0.03  # seconds in which a note ends
LONGEST = 1800.0  # seconds of a tune
OCTAVE = 12
TOLD = 6  # notes that a message names
MEASURED = 128  # notes, at most
QUARTER = 0.5  # semitones by which a pitch may be off and still is right


@dataclass(frozen=True)
class Options:
    attributes: tuple[str, ...] = knob(
        (), "NAME=VALUE: of all notes, as in instrument=flute, several with commas (default: for each part as it comes)"
    )
    wander: bool = knob(False, "the sound of each part goes over into another one from its first note to its last")
    strict: bool = knob(False, "refuse notes out of range, which are moved by octaves else")


def run(work: Work, given: Fields, options: Options) -> Fields:
    """Sounds (B, C, T): a note of the pitch that each has, silence where it has none."""
    from ..kinds.sound.pitches import fundamental

    no_graph("it reads the pitches of sounds and mixes notes, each of which is a sample")
    sounds, _ = first_of(given)
    lowest, highest = min(work.system.pitches()), max(work.system.pitches())
    made = sounds.new_zeros(sounds.shape)
    for place, wave in enumerate(sounds.mean(1).double().cpu().numpy()):
        hertz = fundamental(wave, work.spec.rate)
        if np.isfinite(hertz):
            pitch = min(max(round(69 + OCTAVE * np.log2(hertz / 440)), lowest), highest)
            note = voices(work, 1, options)[0].notes([pitch], np.zeros(1), False)[0]
            length = min(made.shape[2], note.shape[1])
            made[place, :, :length] = note[:, :length].to(made)
    return {work.main: made}


def tell(work: Work, options: Options) -> str:
    asked = attributes_wanted(work, options.attributes)
    return "played" + (f" with {', '.join(f'{name}={value}' for name, value in asked.items())}" if asked else "")


@dataclass
class Voice:
    """How the notes of a part sound. shown: (attributes,), of which the first is said by each note. ends: (2, latent)."""

    work: Work
    shown: Tensor
    ends: Tensor

    def notes(self, pitches: Sequence[int], times: np.ndarray, wander: bool) -> Tensor:
        """(N, C, length) of MIDI pitches, at shares of the part (N,) from 0 to 1."""
        import torch

        index = {pitch: place for place, pitch in enumerate(self.work.system.pitches())}
        shown = self.shown[None].repeat(len(pitches), 1)
        shown[:, 0] = torch.tensor([index[pitch] for pitch in pitches])
        share = torch.as_tensor(times if wander else np.zeros(len(pitches))).to(self.ends)[:, None]
        # On the circle from one to the other: what lies between normal numbers on a line is nearer to the middle than they are.
        latents = self.ends[0] * (share * torch.pi / 2).cos() + self.ends[1] * (share * torch.pi / 2).sin()
        parts = zip(latents.split(TOGETHER), shown.to(latents.device).split(TOGETHER), strict=True)
        with torch.no_grad():
            return torch.cat([self.work.system.play(own, said).float().cpu() for own, said in parts])


def voices(work: Work, count: int, options: Options) -> list[Voice]:
    """A voice for each part. Raises GanvasError for what cannot be asked for."""
    import torch

    pitch = next(iter(work.system.attributes()))
    if pitch in attributes_wanted(work, options.attributes):
        raise GanvasError(f"--attributes: {pitch} is said by the notes: leave it out")
    shown = attributes_of(work, count, options.attributes)
    assert shown is not None
    return [Voice(work, torch.from_numpy(own), work.system.latents(2, work.noise)) for own in shown]


def file(work: Work, desk: Desk, path: Path, name: str, options: Options) -> bool | list[Piece]:
    """The notes of a file, mixed; a sound is not for this."""
    from ..store.midi import read_notes, read_score

    if path.suffix.lower() not in USE.suffixes:
        return False
    score = read_notes(path) if path.suffix.lower() == ".txt" else read_score(path)
    if score.unended:
        desk.note(f"{path.name}: {counted(score.unended, 'note')} without an end last until the next one begins")
    if score.seconds(max(note.end for own in score.parts.values() for note in own)) > LONGEST:
        raise DataError(f"{path.name}: lasts more than {LONGEST / 60:g} minutes: play it in parts")
    parts = within_reach(work, desk, path.name, score, options)
    spec = work.spec
    made = mixed(work, desk, path.name, score, parts, options)
    return [Piece(made[None], replace(spec, length=len(made)))]


def within_reach(
    work: Work, desk: Desk, name: str, score: Score, options: Options
) -> dict[tuple[int, int], list[Note]]:  # fmt: skip
    """The notes, those out of range moved by octaves. Raises DataError for notes that no octave brings there."""
    from ..store.midi import note_name

    lowest, highest = min(work.system.pitches()), max(work.system.pitches())
    parts: dict[tuple[int, int], list[Note]] = {}
    moved: Counter[int] = Counter()
    lost: dict[int, None] = {}
    for key, own in score.parts.items():
        parts[key] = []
        for note in sorted(own, key=lambda note: note.start):
            pitch = note.pitch
            while pitch < lowest:
                pitch += OCTAVE
            while pitch > highest:
                pitch -= OCTAVE
            if pitch < lowest or (options.strict and pitch != note.pitch):
                lost[note.pitch] = None
            moved[note.pitch] += pitch != note.pitch
            parts[key].append(replace(note, pitch=pitch))
    ends = f"{note_name(lowest)} to {note_name(highest)}"
    if lost:
        some = ", ".join(map(note_name, sorted(lost)[:TOLD])) + (" ..." if len(lost) > TOLD else "")
        mend = "leave --strict out to have them moved by octaves" if options.strict else "transpose them"
        raise DataError(f"{name}: {some} out of range, the run plays {ends}: {mend}")
    if count := sum(moved.values()):
        some = ", ".join(note_name(pitch) for pitch, times in sorted(moved.items()) if times)
        desk.note(f"{name}: {counted(count, 'note')} out of range moved by octaves ({some}): the run plays {ends}")
    return parts


def mixed(
    work: Work, desk: Desk, name: str, score: Score, parts: dict[tuple[int, int], list[Note]], options: Options
) -> np.ndarray:  # fmt: skip
    """(T, channels): each note from its beginning on, by its velocity, until it ends or its sound does."""
    spec = work.spec
    release = max(1, round(RELEASE * spec.rate))
    end = max(score.seconds(note.end) for own in parts.values() for note in own)
    made = np.zeros((round(end * spec.rate) + release + 1, spec.channels), np.float64)
    fade = np.linspace(1, 0, release + 1)[1:, None]
    short = 0
    for voice, notes in zip(voices(work, len(parts), options), parts.values(), strict=True):
        last = max(1e-9, notes[-1].start - notes[0].start)
        times = np.array([(note.start - notes[0].start) / last for note in notes])
        # Without wandering a pitch sounds alike each time, and is drawn once.
        wanted = list(range(len(notes)))
        if not options.wander:
            first = {note.pitch: place for place, note in reversed(list(enumerate(notes)))}
            wanted = sorted(first.values())
        for start in range(0, len(wanted), TOGETHER):
            own = wanted[start : start + TOGETHER]
            sounds = voice.notes([notes[place].pitch for place in own], times[own], options.wander)
            for place, sound in zip(own, decode(sounds, spec), strict=True):
                alike = [notes[place]] if options.wander else [note for note in notes if note.pitch == notes[place].pitch]
                for note in alike:
                    at, until = (round(score.seconds(beat) * spec.rate) for beat in (note.start, note.end))
                    short += until - at > len(sound)
                    wave = sound[: max(1, until - at) + release].astype(np.float64)
                    wave[-min(release, len(wave)) :] *= fade[-min(release, len(wave)) :]
                    made[at : at + len(wave)] += wave[: len(made) - at] * note.velocity / 127
    if short:
        told = "last" if short > 1 else "lasts"
        desk.note(
            f"{name}: {counted(short, 'note')} {told} longer than the {spec.length / spec.rate:.3g} s of a sound: silent then"
        )
    peak = float(np.abs(made).max(initial=0.0))
    if peak > 1:
        desk.note(f"{name}: turned down by {20 * np.log10(peak):.1f} dB, for notes together go beyond full scale")
    result: np.ndarray = (made / max(1.0, peak)).astype(np.float32)
    return result


def measure(work: Work, dataset: Dataset, count: int) -> dict[str, Measure]:
    """How often a note has the pitch that was asked for, and how coherent its waves are; beside those of real notes."""
    from ..kinds.sound.pitches import coherence, fundamental, semitones_off
    from ..metrics.measure import Measure
    from .asking import shown_by

    rows = dataset.train_indices()
    shown = next(iter(shown_by(work, dataset, rows).values()))
    rows, shown = rows[shown >= 0], shown[shown >= 0]
    if not len(rows):
        return {}
    chosen = np.sort(np.random.default_rng(work.seed).permutation(len(rows))[: min(count, MEASURED)])
    pitches = np.array(work.system.pitches())[shown[chosen]]
    voice, share = voices(work, 1, Options())[0], np.linspace(0, 1, len(pitches))
    figures: dict[str, tuple[float, float]] = {}
    made = decode(voice.notes(pitches.tolist(), share, True), work.spec)
    for name, clips in (("made", made), ("real", np.asarray(dataset.values[rows[chosen]]))):
        waves = clips.mean(2)
        hertz = np.array([fundamental(wave, work.spec.rate) for wave in waves])
        alike = [coherence(wave, work.spec.rate, own) for wave, own in zip(waves, hertz, strict=True)]
        right = np.abs(semitones_off(hertz, pitches)) <= QUARTER
        figures[name] = float(right.mean()), float(np.mean(alike))
    found: dict[str, Measure] = {}
    for place, name in enumerate(("pitch_right", "coherence")):
        protocol = ("share within a quarter tone/yin", "correlation 32 ms later/yin")[place] + f"/n={len(pitches)}"
        found[name] = Measure(figures["made"][place], protocol, more={"real": round(figures["real"][place], 4)})
    return found


USE = Use(
    verb="play",
    done="played",
    promise=Plays,
    Options=Options,
    order=42,
    suffixes=(".mid", ".midi", ".txt"),
    run=run,
    tell=tell,
    file=file,
    measure=measure,
    says=UseSays(
        purpose="playing MIDI files or written notes",
        doing="playing",
        example="ganvas apply RUN tune.mid --as play --out FOLDER",
        caution="Notes end with the sounds that were learnt, however long a file holds them; pitches that were never learnt "
        "are those of neighbours, played faster or slower.",
    ),
)
