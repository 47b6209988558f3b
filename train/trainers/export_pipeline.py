"""Combine trained components in a pipeline folder, in half precision.

python -m train export-pipeline --autoencoder DIR --denoiser DIR [--vocoder DIR] [--enhancer DIR] ... --out DIR
"""

import argparse
import json
import os
import shutil
from pathlib import Path

from diffusers import DDIMScheduler, ModelMixin, UNet2DConditionModel

from stylediff import (
    BandExtender,
    Inpainter,
    MelAutoencoder,
    MelEnhancer,
    MixDetector,
    StyleEncoder,
    StyleTransferPipeline,
    Vocoder,
)
from train.common.cli import run_command


def build_pipeline(
    autoencoder: Path,
    denoiser: Path,
    vocoder: Path | None,
    enhancer: Path | None = None,
    band_extender: Path | None = None,
    mix_detector: Path | None = None,
    inpainter: Path | None = None,
) -> StyleTransferPipeline:
    """Load a pipeline from its trained components.

    Args:
        autoencoder: folder of a MelAutoencoder.
        denoiser: folder with ``unet``, ``style_encoder`` and ``scheduler``.
        vocoder: folder of a Vocoder; without one the pipeline uses Griffin-Lim.
        enhancer: folder of a MelEnhancer, or None.
        band_extender: folder of a BandExtender, or None.
        mix_detector: folder of a MixDetector, or None.
        inpainter: folder of an Inpainter for this denoiser, or None.
    """
    return StyleTransferPipeline(
        autoencoder=MelAutoencoder.from_pretrained(autoencoder),
        unet=UNet2DConditionModel.from_pretrained(denoiser, subfolder="unet"),
        scheduler=DDIMScheduler.from_pretrained(denoiser, subfolder="scheduler"),
        style_encoder=StyleEncoder.from_pretrained(denoiser, subfolder="style_encoder"),
        vocoder=None if vocoder is None else Vocoder.from_pretrained(vocoder),
        enhancer=None if enhancer is None else MelEnhancer.from_pretrained(enhancer),
        band_extender=None if band_extender is None else BandExtender.from_pretrained(band_extender),
        mix_detector=None if mix_detector is None else MixDetector.from_pretrained(mix_detector),
        inpainter=None if inpainter is None else Inpainter.from_pretrained(inpainter),
    )


def forget_origin(folder: Path) -> None:
    """Remove local folders from the components' saved configurations."""
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)
        path.write_text(json.dumps(config, indent=2) + "\n")


def replace_parts(scratch: Path, out: Path) -> None:
    """Move the parts of a saved pipeline to another folder.

    Other files there stay. The index goes first and comes last: a folder without it is no pipeline, so that an
    interruption leaves no mixture that could be loaded.
    """
    out.mkdir(parents=True, exist_ok=True)
    index = StyleTransferPipeline.config_name
    (out / index).unlink(missing_ok=True)
    for part in sorted(scratch.iterdir(), key=lambda path: path.name == index):
        if part.is_dir():
            shutil.rmtree(out / part.name, ignore_errors=True)
        os.replace(part, out / part.name)
    scratch.rmdir()


def main(args: argparse.Namespace) -> int:
    def work() -> None:
        optional = (args.vocoder, args.enhancer, args.band_extender, args.mix_detector, args.inpainter)
        pipeline = build_pipeline(args.autoencoder, args.denoiser, *optional)
        for part in pipeline.components.values():
            if isinstance(part, ModelMixin):
                part.half()
        scratch = args.out.with_name(f"{args.out.name}.part")
        shutil.rmtree(scratch, ignore_errors=True)  # of an interrupted run
        pipeline.save_pretrained(scratch)
        forget_origin(scratch)
        replace_parts(scratch, args.out)
        size = sum(path.stat().st_size for path in args.out.rglob("*.safetensors"))
        print(f"{args.out}: {size / 1e6:.1f} MB of weights")

    return run_command(work, OSError, ValueError)
