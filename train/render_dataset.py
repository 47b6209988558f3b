"""Renders aligned clips: the same excerpts of scores, played by many instruments in many voices.

    python -m train.render_dataset --midi DIR... --soundfont FILE... --test-soundfont FILE --out DIR

Every excerpt is drawn from its own random stream, so the set depends on the seed and not on the number of workers,
and an interrupted run goes on where it stopped. Pieces, not excerpts, are split into train, validation and test; the
test soundfont plays only the source side of the test.
"""

import argparse
import errno
import functools
import hashlib
import multiprocessing
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from stylediff.audio import loudness_gain
from stylediff.instruments import INSTRUMENTS, Instrument
from stylediff.mel import MelConfig
from train.degradations import Degradation, degrade, draw_degradation
from train.manifest import Clip, ClipGroup, ManifestError, claim_folder, is_finished, save_group, write_manifest
from train.scores import (
    Excerpt,
    ScoreError,
    cut_excerpt,
    find_pieces,
    notes_in_range,
    playable_by,
    random_excerpt,
    read_tracks,
)
from train.synthesis import SynthesisError, Synthesizer, open_synthesizer, soundfont_voices

FRAME_MULTIPLE = 64  # frames of a clip: divides by the strides of every model tried
TARGETS, OTHER_TARGETS, SOURCES = 4, 1, 2  # clips of a training excerpt: default voices, other voices, degraded
SHARES = {"validation": 0.04, "test": 0.10}
RANDOM_SHARE = 0.05
FAVOURED = {"piano": 2.0, "violin": 2.0}
MAX_DRAWS = 500


@dataclass(frozen=True)
class Plan:
    """Everything a worker needs to make excerpt ``index`` of the data set.

    Attributes:
        voices: voice name -> (soundfont, program), the training soundfonts.
        test_voices: the same for the test soundfont.
        excerpts, test_excerpts: how many of each; test excerpts have the first indices.
    """

    groups: dict[str, list[Path]]
    voices: dict[str, tuple[Path, int]]
    test_voices: dict[str, tuple[Path, int]]
    out: Path
    samples: int
    excerpts: int
    test_excerpts: int
    seed: int
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
        return max(1, round(SHARES["validation"] / 2 * self.excerpts))

    def voices_of(self, instrument: Instrument) -> list[str]:
        """Voices of an instrument, its default voice first (the first at hand where that one is missing)."""
        names = [name for name in self.voices if name.split("/")[0] == instrument.name]
        return sorted(names, key=lambda name: name != instrument.default_voice)


def piece_split(piece: str) -> str:
    """Split of a piece, by a hash of its name: it never changes when pieces are added."""
    draw = int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) / 16**8
    if draw < SHARES["test"]:
        return "test"
    return "validation" if draw < SHARES["test"] + SHARES["validation"] else "train"


def draw_excerpt(plan: Plan, split: str, rng: np.random.Generator) -> Excerpt:
    """A random excerpt of a piece of that split, playable by three instruments or more.

    Folders are drawn with a probability that grows as the square root of their number of pieces.

    Raises:
        ScoreError: hundreds of draws gave nothing: too few or too short scores for that split.
    """
    names = list(plan.groups)
    weights = np.sqrt([len(plan.groups[name]) for name in names])
    problem = ""
    for _ in range(MAX_DRAWS):
        if split == "train" and rng.random() < RANDOM_SHARE:
            excerpt: Excerpt | None = random_excerpt(plan.seconds, rng)
        else:
            folder = names[int(rng.choice(len(names), p=weights / weights.sum()))]
            path = plan.groups[folder][int(rng.integers(len(plan.groups[folder])))]
            piece = f"{folder}/{path.name}"
            if piece_split(piece) != split:
                continue
            try:
                excerpt = cut_excerpt(path, piece, plan.seconds, rng)
            except ScoreError as error:
                problem = f"; {error}"
                continue
        if excerpt is not None and len(usable_instruments(plan, excerpt)) >= 3:
            return excerpt
    raise ScoreError(f"found no usable excerpt for the {split} split in {MAX_DRAWS} draws{problem}")


def usable_instruments(plan: Plan, excerpt: Excerpt) -> list[Instrument]:
    return [instrument for instrument in playable_by(excerpt.notes) if plan.voices_of(instrument)]


