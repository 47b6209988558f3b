import av
import mido
import numpy as np
import pytest
import soundfile
from PIL import Image

from stylediff import StyleTransferPipeline
from stylediff.__main__ import PICTURE_ENDINGS, main
from stylediff.settings import TransferSettings
from tests.helpers.files import ROOT
from tests.helpers.tiny_pipeline import tiny_pipeline, with_detector


@pytest.fixture(scope="module")
def advised_model(tmp_path_factory):
    """Folder of a model that recommends a voice and settings for one instrument."""
    folder = tmp_path_factory.mktemp("advised")
    recommended = {"harp": {"voice": "harp/Tiny-46", "steps": 1, "temperature": 0.9, "enhance": False}}
    StyleTransferPipeline(**tiny_pipeline(["harp/Tiny-46"]).components, recommended=recommended).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "my clip ü.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(30000) / 10), 22050)
    return path


def test_one_file_becomes_one_file_and_a_picture(model, clip, tmp_path, capsys):
    out, picture = tmp_path / "out.wav", tmp_path / "out.png"
    arguments = [str(clip), "--to", "violin", "-o", str(out), "--steps", "2", "--model", model]
    assert main([*arguments, "--spectrogram", str(picture)]) == 0
    assert soundfile.info(out).frames == 30000
    assert Image.open(picture).size == (118, 2 * 256 + 2)
    assert str(out) in capsys.readouterr().out


@pytest.mark.slow
def test_the_seed_decides_the_bytes(model, clip, tmp_path):
    files = []
    for number, seed in enumerate(("5", "5", "6")):
        files.append(tmp_path / f"{number}.wav")
        main([str(clip), "--to", "flute", "-o", str(files[-1]), "--steps", "1", "--seed", seed, "--model", model])
    first, again, other = (path.read_bytes() for path in files)
    assert first == again != other


@pytest.mark.slow
def test_a_room_changes_the_sound_and_its_tail_the_length(model, clip, tmp_path):
    lengths, sounds = [], set()
    for number, extra in enumerate(([], ["--room", "studio"], ["--room", "studio", "--keep-tail"])):
        out = tmp_path / f"{number}.wav"
        assert main([str(clip), "--to", "harp", "-o", str(out), "--steps", "1", "--model", model, *extra]) == 0
        lengths.append(soundfile.info(out).frames)
        sounds.add(out.read_bytes())
    assert lengths == [30000, 30000, 30000 + round(0.35 * 22050) - 1]
    assert len(sounds) == 3


def test_several_files_go_to_a_folder_and_a_bad_one_does_not_stop_the_rest(model, clip, tmp_path, capsys):
    bad = tmp_path / "notes.wav"
    bad.write_text("these are not samples")
    folder = tmp_path / "all"
    code = main([str(bad), str(clip), "--to", "harp", "--out-dir", str(folder), "--steps", "1", "--model", model])
    assert code == 2
    assert [path.name for path in folder.iterdir()] == ["my clip ü_to_harp_seed0.wav"]
    assert "notes.wav is not audio that can be read" in capsys.readouterr().err


def test_an_error_names_its_file(model, clip, tmp_path, capsys):
    soundfile.write(tmp_path / "short.wav", np.zeros(2205), 22050)
    arguments = ["--to", "harp", "--out-dir", str(tmp_path / "all"), "--steps", "1", "--model", model]
    assert main([str(tmp_path / "short.wav"), str(clip), *arguments]) == 2
    assert "error: short.wav: clip is 0.10 s; at least 0.5 s is needed" in capsys.readouterr().err


@pytest.mark.slow
def test_sources_of_the_same_name_do_not_overwrite_each_other(model, clip, tmp_path, capsys):
    folder, sources = tmp_path / "all", [clip]
    for number, name in enumerate(("a/my clip ü.wav", "a/my clip ü.flac", "other.wav"), 2):
        sources.append(tmp_path / name)
        sources[-1].parent.mkdir(exist_ok=True)
        soundfile.write(sources[-1], 0.3 * np.sin(np.arange(number * 20_000) / 10), 22050)
    arguments = [
        *map(str, sources),
        "--to",
        "harp",
        "--out-dir",
        str(folder),
        "--steps",
        "1",
        "--model",
        model,
        "--force",
    ]
    names = [f"my clip ü_to_harp_seed0{number}.wav" for number in ("", "_2", "_3")] + ["other_to_harp_seed0.wav"]
    for _ in range(2):
        assert main(arguments) == 0
        assert capsys.readouterr().out.splitlines() == [str(folder / name) for name in names]
    lengths = {path.name: soundfile.info(path).frames for path in folder.iterdir()}
    assert lengths == dict(zip(names, (30_000, 40_000, 60_000, 80_000), strict=True))


