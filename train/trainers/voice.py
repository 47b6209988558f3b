"""Train only the style tokens of one new voice.

    python -m train voice --cache DIR --latents DIR --voice violin/mine --initial MODEL --out RUN

The voice is a new row of the style encoder's embedding table, like a new word in textual inversion (Gal et al. 2022,
arXiv 2208.01618). All other weights are frozen, so other voices sound exactly as before. Rerun the same command to
resume.
"""

import argparse
import shutil
from pathlib import Path

import safetensors.torch
import torch
from accelerate import PartialState
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from stylediff.hub import local_folder
from stylediff.instruments import INSTRUMENT_NAMES
from stylediff.mel import MelConfig
from stylediff.style_encoder import StyleEncoder
from train.data.latent_cache import load_autoencoder, read_latents
from train.data.mel_cache import CacheError, MelCache, read_cache
from train.data.pairs import PairSampler
from train.trainers.base_settings import SettingsError, read_settings
from train.trainers.denoiser import denoiser_loss
from train.trainers.loop import TrainingRun, generator_at, run_trainer
from train.trainers.settings import DenoiserSettings, VoiceSettings

SHORTEST_COLUMNS = 12
START_BATCHES, START_SIZE = 2, 8  # pairs that the starting point is chosen on
LONGEST_NAME = 40


def check_voice(voice: str, known: list[str]) -> None:
    """Refuse names that a new voice cannot have.

    Args:
        voice: ``instrument/name``.
        known: voices of the model.

    Raises:
        SettingsError: unknown instrument, or a name that is invalid or taken.
    """
    instrument, _, name = voice.partition("/")
    if instrument not in INSTRUMENT_NAMES:
        known_names = ", ".join(INSTRUMENT_NAMES)
        raise SettingsError(
            f"{instrument!r} is not an instrument of this model; choose the most similar of {known_names}"
        )
    is_plain = name.replace("_", "a").replace("-", "a").isalnum() and name.isascii() and len(name) <= LONGEST_NAME
    if not is_plain:
        raise SettingsError(f"a voice's name has 1 to {LONGEST_NAME} letters, digits, - and _, not {name!r}")
    if name in INSTRUMENT_NAMES or voice in known:
        raise SettingsError(f"the voice {voice!r} exists already; choose another name")


