import gc
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from stylediff.page.conversions import convert
from stylediff.page.result_files import write_files
from stylediff.page.settings import Choices
from stylediff.page.uploads import load_clip
from tests.helpers.tiny_pipeline import tiny_pipeline
from train.evaluation.costs import STATUS

CONVERSIONS, ALLOWED_MIB = 40, 10


def resident_mib() -> float:
    gc.collect()
    return next(int(line.split()[1]) / 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))


def growth_mib(clip: Path, scratch: Path) -> float:
    """Growth of a process's memory from a quarter of the conversions to the end."""
    tempfile.tempdir = str(scratch)
    pipeline = tiny_pipeline()
    before = 0.0
    for number in range(CONVERSIONS):
        taken, choices = load_clip(clip, 0.0, 10.0), Choices(steps=2, seed=number).resolve({})
        *_, output = convert(pipeline, taken, choices, previews=1)
        write_files(taken, output.audio, output.sample_rate, choices, output.voice)
        if number == CONVERSIONS // 4:
            before = resident_mib()
    return resident_mib() - before


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.is_file(), reason="this system does not report the memory in use")
def test_conversions_leave_no_memory_behind(clip, tmp_path):
    # In a separate process, because threads and freed memory of other tests would count.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
        assert own.submit(growth_mib, clip, tmp_path).result() < ALLOWED_MIB
