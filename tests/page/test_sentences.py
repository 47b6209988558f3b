"""Sentences about repairs and ringtones, in the visitor's language."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stylediff.damage import BURST, CLICK, CLIPPED, DROPOUT, Damage
from stylediff.denoising import Noise
from stylediff.page.sentences import MOST_SHOWN, describe_repair, describe_tone
from stylediff.page.translations import load_texts
from stylediff.repair import GAP, Repair, RepairSettings
from stylediff.ringtone import Ringtone, RingtoneSettings

ENGLISH, GERMAN = load_texts()["en"], load_texts()["de"]


def repaired(damages: list[Damage], noise: Noise | None = None) -> Repair:
    return Repair(torch.zeros(1, 100), 22050, damages, noise, RepairSettings())


def test_parts_are_counted_and_listed():
    result = repaired([Damage(1.0, 1.5, DROPOUT), Damage(2.0, 2.25, GAP), Damage(3.0, 3.25, GAP)])
    head, _, *parts = describe_repair(result, ENGLISH).splitlines()
    assert head == "Filled 1.000 s: 1 × dropout, 2 × gap."
    assert parts[0] == "- dropout 1.000–1.500 s"
    assert len(parts) == 3
    assert describe_repair(result, GERMAN).startswith("1.000 s gefüllt: 1 × Aussetzer, 2 × Lücke.")


def test_a_long_list_is_cut():
    result = repaired([Damage(n, n + 0.001, CLICK) for n in range(MOST_SHOWN + 3)])
    lines = describe_repair(result, ENGLISH).splitlines()
    assert lines[-1] == "- 3 more"
    assert len(lines) == MOST_SHOWN + 3


@pytest.mark.parametrize("kind", [DROPOUT, CLICK, CLIPPED, BURST, GAP])
def test_every_kind_has_a_name_in_every_language(kind):
    for words in load_texts().values():
        assert f"1 × {words[f'repair_{kind}']}" in describe_repair(repaired([Damage(0, 1, kind)]), words)


@pytest.mark.parametrize(
    ("noise", "sentence"),
    [
        (None, "No damaged part."),
        (Noise(None, None), "No damaged part. No steady noise."),
        (Noise(50.02, 31.4), "No damaged part. Hum at 50.0 Hz. Hiss 31 dB below the sound."),
        (Noise(None, None, 5540.0), "No damaged part. Nothing above 5.5 kHz: a codec removed it."),
    ],
)
def test_noise_is_described_if_it_was_looked_for(noise, sentence):
    assert describe_repair(repaired([], noise), ENGLISH).strip() == sentence


@pytest.mark.parametrize(
    ("bars", "loop", "is_mix", "expected"),
    [
        (8, True, False, "(8 bars at 120 beats a minute). 1.00 s, -9.5 LUFS. It is a loop."),
        (0, False, False, "(no beat found). 1.00 s, -9.5 LUFS."),
        (0, False, True, f"(no beat found). 1.00 s, -9.5 LUFS.\n\n{ENGLISH['is_mix']}"),
    ],
)
def test_a_ringtone_is_described(bars, loop, is_mix, expected):
    phrase = SimpleNamespace(start_s=4.0, end_s=20.0, bars=bars, tempo=120.2)
    tone = Ringtone(np.zeros((1, 44100)), 44100, phrase, -9.53, RingtoneSettings(loop=loop), is_mix)
    assert describe_tone(tone, ENGLISH) == f"Seconds 4.00–20.00 of the piece {expected}"