class NewVoice(nn.Module):
    """A denoiser whose only parameter is the row of a new voice.

    Args:
        unet: frozen U-Net; kept in a tuple, so that it is neither trained nor saved with the voice.
        instrument_row: embedding of the voice's instrument, (tokens * width,).
        row: initial embedding of the voice, (tokens * width,).
        tokens: number of style tokens.
    """

    def __init__(
        self, unet: UNet2DConditionModel, instrument_row: torch.Tensor, row: torch.Tensor, tokens: int
    ) -> None:
        super().__init__()
        self.frozen = (unet, instrument_row.detach().clone())
        self.row = nn.Parameter(row.detach().clone())
        self.tokens = tokens

    def forward(
        self,
        noisy: torch.Tensor,
        source: torch.Tensor,
        timesteps: torch.Tensor,
        _voices: torch.Tensor,
        _references: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted velocity, (batch, channels, rows, columns), for the new voice."""
        unet, instrument_row = self.frozen
        tokens = (instrument_row.to(self.row) + self.row).reshape(1, self.tokens, -1)
        return unet(torch.cat([noisy, source], dim=1), timesteps, tokens.expand(len(noisy), -1, -1)).sample


def open_pairs(settings: VoiceSettings, cache: MelCache, folder: Path) -> PairSampler:
    """Open the pairs whose targets are clips of the new voice.

    Raises:
        CacheError: there are no such pairs, or see ``read_latents``.
    """
    latents = read_latents(settings.latents, cache.clips, load_autoencoder(folder / "autoencoder", cache.mel))
    sampler = PairSampler(cache.clips[: len(latents)], latents, [settings.voice], "train")
    if not len(sampler.targets):
        raise CacheError(
            f"{settings.cache} has no clip of {settings.voice} together with another clip of the same music"
        )
    return sampler


def sample_loss(
    model: nn.Module,
    scheduler: DDIMScheduler,
    sampler: PairSampler,
    settings: VoiceSettings,
    size: int,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the denoiser's loss on random pairs of a random length.

    See ``denoiser_loss``.
    """
    longest = sampler.latents.shape[-1]
    lengths = range(min(SHORTEST_COLUMNS, longest), longest + 1, 4)
    columns = lengths[int(torch.randint(len(lengths), (1,), generator=generator))]
    batch = sampler.batch(size, columns, generator).to(device)
    objective = DenoiserSettings(
        out=settings.out,
        cache=settings.cache,
        latents=settings.latents,
        noise_power=settings.noise_power,
        style_dropout=0.0,
    )
    return denoiser_loss(model, scheduler, batch, objective, generator)


@torch.no_grad()
def reference_row(style_encoder: StyleEncoder, cache: MelCache, voice: str) -> torch.Tensor | None:
    """Return the style encoder's mean embedding of the voice's clips, (features,).

    None if the style encoder accepts no reference clips.
    """
    if style_encoder.reference is None:
        return None
    clips = [number for number, row in enumerate(cache.clips) if row.voice == voice]
    instrument = style_encoder.instrument_embedding.weight[INSTRUMENT_NAMES.index(voice.split("/")[0])]
    embeddings = [style_encoder.encode_reference(cache.tensor(number)[None]).flatten() for number in clips[:16]]
    return torch.stack(embeddings).mean(0) - instrument


@torch.no_grad()
def choose_start(
    model: NewVoice,
    scheduler: DDIMScheduler,
    sampler: PairSampler,
    settings: VoiceSettings,
    candidates: dict[str, torch.Tensor],
    device: torch.device,
) -> str:
    """Set the model's row to the one with the smallest loss.

    All rows are tried on the same pairs and noise.
    """
    losses = {}
    for name, row in candidates.items():
        model.row.copy_(row)
        generators = [generator_at(settings.seed, number, 0, 0, stream=1) for number in range(START_BATCHES)]
        each = [sample_loss(model, scheduler, sampler, settings, START_SIZE, g, device)[0] for g in generators]
        losses[name] = float(sum(each)) / START_BATCHES
    best = min(losses, key=lambda name: losses[name])
    model.row.copy_(candidates[best])
    return best


def start_rows(style_encoder: StyleEncoder, cache: MelCache, voice: str) -> dict[str, torch.Tensor]:
    """Candidate starting rows for a new voice, by name.

    They are the rows of its instrument's voices (or of all voices), their mean, and the style encoder's embedding of
    its clips.

    Returns:
        Rows (features,) by description.
    """
    known, weight = style_encoder.config.voices, style_encoder.voice_embedding.weight.detach()
    kin = [name for name in known if name.split("/")[0] == voice.split("/")[0]] or known
    rows = {name: weight[known.index(name)] for name in kin}
    rows[f"the mean of {len(kin)} voices"] = torch.stack(list(rows.values())).mean(0)
    own = reference_row(style_encoder, cache, voice)
    return rows if own is None else rows | {"its own sound": own}


def add_voice(style_encoder: StyleEncoder, voice: str, row: torch.Tensor, as_default: bool = False) -> StyleEncoder:
    """Return a copy of a style encoder with one more voice.

    All other weights stay the same.

    Args:
        row: embedding of the voice, (features,).
        as_default: make the voice the default of its instrument.
    """
    known = list(style_encoder.config.voices)
    kin = [number for number, name in enumerate(known) if name.split("/")[0] == voice.split("/")[0]]
    place = kin[0] if as_default and kin else len(known)
    config = {name: value for name, value in style_encoder.config.items() if not name.startswith("_")}
    grown = StyleEncoder(**config | {"voices": [*known[:place], voice, *known[place:]]})
    weights = style_encoder.state_dict()
    old = weights["voice_embedding.weight"]
    weights["voice_embedding.weight"] = torch.cat([old[:place], row.detach().cpu().to(old)[None], old[place:]])
    grown.load_state_dict(weights)
    return grown.to(old.dtype)


def save_model(base: Path, voice: str, row: torch.Tensor, out: Path, as_default: bool) -> None:
    """Copy a pipeline folder and add a voice.

    Args:
        base: folder of the pipeline.
    """
    scratch = out.with_name(out.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(base, scratch)
    shutil.rmtree(scratch / "style_encoder")
    add_voice(load_style_encoder(base), voice, row, as_default).save_pretrained(scratch / "style_encoder")
    shutil.rmtree(out, ignore_errors=True)
    scratch.rename(out)


def load_style_encoder(folder: Path) -> StyleEncoder:
    """Load the style encoder of a folder in its saved precision.

    Raises:
        SettingsError: the style encoder cannot be read.
    """
    try:
        weights = safetensors.torch.load_file(folder / "style_encoder/diffusion_pytorch_model.safetensors")
    except (OSError, safetensors.SafetensorError) as error:
        raise SettingsError(f"cannot load a StyleDiff model from {folder}: {error}") from error
    dtype = next(iter(weights.values())).dtype
    return StyleEncoder.from_pretrained(folder, subfolder="style_encoder", torch_dtype=dtype)


def train(settings: VoiceSettings) -> torch.Tensor:
    """Train or resume, and export the row to ``out/voice.safetensors``.

    Returns:
        The row, (tokens * width,).

    Raises:
        CacheError, SettingsError: the voice cannot be trained; the message says why.
    """
    folder = local_folder(settings.initial, {})
    style_encoder = load_style_encoder(folder).float().eval()
    check_voice(settings.voice, style_encoder.config.voices)
    cache = read_cache(settings.cache, MelConfig())
    sampler = open_pairs(settings, cache, folder)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
    device = PartialState().device
    unet.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward pass is slow on CPUs
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    shared = style_encoder.instrument_embedding.weight[INSTRUMENT_NAMES.index(settings.voice.split("/")[0])]
    candidates = start_rows(style_encoder, cache, settings.voice)
    model = NewVoice(unet, shared.to(device), next(iter(candidates.values())), style_encoder.config.tokens)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
    run = TrainingRun(settings, {"voice": model}, {"voice": optimizer})
    if run.step == 0:
        best = choose_start(run.models["voice"], scheduler, sampler, settings, candidates, device)
        run.accelerator.print(f"{settings.voice} starts from {best}")
    for step in run.steps():
        for micro in run.passes():
            generator = generator_at(settings.seed, step, micro, run.accelerator.process_index)
            size = settings.batch_size
            loss, parts = sample_loss(run.models["voice"], scheduler, sampler, settings, size, generator, device)
            run.backward(loss)
            run.record(parts)
        run.update("voice")
    row = model.row.detach().cpu()
    if run.accelerator.is_main_process:
        safetensors.torch.save_file({"row": row}, settings.out / "voice.safetensors", {"voice": settings.voice})
    return row


def main(args: argparse.Namespace) -> int:
    return run_trainer(train, read_settings(VoiceSettings, args))
