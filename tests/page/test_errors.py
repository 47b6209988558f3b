"""Errors and limits as visitors and programs see them."""

import asyncio
import re
import shutil
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stylediff.audio import AudioError
from stylediff.page.api import path_of
from stylediff.page.batch_tab import Batches, show_lines
from stylediff.page.conversions import Converter
from stylediff.page.errors import PageError, as_gradio_errors
from stylediff.page.handlers import RUN_OUTPUTS, Handlers, Submission
from stylediff.page.layout import SpeakingQueue
from stylediff.page.player import build_player
from stylediff.page.settings import Choices
from stylediff.page.translations import load_texts
from stylediff.page.uploads import MAX_SECONDS, MAX_UPLOAD_MB, load_clip
from stylediff.page.zero_gpu import MOST_SECONDS, check_duration
from stylediff.plotting import drawable
from stylediff.settings import SettingError
from tests.helpers.tiny_pipeline import tiny_pipeline

RATE = 22050


@pytest.mark.parametrize("error", [AttributeError("x"), TypeError("x"), IndexError(1), MemoryError(), OSError("x")])
def test_whatever_is_raised_reaches_the_visitor_as_a_sentence(error):
    for words in load_texts().values():
        with pytest.raises(gr.Error) as shown, as_gradio_errors(words):
            raise error
        assert shown.value.message == words["broken"]


def wrong_steps() -> SettingError:
    with pytest.raises(SettingError, match="steps must be 1 to 50, got 99") as raised:
        Choices(steps=99)
    return raised.value


def test_sentences_are_in_the_visitors_language():
    german = load_texts()["de"]
    for error, sentence in (
        (PageError("no_clip"), german["no_clip"]),
        (AudioError("clip is short"), f"{german['refused']} clip is short"),
        (wrong_steps(), "Schritte: muss zwischen 1 und 50 liegen, nicht bei 99."),
    ):
        with pytest.raises(gr.Error) as shown, as_gradio_errors(german):
            raise error
        assert shown.value.message == sentence


def test_a_file_that_expired_is_to_be_uploaded_again(tmp_path):
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {})
    submission = Submission(str(tmp_path / "gone.wav"), Choices(steps=1).to_dict())
    updates = handlers.convert(submission, gr.Request(headers={"accept-language": "fr"}))
    assert "progress" in dict(zip(RUN_OUTPUTS, next(updates), strict=True))["status"]
    assert dict(zip(RUN_OUTPUTS, next(updates), strict=True))["status"] == ""
    with pytest.raises(gr.Error) as shown:
        next(updates)
    assert shown.value.message == load_texts()["fr"]["expired"]


@pytest.mark.parametrize("file", [{"path": "/etc/passwd", "meta": None}, {"path": "a", "meta": []}, "a", 3, {}, None])
def test_what_was_not_uploaded_is_a_sentence(file):
    with pytest.raises(PageError, match="Add a clip first"):
        path_of(file, "no_clip")


def test_a_full_queue_says_how_many_wait(monkeypatch):
    async def push(*_):
        return False, "Queue is full.", "queue_full"

    monkeypatch.setattr("gradio.queueing.Queue.push", push)
    monkeypatch.setattr(SpeakingQueue, "__len__", lambda _: 16)
    queue = SpeakingQueue.__new__(SpeakingQueue)
    for headers, sentence, state in (
        ({"accept-language": "en"}, "16 visitors are waiting, and there is no room for more.", "error"),
        ({"accept-language": "de"}, "16 Besucher warten", "error"),
        ({}, "16 visitors are waiting", "queue_full"),
    ):
        with ThreadPoolExecutor(1) as apart:  # this thread may have the event loop of a browser
            pushed = queue.push(None, SimpleNamespace(headers=headers), None)
            _, answer, answered = apart.submit(asyncio.run, pushed).result()
        assert answer.startswith(sentence)
        assert answered == state


