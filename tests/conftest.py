"""Shared fixtures: tiny but real soundfonts, scores and caches, made here."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.helpers.files import ROOT, write_midi, write_soundfont

if TYPE_CHECKING:
    from train.data.manifest import ClipGroup

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread for each of the processes, which otherwise wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Processes that compile the same function at once leave a cache that crashes all later ones.
    os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".pytest_cache" / f"numba_{os.environ['PYTEST_XDIST_WORKER']}")
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="gradio_")  # pages delete old files in theirs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def pytest_configure(config: pytest.Config) -> None:
    """Import the slow libraries where tests run, but not where they are only handed out to other processes."""
    if config.getoption("dist", "no") != "no":
        return
    import torch

    from stylediff.lazy_imports import without_compiler

    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
    with without_compiler():  # the tests start 3 s earlier
        import stylediff.autoencoder  # noqa: F401


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Let each test choose its precision; accelerate keeps the first one of a process."""
    yield
    if "accelerate" in sys.modules:
        sys.modules["accelerate"].state.AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def soundfonts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three soundfonts with all instruments."""
    folder = tmp_path_factory.mktemp("soundfonts")
    return tuple(
        write_soundfont(folder / f"{stem}.sf2", harmonics=harmonics)
        for stem, harmonics in (("Pure", (1.0,)), ("Rich", (1.0, 0.5, 0.3)), ("Unseen", (1.0, 0.0, 0.6)))
    )


@pytest.fixture(scope="session")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of five short scores, at least one for each split."""
    from train.data.manifest import piece_split

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
    import torch

    from stylediff.autoencoder import MelAutoencoder

    torch.manual_seed(0)
    model = MelAutoencoder(block_out_channels=(16, 16), layers_per_block=1, latent_channels=3)
    model.save_pretrained(tmp_path / "autoencoder")
    return tmp_path / "autoencoder"


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mel cache of six pairs of 64 frames: bands of sound over silence, at different heights in the clips of a
    pair."""
    from stylediff.mel import MelConfig
    from tests.helpers.tiny_dataset import cached_clip
    from train.data.mel_cache import create_cache, finish_cache

    folder = tmp_path_factory.mktemp("cache")
    mel = MelConfig()
    rows = [
        cached_clip(group, voice, 64, file=f"{group}_{voice[:2]}.flac", split=split)
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
def dataset(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, list[ClipGroup]]":
    """A data set of tones in its folder, and its groups."""
    from tests.helpers.tiny_dataset import write_dataset

    folder = tmp_path_factory.mktemp("dataset")
    return folder, write_dataset(folder)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Address of a page with a tiny pipeline."""
    from stylediff.page.layout import build_page  # slow to import, and needed by few tests
    from tests.helpers.tiny_pipeline import tiny_pipeline

    page, options = build_page(tiny_pipeline(), sorted((ROOT / "examples").glob("*.flac")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options)
    yield f"http://127.0.0.1:{port}/"
    page.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file with a tone of 1.4 s."""
    from tests.helpers.tiny_pipeline import write_tone

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
    """Open the page; requests to other servers and script errors fail the test."""
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
        visitor.on("dialog", lambda dialog: dialog.accept())
        visitor.wait_for_selector("#player .ab:not([hidden])")
        return visitor

    yield open_page
    for context in contexts:
        context.close()
    assert outside == []
    assert failures == []
