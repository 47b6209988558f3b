"""Render aligned clips: the same excerpts played by many voices.

    python -m train render-dataset --midi DIR... --soundfont FILE... --test-soundfont FILE --out DIR

Each excerpt has a separate random stream, so the data set depends on the seed but not on the number of workers. Rerun
an interrupted run to resume it. Pieces, not excerpts, are split into train, validation and test. The test soundfont
plays only the sources of the test split.
"""

import argparse
import functools
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.instruments import INSTRUMENTS, Instrument, get_instrument
from stylediff.mel import MelConfig
from stylediff.notes import is_in_range
from train.common.cli import run_command
from train.common.files import FolderError, lock_settings
from train.common.parallel import parallel_map
from train.data.augmentation import Degradation, degrade, sample_degradation
from train.data.excerpts import Excerpt, ScoreError, cut_excerpt, find_pieces, random_excerpt, read_tracks
from train.data.manifest import (
    FRAME_MULTIPLE,
    SPLIT_SHARES,
    SPLITS,
    ClipGroup,
    ClipRecord,
    ManifestError,
    is_finished,
    piece_split,
    save_group,
    write_manifest,
)
from train.data.notes import notes_in_range, playable_by
from train.data.performance import IDIOMS, Gesture, let_ring, note_shapes, roll_chords, sample_gestures
from train.data.soundfonts import Preset, SynthesisError, Synthesizer, open_synthesizer, soundfont_voices

TARGETS, OTHER_TARGETS, SOURCES = 3, 3, 2  # clips per training excerpt: default voices, other voices, degraded
RANDOM_SHARE = 0.05
ROLLED_SHARE, ROLL_S = 0.15, (0.02, 0.12)  # share of excerpts with rolled chords, and the spread of a chord
INSTRUMENT_WEIGHTS = {"piano": 2.0, "violin": 2.0}
MAX_DRAWS = 500


@dataclass(frozen=True)
class Plan:
    """Settings that a worker needs to make an excerpt.

    Attributes:
        voices: presets of the training soundfonts by voice.
        test_voices: the same for the test soundfont.
        excerpts, test_excerpts: numbers of excerpts; test excerpts have the first indices.
        slow_share: share of the training excerpts that are slow, with notes held for seconds.
    """

    groups: dict[str, list[Path]]
    voices: dict[str, Preset]
    test_voices: dict[str, Preset]
    out: Path
    samples: int
    excerpts: int
    test_excerpts: int
    seed: int
    slow_share: float
    mel: MelConfig = MelConfig()

    @property
    def seconds(self) -> float:
        return self.samples / self.mel.sample_rate

    def split_of(self, index: int) -> str:
        if index < self.test_excerpts:
            return "test"
        return "validation" if index < self.test_excerpts + self.validation_excerpts else "train"

    @property
    def validation_excerpts(self) -> int:
        return max(1, round(SPLIT_SHARES["validation"] / 2 * self.excerpts))

    def voices_of(self, instrument: Instrument) -> list[str]:
        """Voices of an instrument, the default voice first.

        If the default is missing, the first voice found comes first.
        """
        names = [name for name in self.voices if name.split("/")[0] == instrument.name]
        return sorted(names, key=lambda name: name != instrument.default_voice)


def sample_excerpt(plan: Plan, split: str, rng: np.random.Generator) -> Excerpt:
    """Sample an excerpt of the split for three or more instruments.

    The probability of a folder grows as the square root of its number of pieces.

    Raises:
        ScoreError: no usable excerpt was found, because the split has too few or too short scores.
    """
    names = list(plan.groups)
    weights = np.sqrt([len(plan.groups[name]) for name in names])
    problem = ""
    slow = split == "train" and plan.slow_share > 0 and rng.random() < plan.slow_share
    for _ in range(MAX_DRAWS):
        if split == "train" and rng.random() < RANDOM_SHARE:
            excerpt: Excerpt | None = random_excerpt(plan.seconds, rng, slow)
        else:
            folder = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            path = plan.groups[folder][int(rng.integers(len(plan.groups[folder])))]
            piece = f"{folder}/{path.name}"
            if piece_split(piece) != split:
                continue
            try:
                excerpt = cut_excerpt(path, piece, plan.seconds, rng, slow)
            except ScoreError as error:
                problem = f"; {error}"
                continue
        if excerpt is not None and rng.random() < ROLLED_SHARE:
            rolled = tuple(roll_chords(excerpt.notes, float(rng.uniform(*ROLL_S))))
            excerpt = replace(excerpt, notes=rolled)
        if excerpt is not None and len(usable_instruments(plan, excerpt)) >= 3:
            return excerpt
    raise ScoreError(f"no usable excerpt for the {split} split in {MAX_DRAWS} attempts{problem}")


