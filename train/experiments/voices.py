"""Which voice of each instrument should be the default?

Voices are rated by musicnn, dry and in a room, and by how fast notes begin.

    python -m train voices --scores MIDI ... --soundfonts FONT ... --out DIR [--recordings FOLDER]

All voices of an instrument play the same phrases, which lie in its range. This page is the basis for choosing default
voices: a default voice should sound like recordings and begin its notes fast enough to keep them apart.
"""

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.instruments import INSTRUMENT_NAMES, Instrument, choose_instruments, get_instrument
from stylediff.mel import MelConfig
from stylediff.notes import Note
from stylediff.room import add_room
from train.common.cli import run_command
from train.common.files import lock_settings, write_atomically
from train.common.markdown import table_head, table_row, write_page
from train.data.excerpts import Excerpt, ScoreError, cut_excerpt, find_pieces
from train.data.manifest import ManifestError
from train.data.notes import notes_in_range, playable_by
from train.data.recordings import HELD_OUT, RecordingError, list_recordings
from train.data.soundfonts import SynthesisError, soundfont_voices
from train.evaluation.cases import CaseError
from train.evaluation.descriptors import attack_time, energy_between_partials, half_level_time, measure_vibrato
from train.evaluation.musicnn import Musicnn
from train.evaluation.realism import middle
from train.evaluation.recorded import FEWEST_CLIPS, RecordedReference, choose_examples, examples_of_split
from train.evaluation.runner import load_players
from train.evaluation.systems import Players

PHRASE_S = 5.5
TRIES = 500  # most excerpts to try
ROOM = "room"
NOTE_S = 1.0
EXAMPLES = 48
SAMPLE_RATE = MelConfig().sample_rate

NOTES = """\
Each voice plays the same {count} phrases of {seconds} s. *musicnn*: probability of the instrument's tag, median over
phrases, dry and in the room {room}; in brackets that of recordings. *Fréchet distance*: distance of musicnn's features
in the room to recordings (held-out ones if there are enough). *Half level*: time from a note's start to half of its
peak, median and maximum of single notes over the range. The other columns are medians over dry phrases. The default
voice is in bold.
"""
COLUMNS = {
    "dry": ("musicnn, dry", 2),
    "room": ("in a room", 2),
    "frechet": ("Fréchet distance ↓", 1),
    "half_level_ms": ("half level, ms ↓", 0),
    "slowest_ms": ("longest, ms ↓", 0),
    "attack_ms": ("attack, ms", 0),
    "vibrato_cents": ("vibrato, cents", 1),
    "between_partials_db": ("between partials, dB", 0),
}


def sample_phrases(folders: list[Path], instrument: Instrument, count: int) -> list[Excerpt]:
    """Choose phrases of different pieces that an instrument can play.

    The choice is reproducible.

    Raises:
        ScoreError: no scores, or too few playable phrases.
    """
    rng = np.random.default_rng(INSTRUMENT_NAMES.index(instrument.name))
    groups, phrases = find_pieces(folders), []
    pieces = [(group, path) for group, paths in groups.items() for path in paths]
    for index in rng.permutation(np.arange(TRIES) % len(pieces)):
        group, path = pieces[index]
        try:
            excerpt = cut_excerpt(path, f"{group}/{path.name}", PHRASE_S, rng)
        except ScoreError:
            continue
        if excerpt is not None and instrument in playable_by(excerpt.notes):
            phrases.append(excerpt)
        if len(phrases) == count:
            return phrases
    raise ScoreError(f"the scores have only {len(phrases)} of {count} phrases that {instrument.name} can play")


def render(players: Players, voice: str, notes: tuple[Note, ...], seconds: float) -> torch.Tensor:
    """Render notes with a voice at the loudness of the data set."""
    synthesizer, preset = players[voice]
    wave = torch.from_numpy(synthesizer.render(notes, preset, round(seconds * SAMPLE_RATE), {})).float()
    return wave * loudness_gain(wave)


def half_levels(players: Players, voice: str, instrument: Instrument) -> list[float]:
    """Milliseconds to half of the peak, for single notes over the range."""
    pitches = np.linspace(instrument.lowest, instrument.highest, 9).round().astype(int)[1:-1]
    notes = (Note(0.0, NOTE_S, int(pitch), 80) for pitch in pitches)
    times = (half_level_time(render(players, voice, (note,), NOTE_S), SAMPLE_RATE) for note in notes)
    return [1000 * time for time in times if time is not None]


@cache
def load_musicnn() -> Musicnn:
    return Musicnn()