@pytest.mark.slow
def test_a_clip_of_an_instrument_can_be_the_target(model, clip, tmp_path):
    like = tmp_path / "my_flute.wav"
    soundfile.write(like, 0.3 * np.sin(np.arange(60000) / 5), 22050)
    files = {}
    for name, extra in {
        "named": ["--to", "flute"],
        "clip": ["--like", str(like)],
        "both": ["--to", "flute", "--like", str(like), "--like-weight", "0.5"],
        "clip alone": ["--to", "flute", "--like", str(like)],
    }.items():
        out = tmp_path / name
        assert main([str(clip), *extra, "--out-dir", str(out), "--steps", "1", "--model", model]) == 0
        files[name] = next(out.iterdir())
    assert files["clip"].name == "my clip ü_to_my_flute_seed0.wav"
    sounds = {name: path.read_bytes() for name, path in files.items()}
    assert sounds["clip"] == sounds["clip alone"]
    assert len(set(sounds.values())) == 3


@pytest.mark.slow
def test_the_settings_used_are_shown(advised_model, clip, tmp_path, capsys):
    like = tmp_path / "my_flute.wav"
    soundfile.write(like, 0.3 * np.sin(np.arange(60000) / 5), 22050)
    mixed = ["--like", str(like), "--like-weight", "0.5"]
    for extra, voice, settings in (
        ([], "harp/Tiny-46", TransferSettings(steps=1, temperature=0.9, enhance=False)),
        (["--steps", "2", "--enhance"], "harp/Tiny-46", TransferSettings(steps=2, temperature=0.9)),
        (mixed, "like my_flute.wav", TransferSettings(steps=1, temperature=0.9, enhance=False)),
        (mixed[:2], "like my_flute.wav", TransferSettings()),
    ):
        out = tmp_path / "out.wav"
        assert main([str(clip), "--to", "harp", *extra, "-o", str(out), "--model", advised_model, "--force"]) == 0
        assert f"{voice}, {settings.resolve({}).describe()}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "extra", [[], ["--to", "harp", "--like-weight", "0.5"], ["--to", "harp", "--like-weight", "2"]]
)
def test_a_missing_style_or_an_unused_weight_is_refused(clip, extra):
    with pytest.raises(SystemExit) as stopped:
        main([str(clip), "-o", "a.wav", *extra])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--like", "none.wav", "-o", "x.wav"], "no such file: none.wav"),
        (["--to", "kazoo", "-o", "x.wav"], "unknown target 'kazoo'"),
    ],
)
def test_bad_arguments_are_reported_with_exit_code_2(model, clip, extra, sentence, capsys):
    assert main([str(clip), *extra, "--model", model]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_a_missing_model_is_reported(clip, tmp_path, capsys):
    arguments = [str(clip), "--to", "violin", "-o", "x.wav", "--model", str(tmp_path)]
    assert main(arguments) == 2
    assert "cannot load a StyleDiff model" in capsys.readouterr().err


def test_neither_or_both_outputs_are_refused(clip):
    for outputs in ([], ["-o", "a.wav", "--out-dir", "b"]):
        with pytest.raises(SystemExit) as stopped:
            main([str(clip), "--to", "violin", *outputs])
        assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["-o", "a.txt"], "cannot write a.txt: name it .wav, .flac, .mp3, .m4a, .ogg or .opus"),
        (["-o", "a"], "cannot write a: name it .wav, .flac, .mp3, .m4a, .ogg or .opus"),
        (["-o", "a.wav", "--format", "flac"], "the ending of -o FILE is its format; --format is for --out-dir DIR"),
        (["-o", "a.flac", "--subtype", "float"], "the subtype must be one of 16, 24, got 'float'"),
        (["--out-dir", "a", "--format", "mp3", "--subtype", "24"], "which is compressed, got '24'"),
        (["-o", "nowhere/a.wav"], "cannot write a.wav: no such folder: nowhere"),
        (["-o", "a.wav", "--spectrogram", "a.xyz"], "cannot write a.xyz: name it .png, .jpg"),
        (["-o", "a.wav", "--spectrogram", "a"], "cannot write a: name it .png, .jpg"),
        (["-o", "a.wav", "--spectrogram", "nowhere/a.png"], "cannot write a.png: no such folder: nowhere"),
        (["-o", "a.wav", "--steps", "0"], "steps must be 1 to 500, got 0"),
        (["-o", "a.wav", "--steps", "2.5"], "steps must be a whole number, got '2.5'"),
        (["-o", "a.wav", "--room", "cave"], "room must be one of dry, studio, room, hall, got 'cave'"),
        (["-o", "a.wav", "--strength", "all"], "strength must be a number, got 'all'"),
        (["-o", "a.wav", "--seed", str(2**64)], "--seed must be -2^63 to 2^64 - 1, got 18446744073709551616"),
        (["-o", "a.wav", "--seed", str(-(2**63) - 1)], "--seed must be -2^63 to 2^64 - 1, got -9223372036854775809"),
    ],
)
def test_outputs_and_seeds_are_checked_before_loading(extra, sentence, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["none.wav", "--to", "violin", "--model", "none", *extra])
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert "error: " in shown
    assert sentence in shown


