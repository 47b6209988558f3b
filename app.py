"""The page: choose a clip and an instrument, hear and see both versions."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import torch
from PIL import Image

from stylediff.audio import AudioError, read_audio, write_audio
from stylediff.checkpoint import CheckpointError, load_pipeline
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from stylediff.pipeline import StyleTransferPipeline
from stylediff.plotting import spectrogram_figure

EXAMPLES = Path(__file__).parent / "examples"
MAX_SECONDS = 60
INTRO = """# StyleDiff
Upload or record a clip of **one instrument** and hear the same notes played by another."""


def describe(sample_rate: int, channels: int, seconds: float, mel: MelConfig) -> str:
    """One line on what is done to a clip before the model hears it."""
    kind = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return (
        f"{seconds:.1f} s, {sample_rate / 1000:g} kHz {kind}, heard by the model as {mel.sample_rate / 1000:g} kHz mono"
    )


def build_convert(pipeline: StyleTransferPipeline) -> Callable[..., tuple[str, Image.Image, str]]:
    """The handler of the page, and of its endpoint /convert."""

    def convert(
        path: str | None,
        target: str,
        steps: float,
        guidance: float,
        seed: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  gradio finds it by its default
    ) -> tuple[str, Image.Image, str]:
        if not path:
            raise gr.Error("Add a clip first: upload one, record one, or choose an example.")
        try:
            samples, sample_rate = read_audio(path)
            seconds = samples.shape[-1] / sample_rate
            if seconds > MAX_SECONDS:
                raise AudioError(f"clip is {seconds:.0f} s long; at most {MAX_SECONDS} s are taken")
            result = pipeline(
                torch.from_numpy(samples),
                sample_rate,
                target=target,
                num_inference_steps=int(steps),
                guidance_scale=float(guidance),
                generator=torch.Generator().manual_seed(int(seed)),
                callback_on_step_end=lambda _, step, __, ___: progress((step + 1, int(steps)), unit="steps"),
            )
        except ValueError as error:  # AudioError is one
            raise gr.Error(str(error)) from error
        folder = Path(tempfile.mkdtemp(prefix="stylediff_"))
        file = folder / f"{Path(path).stem[:40]}_to_{target}_seed{int(seed)}.wav"
        write_audio(file, result.audio, result.sample_rate)
        names = ("input", target)
        figure = spectrogram_figure([result.source_mel.cpu(), result.mel.cpu()], names, pipeline.mel)
        return str(file), figure, describe(sample_rate, len(samples), seconds, pipeline.mel)

    return convert


def example_clips() -> list[str]:
    return [str(path) for path in sorted(EXAMPLES.glob("*")) if path.suffix in (".flac", ".wav", ".ogg")]


def build_app(pipeline: StyleTransferPipeline) -> gr.Blocks:
    """The page around a pipeline."""
    with gr.Blocks(title="StyleDiff", delete_cache=(3600, 3600)) as page:
        gr.Markdown(INTRO)
        with gr.Row():
            with gr.Column():
                source = gr.Audio(
                    label="Input", sources=["upload", "microphone"], type="filepath", format=None, elem_id="source"
                )
                target = gr.Radio(list(INSTRUMENT_NAMES), value="violin", label="Play it on", elem_id="target")
                with gr.Row():
                    steps = gr.Slider(1, 50, 20, step=1, label="DDIM steps", elem_id="steps")
                    guidance = gr.Slider(1.0, 4.0, 1.0, step=0.25, label="Guidance (1 = off)", elem_id="guidance")
                    seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
                go = gr.Button("Convert", variant="primary", elem_id="go")
            with gr.Column():
                output = gr.Audio(label="Output", interactive=False, elem_id="output", buttons=["download"])
                info = gr.Markdown(elem_id="info")
        picture = gr.Image(
            label="Spectrograms", show_label=False, type="pil", format="png", interactive=False, elem_id="picture"
        )
        go.click(
            build_convert(pipeline),
            [source, target, steps, guidance, seed],
            [output, picture, info],
            api_name="convert",
            concurrency_limit=1,
            show_progress_on=[output],
        )
        if clips := example_clips():
            gr.Examples(clips, source, label="Examples", cache_examples=False)
    return page.queue(max_size=16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder or Hub id of other weights")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    args = parser.parse_args()
    try:
        pipeline = load_pipeline(args.model)
    except CheckpointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    pipeline.set_progress_bar_config(disable=True)
    build_app(pipeline).launch(
        server_name=args.host,
        server_port=args.port,
        max_file_size="25mb",
        theme=gr.themes.Soft(),
        footer_links=["api", "gradio", "settings"],
        enable_monitoring=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
