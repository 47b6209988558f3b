"""Find steady noise and losses of codecs, and subtract hum."""

from dataclasses import dataclass

import numpy as np

MAINS_HZ = (50.0, 60.0)
DRIFT_HZ = 0.25  # how far the mains may be off
HUM_PARTIALS = 16
HUM_BLOCK_S = 4.0
HUM_DB = 16.0  # of a partial over the spectrum around it
FEWEST_PARTIALS = 3
HUM_SHARE = 0.6  # of the blocks in which a partial must stand out

HISS_FRAME_S = 0.046
QUIET_SHARE = 0.1  # of the frames, whose level is the noise's
QUIET_BIAS = 1.6  # of the mean power of noise over that of its quietest tenth, after smoothing
HISS_BAND_HZ = (2000, 10000)
HISS_SNR_DB = 42.0  # of the whole over its noise; above, nothing is removed
HISS_FLATNESS = 0.6  # of the quietest frames; tones have less

CUTOFF_HZ = (1800, 10_300)  # where a codec's cutoff is looked for
CUTOFF_DB = 28.0  # by which the level falls there; that of music mostly falls by less than 10
CUTOFF_WIDTH_HZ = 250
CUTOFF_RANGE_DB = 150.0  # below the loudest bin, levels count as equal


@dataclass(frozen=True)
class Noise:
    """Steady noise of a recording, and what a codec left.

    Attributes:
        hum_hz: frequency of the mains, or None.
        snr_db: sound over hiss, or None where no hiss was found.
        cutoff_hz: frequency above which a codec left nothing, or None.
    """

    hum_hz: float | None
    snr_db: float | None
    cutoff_hz: float | None = None

    def describe(self) -> str:
        hum = "" if self.hum_hz is None else f"hum at {self.hum_hz:.1f} Hz"
        hiss = "" if self.snr_db is None else f"hiss {self.snr_db:.0f} dB below the sound"
        cutoff = "" if self.cutoff_hz is None else f"nothing above {self.cutoff_hz / 1000:.1f} kHz"
        return ", ".join(filter(None, (hum, hiss, cutoff))) or "no steady noise"