def draw_roles(plan: Plan, excerpt: Excerpt, split: str, rng: np.random.Generator) -> list[tuple[str, str]]:
    """(voice, role) of each clip to render of an excerpt.

    Training excerpts give seven clips. Test and validation excerpts give every playable instrument in its default
    voice; the test adds the test soundfont's voices, which are sources, and validation another training voice each.
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
    weights = np.array([FAVOURED.get(instrument.name, 1.0) for instrument in playable])
    count = min(TARGETS, len(defaults))
    chosen = rng.choice(len(defaults), size=count, replace=False, p=weights / weights.sum())
    roles = [(defaults[int(i)], "target") for i in chosen]
    missing = TARGETS + OTHER_TARGETS - count
    roles += [(str(voice), "target") for voice in rng.permutation(others)[:missing]]
    everything = defaults + others
    return roles + [(everything[int(rng.integers(len(everything)))], "source") for _ in range(SOURCES)]


@functools.lru_cache(maxsize=None)
def synthesizer(soundfont: Path, sample_rate: int) -> Synthesizer:
    """One synthesizer a soundfont and process: some take seconds to load."""
    return open_synthesizer(soundfont, sample_rate)


def render_clip(
    plan: Plan, excerpt: Excerpt, voice: str, how: Degradation, rng: np.random.Generator
) -> tuple[np.ndarray, float, int]:
    """Samples of one clip, the gain that set its loudness, and how many notes the instrument had to leave out."""
    soundfont, program = plan.voices.get(voice) or plan.test_voices[voice]
    instrument = next(i for i in INSTRUMENTS if i.name == voice.split("/")[0])
    notes = notes_in_range(excerpt.notes, instrument)
    player = synthesizer(soundfont, plan.mel.sample_rate)
    waveform = player.render(notes, program, plan.samples, how.controls, how.detune_cents)
    waveform = degrade(waveform, plan.mel.sample_rate, how, rng)
    gain = loudness_gain(torch.from_numpy(waveform))
    return waveform * gain, gain, len(excerpt.notes) - len(notes)


def render_excerpt(plan: Plan, index: int) -> None:
    """Draws, renders and saves excerpt ``index``; nothing of it counts until all of it is there."""
    if is_finished(plan.out, index):
        return
    rng = np.random.default_rng([plan.seed, index])
    split = plan.split_of(index)
    excerpt = draw_excerpt(plan, split, rng)
    scratch = plan.out / "clips" / f".{index:06d}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    clips = []
    for number, (voice, role) in enumerate(draw_roles(plan, excerpt, split, rng)):
        degraded = role == "source" and split == "train"
        how = draw_degradation(rng) if degraded else Degradation()
        waveform, gain, left_out = render_clip(plan, excerpt, voice, how, rng)
        file = f"{number}_{voice.replace('/', '_')}.flac"
        soundfile.write(scratch / file, waveform, plan.mel.sample_rate, subtype="PCM_16")
        details = asdict(how) if degraded else {}
        file = f"clips/{index:06d}/{file}"
        clips.append(Clip(file, voice.split("/")[0], voice, role, round(gain, 5), left_out, details))
    group = ClipGroup(index, split, True, *astuple_head(excerpt), excerpt.notes, tuple(clips))
    save_group(plan.out, group, scratch)


def astuple_head(excerpt: Excerpt) -> tuple[str, str, float, float, int]:
    return excerpt.piece, excerpt.tracks, excerpt.start_s, excerpt.tempo, excerpt.transposition


def summarize(groups: list[ClipGroup], seconds: float, out: Path) -> str:
    """Minutes of each instrument in each split, and the disk space used."""
    minutes = Counter()
    for group in groups:
        for clip in group.clips:
            minutes[clip.instrument, group.split] += seconds / 60
    lines = [f"{'minutes':12s}" + "".join(f"{split:>12s}" for split in ("train", "validation", "test"))]
    for instrument in INSTRUMENTS:
        row = "".join(f"{minutes[instrument.name, split]:12.1f}" for split in ("train", "validation", "test"))
        lines.append(f"{instrument.name:12s}{row}")
    clips = sum(len(group.clips) for group in groups)
    used = sum(path.stat().st_size for path in out.rglob("*.flac"))
    lines.append(f"{len(groups)} excerpts, {clips} clips, {clips * seconds / 3600:.1f} h, {used / 1e9:.2f} GB")
    return "\n".join(lines)


def build_plan(args: argparse.Namespace) -> Plan:
    """The plan behind the command line's arguments.

    Raises:
        ScoreError, SynthesisError: scores or soundfonts that cannot be used.
    """
    mel = MelConfig()
    frames = -(-mel.frames(round(args.seconds * mel.sample_rate)) // FRAME_MULTIPLE) * FRAME_MULTIPLE
    voices: dict[str, tuple[Path, int]] = {}
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
    )


def render(plan: Plan, workers: int) -> list[ClipGroup]:
    """Renders what is missing of the plan and writes the manifest."""
    waiting = [index for index in range(plan.excerpts) if not is_finished(plan.out, index)]
    job = functools.partial(render_excerpt, plan)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in tqdm(pool.imap_unordered(job, waiting, chunksize=4), total=len(waiting), unit="excerpt"):
            pass
    return write_manifest(plan.out, list(range(plan.excerpts)))


def check_scores(plan: Plan) -> list[str]:
    """Sentences about the MIDI files that cannot be used."""
    problems = []
    for paths in plan.groups.values():
        for path in paths:
            try:
                read_tracks(path)
            except ScoreError as error:
                problems.append(str(error))
    return problems


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--midi", type=Path, nargs="+", required=True, help="folders of MIDI files")
    parser.add_argument("--soundfont", nargs="+", required=True, help="training soundfonts, FILE or FILE:program,...")
    parser.add_argument("--test-soundfont", required=True, help="soundfont of the test sources, never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=30000, help="clips to train and validate on, at least")
    parser.add_argument("--test-excerpts", type=int, default=140)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip, rounded up to whole frames")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    try:
        plan = build_plan(args)
        settings = {"clips": args.clips, "test_excerpts": args.test_excerpts, "seed": args.seed}
        settings |= {"samples": plan.samples, "voices": sorted(plan.voices), "test_voices": sorted(plan.test_voices)}
        settings |= {"pieces": sum(map(len, plan.groups.values()))}
        claim_folder(plan.out, settings)
        for problem in check_scores(plan):
            print(f"left out: {problem}", file=sys.stderr)
        groups = render(plan, args.workers)
    except (ScoreError, SynthesisError, ManifestError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("error: the disk is full; make room and run the same command again to go on", file=sys.stderr)
        return 2
    print(summarize(groups, plan.seconds, plan.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