def usable_instruments(plan: Plan, excerpt: Excerpt) -> list[Instrument]:
    return [instrument for instrument in playable_by(excerpt.notes) if plan.voices_of(instrument)]


def sample_roles(plan: Plan, excerpt: Excerpt, split: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Choose (voice, role) of each clip of an excerpt.

    Training excerpts have seven clips. Test and validation excerpts have each playable instrument in its default voice.
    Test excerpts add the test soundfont's voices as sources; validation excerpts add another training voice per
    instrument.
    """
    playable = usable_instruments(plan, excerpt)
    defaults = [plan.voices_of(instrument)[0] for instrument in playable]
    if split == "test":
        names = {instrument.name for instrument in playable}
        first_of: dict[str, str] = {}
        for voice in plan.test_voices:
            first_of.setdefault(voice.split("/")[0], voice)
        sources = [voice for name, voice in first_of.items() if name in names]
        return [(voice, "target") for voice in defaults] + [(voice, "source") for voice in sources]
    others = [voice for instrument in playable for voice in plan.voices_of(instrument)[1:]]
    if split == "validation":
        drawn = rng.permutation(others)[: len(defaults)].tolist() if others else []
        return [(voice, "target") for voice in defaults + drawn]
    others_of = Counter(voice.split("/")[0] for voice in others)
    weights = np.array([INSTRUMENT_WEIGHTS.get(instrument.name, 1.0) for instrument in playable])
    count = min(TARGETS, len(defaults))
    chosen = rng.choice(len(defaults), size=count, replace=False, p=weights / weights.sum())
    roles = [(defaults[int(i)], "target") for i in chosen]
    missing = TARGETS + OTHER_TARGETS - count
    shares = [INSTRUMENT_WEIGHTS.get(name, 1.0) / others_of[name] for name in (voice.split("/")[0] for voice in others)]
    missing = min(missing, len(others))
    if missing:
        drawn = rng.choice(others, size=missing, replace=False, p=np.array(shares) / sum(shares))
        roles += [(str(voice), "target") for voice in drawn]
    everything = defaults + others
    return roles + [(everything[int(rng.integers(len(everything)))], "source") for _ in range(SOURCES)]


@functools.cache
def synthesizer(soundfont: Path, sample_rate: int) -> Synthesizer:
    """Load a synthesizer, once per soundfont and process."""
    return open_synthesizer(soundfont, sample_rate)


def render_clip(
    plan: Plan,
    excerpt: Excerpt,
    gestures: Sequence[Gesture],
    voice: str,
    how: Degradation,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float, int]:
    """Render one clip of an excerpt.

    Args:
        gestures: one per note of the excerpt.

    Returns:
        Samples, the gain that set their loudness, and the number of notes that the instrument cannot play.
    """
    preset = plan.voices.get(voice) or plan.test_voices[voice]
    instrument = get_instrument(voice.split("/")[0])
    notes = notes_in_range(excerpt.notes, instrument)
    shapes = note_shapes(gestures, instrument.name, voice)
    played = [shape for note, shape in zip(excerpt.notes, shapes, strict=True) if is_in_range(note, instrument)]
    if how.plain or None in played:
        played = []
        notes = let_ring(notes, how.ring_s) if how.ring_s and instrument.name not in IDIOMS else notes
    player = synthesizer(preset.soundfont, plan.mel.sample_rate)
    waveform = player.render(notes, preset, plan.samples, how.controls, how.detune_cents, played)
    waveform = degrade(waveform, plan.mel.sample_rate, how, rng)
    gain = loudness_gain(torch.from_numpy(waveform))
    return waveform * gain, gain, len(excerpt.notes) - len(notes)


def render_excerpt(plan: Plan, index: int) -> None:
    """Sample, render and save excerpt ``index`` atomically."""
    if is_finished(plan.out, index):
        return
    rng = np.random.default_rng([plan.seed, index])
    split = plan.split_of(index)
    excerpt = sample_excerpt(plan, split, rng)
    gestures = sample_gestures(excerpt.notes, rng)
    scratch = plan.out / "clips" / f".{index:06d}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    clips = []
    for number, (voice, role) in enumerate(sample_roles(plan, excerpt, split, rng)):
        degraded = role == "source" and split == "train"
        how = sample_degradation(rng) if degraded else Degradation()
        waveform, gain, left_out = render_clip(plan, excerpt, gestures, voice, how, rng)
        file = f"{number}_{voice.replace('/', '_')}.flac"
        soundfile.write(scratch / file, waveform, plan.mel.sample_rate, subtype="PCM_16")
        details = asdict(how) if degraded else {}
        file = f"clips/{index:06d}/{file}"
        clips.append(
            ClipRecord(
                file=file,
                instrument=voice.split("/")[0],
                voice=voice,
                role=role,
                gain=round(gain, 5),
                notes_left_out=left_out,
                details=details,
            )
        )
    group = ClipGroup(
        index=index,
        split=split,
        paired=True,
        piece=excerpt.piece,
        tracks=excerpt.tracks,
        start_s=excerpt.start_s,
        tempo=excerpt.tempo,
        transposition=excerpt.transposition,
        notes=excerpt.notes,
        clips=tuple(clips),
    )
    save_group(plan.out, group, scratch)


def summarize(groups: list[ClipGroup], seconds: float, out: Path) -> str:
    """Summarize minutes by instrument and split, and the disk space used."""
    minutes: defaultdict[tuple[str, str], float] = defaultdict(float)
    for group in groups:
        for clip in group.clips:
            minutes[clip.instrument, group.split] += seconds / 60
    lines = [f"{'minutes':12s}" + "".join(f"{split:>12s}" for split in SPLITS)]
    for instrument in INSTRUMENTS:
        row = "".join(f"{minutes[instrument.name, split]:12.1f}" for split in SPLITS)
        lines.append(f"{instrument.name:12s}{row}")
    clips = sum(len(group.clips) for group in groups)
    used = sum(path.stat().st_size for path in out.rglob("*.flac"))
    lines.append(f"{len(groups)} excerpts, {clips} clips, {clips * seconds / 3600:.1f} h, {used / 1e9:.2f} GB")
    return "\n".join(lines)


def build_plan(args: argparse.Namespace) -> Plan:
    """Make the plan from the arguments of the command line.

    Raises:
        ScoreError, SynthesisError: scores or soundfonts that cannot be used.
    """
    mel = MelConfig()
    frames = -(-mel.frames(round(args.seconds * mel.sample_rate)) // FRAME_MULTIPLE) * FRAME_MULTIPLE
    voices: dict[str, Preset] = {}
    for soundfont in args.soundfont:
        voices |= soundfont_voices(soundfont)
    per_excerpt = TARGETS + OTHER_TARGETS + SOURCES
    return Plan(
        groups=find_pieces(args.midi),
        voices=voices,
        test_voices=soundfont_voices(args.test_soundfont),
        out=args.out,
        samples=frames * mel.hop_length,
        excerpts=args.test_excerpts + -(-args.clips // per_excerpt),
        test_excerpts=args.test_excerpts,
        seed=args.seed,
        slow_share=args.slow_share,
    )


def render(plan: Plan, workers: int) -> list[ClipGroup]:
    """Render the missing excerpts and write the manifest."""
    waiting = [index for index in range(plan.excerpts) if not is_finished(plan.out, index)]
    job = functools.partial(render_excerpt, plan)
    for _ in tqdm(parallel_map(job, waiting, workers, chunk_size=4), total=len(waiting), unit="excerpt"):
        pass
    return write_manifest(plan.out, list(range(plan.excerpts)))


def check_scores(plan: Plan) -> list[str]:
    """Messages about MIDI files that cannot be used."""
    problems = []
    for paths in plan.groups.values():
        for path in paths:
            try:
                read_tracks(path)
            except ScoreError as error:
                problems.append(str(error))
    return problems


def render_dataset(args: argparse.Namespace) -> int:
    def work() -> None:
        plan = build_plan(args)
        settings = {"clips": args.clips, "test_excerpts": args.test_excerpts, "seed": args.seed}
        settings |= {"slow_share": args.slow_share}
        settings |= {"samples": plan.samples, "voices": sorted(plan.voices), "test_voices": sorted(plan.test_voices)}
        settings |= {"pieces": sum(map(len, plan.groups.values()))}
        lock_settings(plan.out, settings)
        (plan.out / "clips").mkdir(exist_ok=True)
        for problem in check_scores(plan):
            print(f"skipped: {problem}", file=sys.stderr)
        groups = render(plan, args.workers)
        print(summarize(groups, plan.seconds, plan.out))

    return run_command(work, ScoreError, SynthesisError, ManifestError, FolderError)
