import av
import numpy as np
import pytest
import soundfile
import torch

from stylediff.audio import (
    PEAK_LIMIT,
    TARGET_RMS,
    AudioError,
    at_level,
    fit_length,
    loudness_gain,
    read_audio,
    read_part,
    to_mono,
    write_audio,
)


def tone(hz, seconds=1.0, sample_rate=22050, amplitude=0.5):
    return amplitude * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * sample_rate)) / sample_rate)


def test_audio_is_read_back_with_16_bits(tmp_path):
    stereo = torch.stack([tone(440), tone(660)])
    write_audio(tmp_path / "clip.flac", stereo, 22050)
    samples, sample_rate = read_audio(tmp_path / "clip.flac")
    assert sample_rate == 22050
    assert samples.shape == (2, 22050)
    assert np.abs(samples - stereo.numpy()).max() < 2**-15


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_quiet_take_keeps_its_detail_with_24_bits(tmp_path, ending):
    quiet = 1e-3 * tone(440)  # -60 dBFS
    errors = []
    for bits in (16, 24):
        write_audio(tmp_path / f"{bits}.{ending}", quiet, 22050, bits)
        errors.append(float(np.abs(read_audio(tmp_path / f"{bits}.{ending}")[0] - quiet.numpy()).max()))
    assert errors[0] > 100 * errors[1]
    assert errors[1] < 2e-7


def test_loud_samples_are_clipped_when_written(tmp_path):
    write_audio(tmp_path / "clip.wav", torch.full((22050,), 3.0), 22050)
    samples, _ = read_audio(tmp_path / "clip.wav")
    assert samples.min() == samples.max() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("clip.xyz", r"cannot write clip\.xyz: name it \.wav or \.flac"),
        ("clip", r"cannot write clip: name it \.wav or \.flac"),
        ("nowhere/clip.wav", r"cannot write clip\.wav: no such folder: .*nowhere"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(tmp_path, name, sentence):
    with pytest.raises(AudioError, match=sentence):
        write_audio(tmp_path / name, tone(440), 22050)


def test_a_write_that_the_system_refuses_is_an_os_error(tmp_path):
    (tmp_path / "clip.wav").mkdir()
    with pytest.raises(OSError, match=r"cannot write clip\.wav: the disk may be full"):
        write_audio(tmp_path / "clip.wav", tone(440), 22050)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"no such file: gone\.wav"):
        read_audio(tmp_path / "gone.wav")


def test_a_file_that_is_not_audio_is_refused(tmp_path):
    (tmp_path / "notes.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"notes\.wav is not audio that can be read"):
        read_audio(tmp_path / "notes.wav")


def test_samples_without_a_header_are_refused(tmp_path):
    (tmp_path / "samples.raw").write_bytes(bytes(4000))
    with pytest.raises(AudioError, match=r"samples\.raw is not audio that can be read"):
        read_audio(tmp_path / "samples.raw")


def test_a_file_without_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 22050)
    with pytest.raises(AudioError, match=r"empty\.wav holds no samples"):
        read_audio(tmp_path / "empty.wav")


def test_stereo_at_8_khz_becomes_mono_with_the_same_pitch():
    stereo = torch.stack([tone(440, sample_rate=8000), tone(440, sample_rate=8000)])
    mono = to_mono(stereo, 8000, 22050)
    assert mono.shape == (22050,)
    assert int(torch.fft.rfft(mono).abs().argmax()) == 440
    assert float(mono.square().mean().sqrt()) == pytest.approx(0.5 / 2**0.5, rel=0.01)


def test_resampling_there_and_back_changes_little():
    original = tone(440)
    back = to_mono(to_mono(original, 22050, 48000), 48000, 22050)
    assert back.shape == original.shape
    assert float((back - original)[500:-500].abs().max()) < 1e-3


@pytest.mark.parametrize(
    ("waveform", "complaint"),
    [
        (torch.zeros(4410), r"clip is 0\.20 s; at least 0\.5 s is needed"),
        (torch.zeros(1), r"clip is 0\.00 s"),
        (torch.full((22050,), float("nan")), "not finite"),
        (torch.full((22050,), float("inf")), "not finite"),
        (torch.full((22050,), 1000, dtype=torch.int16), r"floating-point samples in \[-1, 1\], got torch.int16"),
        (torch.zeros(2, 2, 22050), r"got \(2, 2, 22050\)"),
    ],
)
def test_unusable_waveforms_are_refused_with_a_reason(waveform, complaint):
    with pytest.raises(AudioError, match=complaint):
        to_mono(waveform, 22050, 22050)


def test_length_is_cut_or_padded_at_the_end():
    assert fit_length(torch.arange(5), 3).tolist() == [0, 1, 2]
    assert fit_length(torch.arange(3), 5).tolist() == [0, 1, 2, 0, 0]


def test_gain_brings_any_level_to_the_target():
    for amplitude in (0.001, 0.1, 0.9):
        waveform = tone(440, amplitude=amplitude)
        rms = float((waveform * loudness_gain(waveform)).square().mean().sqrt())
        assert rms == pytest.approx(TARGET_RMS, rel=0.03)


def test_rests_do_not_change_the_gain():
    waveform = tone(440)
    with_rest = torch.cat([waveform, torch.zeros(44100)])
    assert loudness_gain(with_rest) == pytest.approx(loudness_gain(waveform), rel=0.05)


def test_gain_clips_no_peak_but_of_a_click():
    waveform = tone(440, amplitude=0.01)
    waveform[5000:9000] *= 80
    assert float((waveform * loudness_gain(waveform)).abs().max()) <= PEAK_LIMIT + 1e-6


def test_audio_that_would_clip_becomes_quieter_as_a_whole():
    waveform = tone(440, amplitude=0.4)
    waveform[1000] = 0.9
    levelled = at_level(waveform, 0.5, 22050, 22050, 22050)
    torch.testing.assert_close(levelled, waveform * (PEAK_LIMIT / 0.9))
    torch.testing.assert_close(at_level(waveform, 1.0, 22050, 22050, 22050), waveform)
    assert not at_level(torch.zeros(100), 1.0, 22050, 22050, 100).any()


def test_silence_keeps_its_level():
    assert loudness_gain(torch.zeros(22050)) == 1.0


@pytest.mark.parametrize(("ending", "codec"), [("m4a", "aac"), ("webm", "libopus")])
def test_formats_unknown_to_libsndfile_are_read(tmp_path, ending, codec):
    path = tmp_path / f"tone.{ending}"
    tone = (0.3 * np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 48000
        fifo = av.AudioFifo()
        fifo.write(frame)
        while (piece := fifo.read(960, partial=True)) is not None:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    everything, _ = read_audio(path)
    assert everything.shape == (1, pytest.approx(48000, abs=2400))
    samples, sample_rate, whole = read_part(path, 0.25, 0.5)
    np.testing.assert_array_equal(samples, everything[:, 12000:36000])
    assert sample_rate == 48000
    assert samples.shape == (1, 24000)
    assert whole == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.fft.rfft(samples[0])).argmax() == pytest.approx(220, abs=1)  # bins of 2 Hz
