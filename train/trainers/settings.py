"""Settings of each trainer's runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from train.trainers.base_settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(TrainSettings):
    """Settings of the autoencoder's run.

    Attributes:
        cache: folder of the mel cache.
        crop_frames: frames of a training crop.
        kl_weight: weight of the Kullback-Leibler divergence; small, so that it only bounds the latents.
        edge_weight: weight of the L1 loss on differences between neighbouring bands and frames, which reduces blur.
        decoder_only: keep the encoder of ``initial``, so that models trained on its latents stay valid.
        validate_every: steps between measurements on clips of the validation split (0: only at the end).
        fold_mels, fold_frames, latent_fold, latent_channels, widths, layers, levels: see MelAutoencoder.
    """

    cache: Path
    steps: int = 3000
    batch_size: int = 16
    learning_rate: float = 8e-4
    cooldown: float = 0.4
    crop_frames: int = 128
    kl_weight: float = 2e-3
    edge_weight: float = 0.5
    decoder_only: bool = False
    validate_every: int = 0
    fold_mels: int = 4
    fold_frames: int = 4
    latent_fold: int = 2
    latent_channels: int = 8
    widths: tuple[int, ...] = (96, 192)
    layers: int = 1
    levels: int = 0

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "validate_every")


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings(TrainSettings):
    """Settings of the denoiser's run.

    Attributes:
        cache: folder of the mel cache, for its table of clips.
        latents: folder of the latent cache, with EQ-augmented clips if there are any.
        autoencoder: folder of the MelAutoencoder that made the latents, for pictures in the log ("": no pictures).
        widths, layers: channels and residual blocks of the U-Net's levels.
        head_width: channels of an attention head.
        tokens, token_width: number and channels of style tokens.
        reference_width, reference_share: channels of the encoder of clips (0: none), share of samples with a clip.
        favoured_share, recorded_share: shares of samples from piano to violin, and of samples with a recorded source.
        shortest_columns: latent columns of the shortest training crop; the longest is the whole clip.
        validate_every: steps between measurements of the EMA weights on validation pairs.
        style_dropout: share of samples whose style is replaced by the null tokens.
        noise_power: timesteps are sampled as ``1000 * u ** noise_power``; below 1, high noise is more likely.
        regression: train a one-step map from source to target on its absolute error instead, as a baseline.
        average_decay: decay of the exponential moving average of the weights (EMA), which is exported.
        compile: compile the U-Net, once per crop length; on CPUs this saves a sixth of a step's time.
    """

    cache: Path
    latents: Path
    autoencoder: str = ""
    steps: int = 5600
    batch_size: int = 64
    learning_rate: float = 6e-4
    warmup_steps: int = 300
    widths: tuple[int, ...] = (128, 192, 224)
    layers: int = 1
    head_width: int = 32
    tokens: int = 4
    token_width: int = 128
    reference_width: int = 0
    reference_share: float = 0.5
    favoured_share: float = 0.0
    recorded_share: float = 0.0
    shortest_columns: int = 12
    style_dropout: float = 0.1
    noise_power: float = 0.7
    regression: bool = False
    average_decay: float = 0.999
    validate_every: int = 500
    compile: bool = False

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "autoencoder", "validate_every", "compile")


@dataclass(frozen=True, kw_only=True)
class InpainterSettings(TrainSettings):
    """Settings of the run of the U-Net that fills gaps.

    Attributes:
        cache, latents: folders of the mel cache and of the latent cache.
        columns: latent columns of the training crops, drawn at random.
        shortest_frames, longest_frames: of a gap.
        similar_share: share of the clips whose long gaps are guided by a similar moment, if there is one.
        noise_power, average_decay: see DenoiserSettings.
        validate_every: steps between measurements of the EMA weights on validation clips.
        rank: of the exported change, see stylediff.Inpainter.
    """

    cache: Path
    latents: Path
    steps: int = 1500
    batch_size: int = 16
    learning_rate: float = 2e-4
    warmup_steps: int = 50
    cooldown: float = 0.5
    columns: tuple[int, ...] = (12, 16, 28)
    shortest_frames: int = 6
    longest_frames: int = 180
    similar_share: float = 0.5
    noise_power: float = 0.7
    average_decay: float = 0.995
    validate_every: int = 250
    rank: int = 32

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "validate_every", "rank")


@dataclass(frozen=True, kw_only=True)
class VocoderSettings(TrainSettings):
    """Settings of the vocoder's run.

    Attributes:
        cache: folder of the mel cache.
        data: folder of the data set behind the cache, for waveforms. For several data sets it is their common folder,
            which the command cache-mels prints.
        autoencoder: folder of a saved MelAutoencoder ("": only mels of real audio).
        crop_frames: frames of a training crop.
        context_frames: frames that the autoencoder sees around a crop.
        judged_crops: crops of a batch that the discriminators see; they are most of a step's cost.
        gan_start: share of the steps after which training on sound and the discriminators start.
        decoded_start: share of the steps after which input mels pass through the autoencoder, as in use.
        attenuation_db: largest random attenuation of crops.
        detune_cents: largest random detuning of crops, up or down.
        magnitude_weight, mel_weight, stft_weight, adversarial_weight, feature_weight: weights of the loss's parts.
        resolution_weight: weight of the resolution discriminators relative to the period discriminators.
        blocks, width, expansion, refinements, hidden_share: see Vocoder.
        discriminator_channels: see Discriminators.
        clip_norm: largest gradient norm.
        validate_every: steps between measurements of the EMA weights on magnitudes of validation clips.
        average_decay: decay of the exponential moving average of the weights (EMA), which is exported.
    """

    cache: Path
    data: Path
    autoencoder: str = ""
    steps: int = 3000
    batch_size: int = 8
    learning_rate: float = 4e-4
    cooldown: float = 0.6
    crop_frames: int = 128
    context_frames: int = 192
    judged_crops: int = 4
    gan_start: float = 0.933
    decoded_start: float = 0.967
    attenuation_db: float = 12.0
    detune_cents: float = 50.0
    magnitude_weight: float = 5.0
    mel_weight: float = 5.0
    stft_weight: float = 2.0
    adversarial_weight: float = 1.0
    feature_weight: float = 2.0
    resolution_weight: float = 1.0
    blocks: int = 8
    width: int = 288
    expansion: int = 3
    refinements: int = 10
    hidden_share: float = 0.2
    discriminator_channels: int = 8
    clip_norm: float = 10.0
    average_decay: float = 0.999
    validate_every: int = 250

    # The autoencoder may still be in training during the vocoder's first steps.
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "data", "autoencoder", "validate_every")


@dataclass(frozen=True, kw_only=True)
class EnhancerSettings(TrainSettings):
    """Settings of the enhancer's run.

    Attributes:
        cache: folder of the mel cache.
        generated: folder that the command cache-transfers wrote.
        autoencoder: folder of the MelAutoencoder of those latents.
        crop_columns: latent columns of a training crop; shorter clips are used whole.
        true_share: share of samples whose latents are those of the true target instead of generated ones.
        edge_weight: weight of the L1 loss on differences between neighbouring bands and frames, which reduces blur.
        level_weight: weight of the L1 loss on frame levels.
        adversarial_weight, feature_weight: weights of the adversarial and feature-matching losses; 0 for the first
            means no discriminator.
        fold, widths, layers: see MelEnhancer.
        average_decay: decay of the exponential moving average of the weights (EMA), which is exported.
    """

    cache: Path
    generated: Path
    autoencoder: str
    steps: int = 3000
    batch_size: int = 16
    learning_rate: float = 8e-4
    cooldown: float = 0.4
    crop_columns: int = 12
    true_share: float = 0.15
    edge_weight: float = 0.5
    level_weight: float = 0.3
    adversarial_weight: float = 0.0
    feature_weight: float = 1.0
    fold: int = 4
    widths: tuple[int, ...] = (48, 64, 96)
    layers: int = 1
    average_decay: float = 0.999

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "generated", "autoencoder")


@dataclass(frozen=True, kw_only=True)
class VoiceSettings(TrainSettings):
    """Settings of a new voice's run.

    Attributes:
        cache: folder of the mel cache; clips of the voice are targets, other clips of the same music their sources.
        latents: folder of the latent cache, made with the autoencoder of ``initial``.
        voice: name of the new voice, ``instrument/name``.
        initial: folder or Hub id of the pipeline to extend.
        noise_power: see ``DenoiserSettings``.
    """

    cache: Path
    latents: Path
    voice: str
    initial: str
    steps: int = 400
    batch_size: int = 8
    learning_rate: float = 1e-2
    warmup_steps: int = 20
    noise_power: float = 0.7

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "batch_size")


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(TrainSettings):
    """Settings of the classifier's run.

    Attributes:
        cache: folder of the mel cache.
        shortest_frames, longest_frames: limits of a batch's random crop length.
        label_smoothing: share of the target spread over all instruments, because a crop may hold only a rest.
        widths: see InstrumentClassifier.
    """

    cache: Path
    steps: int = 1500
    batch_size: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    cooldown: float = 0.6
    shortest_frames: int = 64
    longest_frames: int = 128
    label_smoothing: float = 0.05
    widths: tuple[int, ...] = (24, 48, 96, 128, 192)


@dataclass(frozen=True, kw_only=True)
class MixDetectorSettings(TrainSettings):
    """Settings of the mix detector's run.

    Attributes:
        cache: folder of the mel cache.
        style_encoder: folder of the StyleEncoder whose features it judges.
        recordings: folder of recordings, in folders named by instrument, for half of the samples; or empty.
        width: see MixDetector.
        false_alarms: share of the single instruments of the validation split that may count as mixes.
    """

    cache: Path
    style_encoder: Path
    recordings: str = ""
    steps: int = 500
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup_steps: int = 20
    cooldown: float = 0.6
    width: int = 64
    false_alarms: float = 0.05


@dataclass(frozen=True, kw_only=True)
class RestorerSettings(TrainSettings):
    """Settings of the restorer's run.

    Attributes:
        data: folder of ``damaged-clips``.
        crop_frames: frames of a training crop.
        edge_weight: weight of the L1 loss on differences between neighbouring bands and frames.
        average_decay: decay of the exponential moving average of the weights (EMA), which is exported.
        validate_every: steps between measurements of the EMA weights on validation clips (0: only at the end).
        fold, widths, layers: see MelEnhancer.
    """

    data: Path
    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    cooldown: float = 0.5
    crop_frames: int = 128
    edge_weight: float = 0.5
    average_decay: float = 0.995
    validate_every: int = 500
    fold: int = 4
    widths: tuple[int, ...] = (48, 64, 96)
    layers: int = 1


@dataclass(frozen=True, kw_only=True)
class VqvaeSettings(TrainSettings):
    """Settings of the VQ-VAE's run.

    Attributes:
        patches: folder that the command image-patches or mel-patches wrote.
        commitment: weight of the commitment loss.
        revive: share of the uniform usage below which a code is replaced by a latent of the batch (0: never).
        validate_every: steps between measurements on patches of the validation split (0: only at the end).
        quantizer, codebook_size, code_dim, width, residual_width, blocks, decay, kmeans: see VqVae.
    """

    patches: Path
    steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 1e-3
    quantizer: str = "average"
    codebook_size: int = 512
    code_dim: int = 64
    width: int = 128
    residual_width: int = 32
    blocks: int = 2
    commitment: float = 0.25
    decay: float = 0.99
    kmeans: bool = False
    revive: float = 0.0
    validate_every: int = 1000

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainSettings.MAY_CHANGE, "patches", "validate_every")


@dataclass(frozen=True, kw_only=True)
class BandExtenderSettings(TrainSettings):
    """Settings of the run of the upper band's network.

    Attributes:
        data: folder of ``full-band-clips``.
        crop_frames: length of a crop.
        hint_share: share of samples with a hint.
        width, layers: see BandExtender.
    """

    data: Path
    steps: int = 3000
    batch_size: int = 16
    learning_rate: float = 2e-3
    cooldown: float = 0.5
    crop_frames: int = 128
    hint_share: float = 0.5
    width: int = 128
    layers: int = 4