def spectrogram(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Spectra (..., bins, frames) of (..., samples).

    There is a frame for each quarter of ``frame_length``.
    """
    import librosa

    return librosa.stft(samples, n_fft=frame_length(sample_rate))


def frame_length(sample_rate: int) -> int:
    """Length of a frame in samples, a power of two."""
    return 2 ** round(np.log2(HISS_FRAME_S * sample_rate))


def noise_power(power: np.ndarray) -> np.ndarray:
    """Power of the steady noise in each bin, (bins, 1).

    It is that of the quietest frames.
    """
    import scipy.ndimage

    smooth = scipy.ndimage.uniform_filter1d(power, 9, axis=1, mode="nearest")
    return QUIET_BIAS * np.quantile(smooth, QUIET_SHARE, axis=1, keepdims=True)


def find_hiss(mono: np.ndarray, sample_rate: int) -> float | None:
    """Decibels by which sound exceeds hiss, or None without hiss."""
    power = np.abs(spectrogram(mono, sample_rate)) ** 2
    if power.shape[1] < 20 or not power.any():
        return None
    noise = noise_power(power)[:, 0]
    hz = np.fft.rfftfreq(frame_length(sample_rate), 1 / sample_rate)
    band = noise[(hz >= HISS_BAND_HZ[0]) & (hz <= min(HISS_BAND_HZ[1], 0.45 * sample_rate))] + 1e-16
    flatness = np.exp(np.log(band).mean()) / band.mean()
    snr_db = 10 * np.log10(power.mean() / max(noise.mean(), 1e-16))
    return float(snr_db) if flatness > HISS_FLATNESS and snr_db < HISS_SNR_DB else None


def find_cutoff(mono: np.ndarray, sample_rate: int) -> float | None:
    """Frequency in Hz above which a codec left nothing, or None."""
    power = np.abs(spectrogram(mono, sample_rate)) ** 2
    loudness = power.sum(0)
    power = power[:, loudness > 1e-4 * loudness.max()]
    if power.shape[1] < 20:
        return None
    levels = 10 * np.log10(np.maximum(power / power.max(), 10 ** (-CUTOFF_RANGE_DB / 10))).mean(1)
    hz = np.fft.rfftfreq(frame_length(sample_rate), 1 / sample_rate)
    width = round(CUTOFF_WIDTH_HZ / hz[1])
    totals = np.concatenate([[0], np.cumsum(levels)])
    means = (totals[width:] - totals[:-width]) / width  # of each bin and those after it
    places = np.arange(width, len(means) - width)
    places = places[(hz[places] >= CUTOFF_HZ[0]) & (hz[places] <= min(CUTOFF_HZ[1], 0.45 * sample_rate))]
    if not len(places):
        return None
    falls = means[places - width] - means[places + width // 2]
    best = int(places[falls.argmax()])
    above = levels[best + width // 2 :].mean()
    is_empty = falls.max() > CUTOFF_DB and means[best - width] - above > CUTOFF_DB
    return float(hz[best]) if is_empty else None


def find_hum(mono: np.ndarray, sample_rate: int) -> float | None:
    """Return the frequency of mains hum in Hz, or None without hum.

    Partials of the mains must stand out of the spectrum around them, in most blocks of a few seconds.
    """
    length = min(len(mono), round(HUM_BLOCK_S * sample_rate))
    if length < sample_rate:
        return None
    blocks = [mono[start : start + length] for start in range(0, len(mono) - length + 1, length)]
    window = np.hanning(length)
    spectra = np.array([np.abs(np.fft.rfft(block * window)) ** 2 for block in blocks]) + 1e-14
    per_hz = length / sample_rate
    best = (0, 0.0, 0.0)
    for mains in MAINS_HZ:
        for hz in mains + np.arange(-DRIFT_HZ, DRIFT_HZ + 0.01, 0.05):
            places = hz * per_hz * np.arange(1, HUM_PARTIALS + 1)
            if prominence(spectra, places[0], per_hz) <= HUM_DB:
                continue  # music seldom has the mains itself
            heights = [height for place in places if (height := prominence(spectra, place, per_hz)) > HUM_DB]
            best = max(best, (len(heights), float(np.sum(heights)), float(hz)))
    return tune_hum(blocks, sample_rate, best[2]) if best[0] >= FEWEST_PARTIALS else None


def prominence(spectra: np.ndarray, place: float, per_hz: float) -> float:
    """Decibels by which a partial stands out in most blocks, (blocks, bins)."""
    centre, near, far = round(place), max(1, round(0.3 * per_hz)), round(8 * per_hz)
    if centre + far >= spectra.shape[1]:
        return 0.0
    peak = spectra[:, centre - 1 : centre + 2].max(1)
    sides = np.concatenate(
        [spectra[:, max(0, centre - far) : centre - near - 1], spectra[:, centre + near + 2 : centre + far]], axis=1
    )
    return float(np.quantile(10 * np.log10(peak / np.median(sides, axis=1)), 1 - HUM_SHARE))


def tune_hum(blocks: list[np.ndarray], sample_rate: int, near_hz: float) -> float:
    """Frequency near a coarse one whose partials hold most energy."""
    time_s = np.arange(len(blocks[0])) / sample_rate
    window = np.hanning(len(blocks[0]))

    def energy(hz: float) -> float:
        waves = np.exp(-2j * np.pi * hz * np.outer(np.arange(1, FEWEST_PARTIALS + 1), time_s)) * window
        return float(sum(np.sum(np.abs(waves @ block) ** 2) for block in blocks))

    return max((near_hz + shift for shift in np.arange(-0.12, 0.121, 0.01)), key=energy)


def subtract_hum(samples: np.ndarray, sample_rate: int, hum_hz: float) -> np.ndarray:
    """Hum in (samples,), fitted to blocks that overlap by half."""
    length = min(len(samples), round(HUM_BLOCK_S * sample_rate))
    total, weight = np.zeros(len(samples)), np.zeros(len(samples))
    window = np.hanning(length) + 1e-6
    partials = hum_hz * np.arange(1, HUM_PARTIALS + 1)
    partials = partials[partials < 0.45 * sample_rate]
    phases = 2 * np.pi * np.outer(np.arange(length) / sample_rate, partials)
    waves = np.concatenate([np.cos(phases), np.sin(phases)], axis=1)
    solve = np.linalg.pinv(waves * window[:, None]) if length else waves
    starts = [*range(0, len(samples) - length, max(1, length // 2)), len(samples) - length]
    for start in starts:
        part = samples[start : start + length]
        total[start : start + length] += window * (waves @ (solve @ (part * window)))
        weight[start : start + length] += window
    return total / weight


def find_noise(waveform: np.ndarray, sample_rate: int) -> Noise:
    """Find steady noise and losses of codecs in (channels, samples)."""
    mono = waveform.mean(0)
    hum = find_hum(mono, sample_rate)
    rest = mono if hum is None else mono - subtract_hum(mono, sample_rate, hum)
    return Noise(hum, find_hiss(rest, sample_rate), find_cutoff(rest, sample_rate))