def test_names_with_signs_stay_in_their_cell():
    table = show_lines([("<img src=x onerror=alert(1)>|.wav", "[a](b)|c", ""), ("a", '"><script>.wav', 'x"onerror="y')])
    *_, first, second = table.splitlines()
    assert first == "| &lt;img src=x onerror=alert(1)&gt;/.wav | &#91;a](b)/c |  |"
    assert second.endswith('aria-label="&quot;&gt;&lt;script&gt;.wav" src="x&quot;onerror=&quot;y"></audio> |')


def write(path, *parts):
    soundfile.write(path, np.concatenate(parts), RATE, subtype="FLOAT")
    return path


def tone(seconds, level=0.3):
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)


def test_a_part_starts_at_the_first_sound(tmp_path):
    path = write(tmp_path / "late.wav", np.zeros(12 * RATE), tone(5))
    words = load_texts()["en"]
    clip = load_clip(path, 0.0, 10.0)
    assert clip.start_s == pytest.approx(11.9, abs=0.06)
    assert clip.seconds == pytest.approx(5.1, abs=0.06)
    assert clip.notes(words) == ["The clip begins with silence; the part starts at second 11.9."]
    assert load_clip(path, 3.0, 2.0).start_s == pytest.approx(11.9, abs=0.06)
    assert load_clip(path, 11.0, 4.0).start_s == 11.0
    assert load_clip(write(tmp_path / "short.wav", np.zeros(2 * RATE), tone(1)), 0.0, 10.0).start_s == 0.0


def test_silence_is_said(tmp_path):
    path = write(tmp_path / "silence.wav", np.random.default_rng(0).normal(0, 1e-4, 3 * RATE))
    for words in load_texts().values():
        assert load_clip(path, 0.0, 10.0).notes(words) == [words["is_silent"]]


def test_samples_above_full_scale_are_scaled_and_not_clipped(tmp_path):
    clip = load_clip(write(tmp_path / "hot.wav", tone(2, 4.0)), 0.0, 10.0)
    np.testing.assert_allclose(clip.samples[0], tone(2, 1.0) / tone(2, 1.0).max(), atol=1e-3)


def test_no_request_for_a_gpu_exceeds_the_limit(tmp_path, monkeypatch):
    clip = load_clip(write(tmp_path / "a.wav", tone(60)), 0.0, 60)
    check_duration(clip, Choices(steps=50, guidance=4))
    monkeypatch.setattr("stylediff.page.zero_gpu.FORKS", True)
    check_duration(clip, Choices(steps=4))
    with pytest.raises(PageError, match=f"needs about 1.. s of GPU time, and {MOST_SECONDS} s is the limit"):
        check_duration(clip, Choices(steps=50, guidance=4))


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "/proc/self/environ", "//etc/passwd"],
)
def test_files_of_the_machine_are_not_served(address, path):
    for route in ("gradio_api/file=", "file=", "static/", "assets/"):
        answer = httpx.get(f"{address}{route}{path}")
        assert answer.status_code >= 400 or b"root:" not in answer.content
        assert b"PATH=" not in answer.content


def test_a_link_to_a_file_of_the_machine_is_not_served(address, tmp_path):
    secret, link = tmp_path / "secret.txt", tmp_path / "link.wav"
    secret.write_text("secret")
    link.symlink_to(secret)
    for path in (secret, link):
        assert httpx.get(f"{address}gradio_api/file={path}").status_code in (403, 404)


@pytest.mark.slow
def test_results_of_other_visitors_are_not_listed_or_guessed(address, clip):
    client = Client(address, verbose=False, download_files=False)
    audio, _ = client.predict(source=handle_file(str(clip)), steps=1, api_name="/convert")
    folder = Path(audio["path"]).parent
    assert re.fullmatch(r"[0-9a-f]{64}", folder.name)  # nobody guesses it
    for place in (folder, folder.parent, f"{folder}/", f"{folder}/../"):
        assert httpx.get(f"{address}gradio_api/file={place}").status_code in (403, 404, 405)
    written = [*Path(tempfile.gettempdir()).glob("stylediff_*/*.wav")]  # copies of results are served
    for path in written[:3]:
        assert httpx.get(f"{address}gradio_api/file={path}").status_code in (403, 404)


