"""What several tests share: tiny soundfonts, tiny scores and a tiny mel cache, all made here and all real."""

import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch

from stylediff.instruments import INSTRUMENTS
from stylediff.latents import MelAutoencoder
from stylediff.mel import MelConfig
from train.manifest import ClipGroup, piece_split
from train.mel_cache import Row, create_cache, finish_cache
from train.synthesis import SynthesisError, open_synthesizer

PROGRAMS = tuple(instrument.programs[0] for instrument in INSTRUMENTS)
ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def write_soundfont(
    path: Path,
    programs: tuple[int, ...] = PROGRAMS,
    harmonics: tuple[float, ...] = (1.0,),
    banks: tuple[int, ...] = (),
) -> Path:
    """A SoundFont 2.01 whose presets all play one looped tone of 441 Hz with the given strengths of harmonics.

    Args:
        banks: one for each program; all in bank 0 by default.
    """
    rate, period, periods = 22050, 50, 40
    phase = 2 * np.pi * np.arange(period * periods) / period
    tone = sum(strength * np.sin((n + 1) * phase) for n, strength in enumerate(harmonics)) / sum(harmonics)
    length = len(tone)
    samples = (tone * 20000).astype("<i2").tobytes() + bytes(2 * 46)

    def name(text: str) -> bytes:
        return text.encode().ljust(20, b"\0")

    presets = [
        name(f"program {program}") + struct.pack("<HHHIII", program, bank, index, 0, 0, 0)
        for index, (program, bank) in enumerate(zip(programs, banks or (0,) * len(programs), strict=True))
    ]
    presets.append(name("EOP") + struct.pack("<HHHIII", 0, 0, len(programs), 0, 0, 0))
    preset_zones = b"".join(struct.pack("<HH", index, 0) for index in range(len(programs) + 1))
    plays_instrument = struct.pack("<HH", 41, 0) * len(programs)
    # Release of 2 ** (-3000 / 1200) s, loop while the key is held, sample 0: generator numbers of section 8.1.2.
    generators = struct.pack("<Hh", 38, -3000) + struct.pack("<HH", 54, 1) + struct.pack("<HH", 53, 0)
    loop = (period, length - period)
    headers = name("tone") + struct.pack("<IIIIIBbHH", 0, length, *loop, rate, 69, -4, 0, 1)  # 441 Hz is 4 cents sharp
    records = {
        b"phdr": b"".join(presets),
        b"pbag": preset_zones,
        b"pmod": bytes(10),
        b"pgen": plays_instrument + bytes(4),
        b"inst": name("tone") + struct.pack("<H", 0) + name("EOI") + struct.pack("<H", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, 3, 0),
        b"imod": bytes(10),
        b"igen": generators + bytes(4),
        b"shdr": headers + name("EOS") + bytes(26),
    }
    info = chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0") + chunk(b"INAM", b"tiny\0\0")
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info)
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", samples))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(key, value) for key, value in records.items()))
    path.write_bytes(chunk(b"RIFF", body))
    return path


def write_midi(path: Path, pitches: list[int], step_s: float = 0.2) -> Path:
    """A MIDI file of one line of notes of equal length at 120 beats a minute."""
    score = symusic.Score(480)
    track = symusic.Track(program=0, is_drum=False, name="line")
    ticks = round(step_s * 960)
    for index, pitch in enumerate(pitches):
        track.notes.append(symusic.Note(index * ticks, ticks, pitch, 70 + index % 30))
    score.tracks.append(track)
    score.dump_midi(str(path))
    return path


@pytest.fixture(scope="session")
def soundfonts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three soundfonts with all instruments; skips where nothing can play them."""
    folder = tmp_path_factory.mktemp("soundfonts")
    made = tuple(
        write_soundfont(folder / f"{stem}.sf2", harmonics=harmonics)
        for stem, harmonics in (("Pure", (1.0,)), ("Rich", (1.0, 0.5, 0.3)), ("Unseen", (1.0, 0.0, 0.6)))
    )
    try:
        open_synthesizer(made[0], 22050)
    except SynthesisError as error:
        pytest.skip(str(error))
    return made


@pytest.fixture(scope="session")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five short scores, at least one for each split."""
    folder = tmp_path_factory.mktemp("scores")
    wanted = ["test", "validation", "train", "train", "train"]
    for number in range(1000):
        split = piece_split(f"{folder.name}/./piece_{number}.mid")
        if split in wanted:
            wanted.remove(split)
            rng = np.random.default_rng(number)
            write_midi(folder / f"piece_{number}.mid", (64 + rng.integers(0, 12, 40)).tolist())
    assert not wanted
    return folder


@pytest.fixture
def tiny_autoencoder(tmp_path: Path) -> Path:
    """Folder of an untrained autoencoder whose clips have latents of 3 x 32 x 8."""
    torch.manual_seed(0)
    model = MelAutoencoder(block_out_channels=(16, 16), layers_per_block=1, latent_channels=3)
    model.save_pretrained(tmp_path / "autoencoder")
    return tmp_path / "autoencoder"


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mel cache of six pairs of 64 frames: bands of sound over silence, the same in both clips of a pair but for
    their height."""
    folder = tmp_path_factory.mktemp("cache")
    mel = MelConfig()
    rows = [
        Row(f"{group}_{voice[:2]}.flac", group, split, True, voice.split("/")[0], voice, "target", 64)
        for group, split in enumerate(["train"] * 4 + ["validation", "test"])
        for voice in ("piano/Pure-0", "violin/Pure-40")
    ]
    mels = create_cache(folder, rows, mel)
    rng = np.random.default_rng(0)
    mels[:] = mel.log_floor
    for number, row in enumerate(rows):
        band = 40 + 20 * row.group + 5 * (row.instrument == "violin")
        mels[number, band : band + 12] = rng.normal(-2, 0.3, (12, 64))
    mels.flush()
    finish_cache(folder)
    return folder


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ClipGroup]]:
    """A data set of tones in its folder, and its groups."""
    from tests.tiny_dataset import write_dataset

    folder = tmp_path_factory.mktemp("dataset")
    return folder, write_dataset(folder)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a page around a tiny pipeline is served."""
    from stylediff.page.layout import build_page  # slow to import, and few tests need it
    from tests.tiny import tiny_pipeline

    page, options = build_page(tiny_pipeline(), ROOT / "README.md", sorted((ROOT / "examples").glob("*.flac")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    yield f"http://127.0.0.1:{port}/"
    page.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file with a tone of 1.4 s."""
    from tests.tiny import write_tone

    return write_tone(tmp_path / "clip.wav")


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page; afterwards nobody may have asked for anything outside, and no script may have failed."""
    contexts, outside, failures = [], [], []

    def open_page(query: str = "", **options):
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 1000}, "accept_downloads": True} | options,
            permissions=["microphone", "clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        visitor = context.new_page()
        visitor.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or outside.append(r.url))
        visitor.on("pageerror", lambda error: failures.append(str(error)))
        visitor.goto(address + query, wait_until="domcontentloaded")
        visitor.wait_for_selector("#go")
        return visitor

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []
    assert failures == []