def measure_voice(players: Players, voice: str, phrases: list[Excerpt]) -> dict[str, Any]:
    """Measure one voice.

    ``features`` are musicnn's in the room, one list per phrase.
    """
    instrument = get_instrument(voice.split("/")[0])
    tags: dict[str, list[float | None]] = {"dry": [], "room": []}
    features, attacks, vibratos, gaps = [], [], [], []
    for phrase in phrases:
        notes = notes_in_range(phrase.notes, instrument)
        dry = render(players, voice, notes, PHRASE_S)
        tagged = load_musicnn()(add_room(dry, SAMPLE_RATE, ROOM), SAMPLE_RATE)
        tags["dry"].append(load_musicnn()(dry, SAMPLE_RATE).tag(instrument.name))
        tags["room"].append(tagged.tag(instrument.name))
        features.append(tagged.features.round(4).tolist())
        attack_s, vibrato = attack_time(dry, SAMPLE_RATE, notes), measure_vibrato(dry, SAMPLE_RATE, notes)
        attacks.append(None if attack_s is None else 1000 * attack_s)
        vibratos.append(None if vibrato is None else vibrato.depth_cents)
        gaps.append(energy_between_partials(dry, SAMPLE_RATE, notes))
    levels = half_levels(players, voice, instrument)
    return {
        **{place: middle(values) for place, values in tags.items()},
        "half_level_ms": middle([*levels]),
        "slowest_ms": max(levels, default=None),
        "attack_ms": middle(attacks),
        "vibrato_cents": middle(vibratos),
        "between_partials_db": middle(gaps),
        "features": features,
    }


def listen_to_recordings(folder: Path, instrument: str) -> tuple[float | None, RecordedReference | None]:
    """Return the recordings' median tag probability and a reference.

    The reference uses held-out recordings, or all if these are few.
    """
    clips = choose_examples(list_recordings(folder), instrument, EXAMPLES, SAMPLE_RATE)
    taggings = {clip.name: load_musicnn()(clip.waveform, SAMPLE_RATE) for clip in clips}
    features = [taggings[clip.name].features for clip in examples_of_split(clips, HELD_OUT)]
    reference = RecordedReference(features) if len(features) >= FEWEST_CLIPS else None
    return middle([tagging.tag(instrument) for tagging in taggings.values()]), reference


def voices_of(soundfonts: list[str], instrument: str) -> list[str]:
    """Voices of an instrument in the given soundfonts."""
    voices = dict.fromkeys(voice for font in soundfonts for voice in soundfont_voices(font))
    return [voice for voice in voices if voice.startswith(f"{instrument}/")]


def measure_voices(args: argparse.Namespace, instrument: str, voices: list[str]) -> dict[str, dict[str, Any]]:
    """Measure the voices of an instrument.

    Voices that were measured before are read from the output folder.
    """
    paths = {voice: args.out / "measured" / f"{voice.replace('/', '_')}.json" for voice in voices}
    missing = [voice for voice, path in paths.items() if not path.is_file()]
    if missing:
        phrases = sample_phrases(args.scores, get_instrument(instrument), args.phrases)
        players = load_players(tuple(args.soundfonts), tuple(missing))
    for voice in missing:
        paths[voice].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(paths[voice], json.dumps(measure_voice(players, voice, phrases)))
    return {voice: json.loads(path.read_text()) for voice, path in paths.items()}


def measure(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Values of all voices by instrument, with those of recordings."""
    summary: dict[str, dict[str, Any]] = {}
    for name in tqdm(args.instruments, unit="instrument"):
        measured = measure_voices(args, name, voices_of(args.soundfonts, name))
        real, reference = listen_to_recordings(args.recordings, name) if args.recordings else (None, None)
        for values in measured.values():
            features = [np.array(phrase) for phrase in values.pop("features")]
            values["frechet"] = reference.distance(features) if reference else None
        floor = reference.floor if reference else None
        if measured:
            summary[name] = {"real": real, "floor": floor, "voices": measured}
    return summary


def voice_lines(summary: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Tables of each instrument's voices, best in the room first."""
    for name, values in summary.items():
        floor = "" if values["floor"] is None else f"; Fréchet floor {values['floor']:.1f}"
        real = f" (recordings {values['real']:.2f}{floor})" if values["real"] is not None else ""
        yield from ("", f"## {name}{real}", "")
        yield from table_head(["voice", *(head for head, _ in COLUMNS.values())])
        for voice, row in sorted(values["voices"].items(), key=lambda item: -(item[1]["room"] or 0)):
            shown = f"**{voice}**" if voice == get_instrument(name).default_voice else voice
            cells = ("" if row[key] is None else f"{row[key]:.{digits}f}" for key, (_, digits) in COLUMNS.items())
            yield table_row([shown, *cells])


def write_markdown(summary: dict[str, dict[str, Any]], count: int) -> str:
    """Write the page for a number of phrases."""
    notes = NOTES.format(count=count, seconds=PHRASE_S, room=repr(ROOM))
    return "\n".join(["# Voices", "", notes, *voice_lines(summary), ""])


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        args.instruments = choose_instruments(args.instruments)
        lock_settings(args.out, {"scores": str(args.scores), "phrases": args.phrases})
        summary = measure(args)
        write_page(args.out, "voices", summary, write_markdown(summary, args.phrases))

    return run_command(work, ScoreError, SynthesisError, CaseError, RecordingError, ManifestError, ValueError)