def test_an_upload_cannot_choose_its_place(address, tmp_path):
    for name in ("../../../escaped.wav", "/tmp/escaped.wav", "..\\..\\escaped.wav", "a/../../escaped.wav"):
        [path] = httpx.post(f"{address}gradio_api/upload", files={"files": (name, b"content")}).json()
        assert re.fullmatch(r"[0-9a-f]{64}", Path(path).parent.name)
        assert ".." not in Path(path).parts
    assert not Path("/tmp/escaped.wav").exists()


@pytest.mark.slow
def test_names_in_a_zip_stay_in_its_folder(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("..", "...wav", "a\\..\\b", "<b>&", "-rf", "CON", "名前")
    paths = []
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(str(shutil.copy(clip, folder / f"{name}.wav")))
    converter = Converter(tiny_pipeline())
    *_, (_, _, archive) = Batches(converter).convert_all(paths, "harp", "fast", 0, gr.Request(headers={}))
    with zipfile.ZipFile(archive) as packed:
        assert len(packed.namelist()) == len(names)
        for name in packed.namelist():
            assert re.fullmatch(r"[\w-]+\.wav", name)


@pytest.mark.slow
def test_only_its_visitor_gets_a_conversion_back(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    handlers = Handlers(Converter(tiny_pipeline()), build_player(), {})
    submission = Submission(str(clip), Choices(steps=1).to_dict(), visitor="someone")
    assert len([*handlers.convert(submission, gr.Request(headers={}))]) > 2
    assert "Done" in dict(zip(RUN_OUTPUTS, [*handlers.restore("someone")][-1], strict=True))["status"]
    for visitor in ("", "someone else", "../../etc/passwd", "x" * 100_000):
        assert [*handlers.restore(visitor)] == [(gr.skip(),) * len(RUN_OUTPUTS)]


@pytest.mark.slow
def test_a_part_of_a_result_is_served(address, clip):
    client = Client(address, verbose=False, download_files=False)
    audio, _ = client.predict(source=handle_file(str(clip)), steps=1, api_name="/convert")
    answer = httpx.get(audio["url"], headers={"Range": "bytes=100-199"})  # Safari plays nothing without
    assert (answer.status_code, len(answer.content)) == (206, 100)
    assert answer.headers["content-type"] in ("audio/wav", "audio/x-wav")


def test_an_address_in_a_private_network_is_refused_with_a_sentence(address):
    with pytest.raises(AppError, match=r"Hostname 127\.0\.0\.1 failed validation"):
        Client(address, verbose=False).predict(handle_file("http://127.0.0.1:9/piano.wav"), api_name="/convert")


def test_the_longest_take_fits():
    assert MAX_SECONDS * 48_000 * 2 * 3 < MAX_UPLOAD_MB * 2**20  # stereo, 24 bits


@pytest.mark.parametrize("content", ["[" * 100_000, '{"data": ' + "[" * 5000 + "]" * 5000 + "}", "{", '{"data": 3}'])
def test_odd_json_ends_in_an_error_and_the_server_goes_on(address, content):
    headers = {"Content-Type": "application/json"}
    httpx.post(f"{address}gradio_api/call/convert", content=content, headers=headers, timeout=30)
    assert httpx.get(f"{address}gradio_api/info", timeout=30).status_code == 200


def test_pictures_name_nothing_that_their_font_lacks():
    assert drawable("violin", "output") == "violin"
    assert drawable("entrée für", "input") == "entrée für"
    for language in ("zh", "ja"):
        assert drawable(load_texts()[language]["input"], "input") == "input"
    assert drawable("like_ピアノの音", "output") == "output"
