"""The player and the buttons in browsers that lack something."""

import io
import re

import httpx
import numpy as np
import pytest
import soundfile

from tests.helpers.tiny_pipeline import TONE_RATE, write_tone
from tests.helpers.visitors import upload, wait_until_done

# iOS ignores a volume that is set. The sound that leaves a gain node is measured.
FIXED_VOLUME = """
Object.defineProperty(HTMLMediaElement.prototype, "volume", { get: () => 1, set() {} });
const make = BaseAudioContext.prototype.createGain;
window.gains = [];
BaseAudioContext.prototype.createGain = function () {
  const gain = make.call(this), meter = this.createAnalyser();
  gain.connect(meter);
  gains.push({ gain, meter });
  return gain;
};
"""
LOUDEST = """(place) => {
  const samples = new Float32Array(2048);
  gains[place].meter.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
}"""


def without(visitor, script: str) -> None:
    """Load the page again after a script."""
    visitor.add_init_script(script)
    visitor.reload()
    visitor.wait_for_selector("#go")


@pytest.mark.browser
def test_loudness_is_matched_where_the_volume_is_fixed(visit, tmp_path):
    visitor = visit("?steps=1")
    without(visitor, FIXED_VOLUME)
    upload(visitor, write_tone(tmp_path / "clip.wav", 8 * TONE_RATE))
    visitor.click("#go")
    wait_until_done(visitor)
    gain_db = float(visitor.get_attribute("#player .ab", "data-gain-db"))
    assert abs(gain_db) > 0.5
    visitor.click("#player .ab-play")
    visitor.wait_for_function("gains.length === 2")
    values = visitor.evaluate("gains.map(({ gain }) => gain.gain.value)")
    assert max(values) == 1
    assert min(values) == pytest.approx(10 ** (-abs(gain_db) / 20), rel=0.01)
    visitor.click("#player .ab-side[data-side=a]")
    visitor.wait_for_function(f"({LOUDEST})(0) > 0.01")
    assert visitor.evaluate(LOUDEST, 0) == pytest.approx(0.3 * values[0], rel=0.1)
    visitor.uncheck("#player .ab-level")
    visitor.wait_for_function("gains.every(({ gain }) => gain.gain.value === 1)")


@pytest.mark.browser
def test_a_link_is_copied_without_https(visit):
    visitor = visit("?target=cello")
    script = """
Object.defineProperty(navigator, "clipboard", { get: () => undefined });
addEventListener("copy", () => { window.copied = getSelection().toString(); });
"""
    without(visitor, script)
    visitor.click("#advanced button")
    visitor.click("#link")
    visitor.wait_for_selector("text=Link copied.")
    assert "target=cello" in visitor.evaluate("window.copied")


@pytest.mark.browser
def test_a_page_without_a_microphone_says_why(visit):
    visitor = visit()
    assert not visitor.is_visible("#no_microphone")
    without(visitor, 'Object.defineProperty(navigator, "mediaDevices", { get: () => undefined });')
    assert "needs a page with HTTPS" in visitor.inner_text("#no_microphone")


@pytest.mark.browser
def test_the_part_that_will_be_converted_is_said_before(visit, tmp_path):
    visitor = visit()
    upload(visitor, write_tone(tmp_path / "long.wav", 45 * TONE_RATE))
    visitor.wait_for_selector("text=10.0 of 45.0 s will be converted, from second 0.0.")
    visitor.get_by_role("button", name="Part of the clip").click()
    visitor.fill("#length input[type=number]", "60")
    visitor.press("#length input[type=number]", "Tab")
    visitor.wait_for_function("document.querySelector('#part_used').innerText.trim() === ''")


@pytest.mark.browser
def test_a_clip_cut_on_its_waveform_keeps_its_pitch_and_channels(visit, tmp_path):
    visitor = visit("?steps=1&length_s=30")
    upload(visitor, write_tone(tmp_path / "long.wav", 8 * 48_000, 48_000, channels=2))
    visitor.click("#source button[aria-label='Trim audio to selection']")
    visitor.wait_for_selector("#source [part~=region]")
    visitor.wait_for_timeout(500)  # until the region has its width
    visitor.click("#source button:has-text('Trim')")
    visitor.wait_for_function("document.querySelector('#source').innerText.includes('0:02')")
    visitor.wait_for_timeout(1000)  # until the part is uploaded
    visitor.click("#go")
    wait_until_done(visitor)
    facts = visitor.inner_text("#facts").splitlines()[0]  # with the browser's rate
    assert re.fullmatch(r"[\d.]+ kHz stereo → 22.05 kHz mono, seconds 0.0–2.0 \(whole clip\)", facts)
    part = httpx.get(visitor.evaluate("document.querySelector('#player .ab-a').src")).content
    samples, rate = soundfile.read(io.BytesIO(part))
    loudest = np.abs(np.fft.rfft(samples[:, 0])).argmax()
    assert loudest * rate / len(samples) == pytest.approx(440, abs=1)
