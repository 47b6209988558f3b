"""Uploads of all formats, and of files that are not audio."""

import av
import numpy as np
import pytest
import soundfile

from tests.helpers.tiny_pipeline import TONE_RATE, write_tone
from tests.helpers.visitors import choose_steps, clear_clip, facts_of, upload, wait_until_done

ENCODED = {"m4a": "aac", "webm": "libopus"}  # written by PyAV; libsndfile writes the others


def write_encoded(path, codec: str) -> None:
    """A tone of 1.4 s in a container that libsndfile does not support."""
    rate = 48000
    tone = (0.3 * np.sin(np.arange(int(1.4 * rate)) * 2 * np.pi * 440 / rate)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.rate = rate
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size)
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        for packet in (packet for piece in [*pieces, None] for packet in stream.encode(piece)):
            container.mux(packet)


def write_kind(folder, ending: str):
    """A tone of 1.4 s in a format, with an unusual name."""
    path = folder / f"ünusual 'näme'.{ending}"
    if ending in ENCODED:
        write_encoded(path, ENCODED[ending])
    elif ending == "opus":
        wave = 0.3 * np.sin(np.arange(67200) * 2 * np.pi * 440 / 48000)
        soundfile.write(path, wave, 48000, format="OGG", subtype="OPUS")
    else:
        write_tone(path)
    return path


def convert_next(visitor, path) -> str:
    """Convert another clip on an open page; return the facts."""
    takes = visitor.locator("#player .ab-takes button")
    before = takes.count()
    upload(visitor, path)
    visitor.click("#go")
    takes.nth(before).wait_for(timeout=60_000)
    wait_until_done(visitor)
    return facts_of(visitor)


@pytest.mark.browser
def test_formats_rates_and_numbers_of_channels_are_accepted(visit, tmp_path):
    visitor = visit("?steps=1")
    for ending in ("flac", "mp3", "m4a", "webm"):  # others are read in tests/stylediff/test_decoding.py
        facts = convert_next(visitor, write_kind(tmp_path, ending))
        assert "Converts 0:00–0:01 of 0:01" in facts, ending
        assert "kHz mono → 22.05 kHz mono" in facts, ending
    for rate, channels, kind in (
        (44100, 2, "44.1 kHz stereo"),
        (8000, 6, "8 kHz 6 channels"),
    ):
        facts = convert_next(visitor, write_tone(tmp_path / f"{rate}.wav", rate, rate, channels))
        assert f"{kind} → 22.05 kHz mono" in facts


def write_samples(path, samples, rate=TONE_RATE):
    soundfile.write(path, samples, rate, subtype="FLOAT")


NOT_AUDIO = {
    "words.wav": (b"these are not samples", "is not audio that can be read"),
    "empty.wav": (b"", "is not audio that can be read"),
    "picture.mp3": (b"\x89PNG\r\n\x1a\n" + bytes(500), "is not audio that can be read"),
    "short.wav": (np.full(4410, 0.1), "at least 0.5 s is needed"),
    "nan.wav": (np.full(TONE_RATE, np.nan), "not finite numbers"),
}


@pytest.mark.browser
def test_files_that_are_not_audio_are_reported_and_the_page_keeps_working(visit, clip, tmp_path):
    visitor = visit("?steps=1")
    clear_clip(visitor)
    for name, (content, sentence) in NOT_AUDIO.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_samples(path, content)
        visitor.set_input_files("#source input[type=file]", str(path))
        visitor.wait_for_selector("#source button[aria-label=Clear]")
        visitor.click("#go")
        visitor.wait_for_selector(".toast-body")
        said = visitor.inner_text(".toast-body")
        assert sentence in said, name
        assert str(tmp_path) not in said
        visitor.click(".toast-close")
        visitor.wait_for_selector(".toast-body", state="detached")
        visitor.click("#source button[aria-label=Clear]")
        visitor.wait_for_selector("#source input[type=file]", state="attached")
    upload(visitor, clip)
    visitor.click("#go")
    wait_until_done(visitor)


@pytest.mark.browser
def test_a_file_over_the_limit_is_refused_before_it_is_read(visit, tmp_path):
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(220 * 2**20)
    visitor = visit()
    clear_clip(visitor)
    visitor.set_input_files("#source input[type=file]", str(path))
    visitor.wait_for_selector(".toast-body")
    assert "exceed" in visitor.inner_text(".toast-body")


@pytest.mark.browser
def test_silence_is_accepted(visit, tmp_path):
    path = tmp_path / "silence.wav"
    write_samples(path, np.zeros(TONE_RATE))
    visitor = visit("?steps=1")
    upload(visitor, path)
    visitor.click("#go")
    wait_until_done(visitor)


@pytest.mark.browser
def test_the_part_that_was_chosen_is_converted(visit, tmp_path):
    path = write_tone(tmp_path / "long.wav", 10 * TONE_RATE)
    visitor = visit("?steps=1&start_s=2&length_s=1.5")
    upload(visitor, path)
    visitor.click("#go")
    wait_until_done(visitor)
    assert "Converts 0:02–0:04 of 0:10" in facts_of(visitor)


@pytest.mark.browser
def test_a_recording_from_the_microphone_is_converted(visit):
    visitor = visit("?steps=1")
    clear_clip(visitor)
    visitor.click("#source button[aria-label='Record audio']")
    visitor.click("#source button.record-button")
    visitor.wait_for_timeout(1500)
    visitor.click("#source button.stop-button")
    visitor.wait_for_selector("#source .waveform-container")
    visitor.click("#go")
    wait_until_done(visitor)


@pytest.mark.browser
def test_two_visitors_and_one_who_leaves_do_not_disturb_each_other(visit, clip):
    first, second, leaver = (visit() for _ in range(3))
    for visitor, steps in ((leaver, 20), (first, 4), (second, 2)):
        upload(visitor, clip)
        choose_steps(visitor, steps)
    leaver.click("#go")
    leaver.wait_for_function("document.querySelector('#status').innerText.startsWith('Step')", timeout=30_000)
    first.click("#go")
    second.click("#go")
    leaver.reload(wait_until="domcontentloaded")
    leaver.wait_for_selector("#go")
    for visitor in (first, second):
        wait_until_done(visitor)
        assert visitor.locator("#player .ab-takes button").count() == 1
    leaver.wait_for_selector("#status >> text=/^(Done|Step|Making)/")  # the run of a page that is loaded again goes on