def test_results_have_the_format_that_was_chosen(model, clip, tmp_path):
    common = [str(clip), "--to", "violin", "--steps", "1", "--model", model]
    assert main([*common, "-o", str(tmp_path / "a.mp3")]) == 0
    assert main([*common, "--out-dir", str(tmp_path), "--format", "flac", "--subtype", "24"]) == 0
    (lossless,) = tmp_path.glob("*_to_violin_seed0.flac")
    assert soundfile.info(lossless).subtype == "PCM_24"
    with av.open(str(tmp_path / "a.mp3")) as file:
        assert file.metadata["title"].startswith(f"{clip.stem} (violin/")
        assert "steps 1" in file.metadata["comment"]


@pytest.mark.parametrize("ending", PICTURE_ENDINGS)
def test_every_listed_ending_can_be_written(tmp_path, ending):
    Image.new("RGB", (3, 2)).save(tmp_path / f"a{ending}")


@pytest.mark.slow
def test_a_mix_is_named(clip, tmp_path, capsys):
    with_detector(1.0).save_pretrained(tmp_path / "model")
    arguments = [str(clip), "--to", "flute", "--steps", "1", "--model", str(tmp_path / "model"), "-o"]
    assert main([*arguments, str(tmp_path / "a.wav")]) == 0
    assert f"{clip.name}: sounds like several instruments; all of them become one" in capsys.readouterr().err


@pytest.mark.slow
def test_notes_become_a_midi_file_and_lost_ones_are_counted(model, tmp_path, capsys):
    cello, midi = ROOT / "examples" / "cello_bach_prelude.flac", tmp_path / "notes.mid"
    arguments = [str(cello), "--to", "flute", "--steps", "1", "--model", model, "-o"]
    assert main([*arguments, str(tmp_path / "a.wav"), "--midi", str(midi)]) == 0
    said = capsys.readouterr().err
    assert "29 of 33 notes are out of the flute's range and may be lost; --transpose 24 loses 0" in said
    assert sum(message.type == "note_on" for message in mido.MidiFile(midi)) == 33
    assert main([*arguments, str(tmp_path / "b.wav"), "--fit", "--midi", str(tmp_path / "b.mid"), "--quantize"]) == 0
    said = capsys.readouterr().err
    assert "moved by +24 semitones" in said
    assert "out of the flute's range" not in said
    assert (tmp_path / "b.mid").read_bytes() != midi.read_bytes()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--midi", "notes.txt"], "cannot write notes.txt: name it .mid"),
        (["--quantize"], "--quantize is for --midi FILE"),
    ],
)
def test_a_midi_file_that_cannot_be_written_is_refused(clip, tmp_path, capsys, more, sentence):
    with pytest.raises(SystemExit):
        main([str(clip), "--to", "violin", "-o", str(tmp_path / "a.wav"), *more])
    assert sentence in capsys.readouterr().err
