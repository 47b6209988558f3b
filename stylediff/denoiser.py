"""The denoiser's U-Net, and the noise schedule that it is trained with."""

from diffusers import DDIMScheduler, UNet2DConditionModel

COLUMN_MULTIPLE = 4  # the U-Net halves its input twice
SHORTEST_FRAMES = 192  # the shortest crop the denoiser saw in training


def build_unet(
    channels: int, *, widths: tuple[int, ...], layers: int, head_width: int, token_width: int
) -> UNet2DConditionModel:
    """Build a U-Net with random weights.

    It predicts velocity from noisy latents and the source's latents.

    Args:
        channels: channels of the latents. The input has twice as many: noisy latents and source latents.
        widths: channels of the levels. Only the lowest has attention, which costs too much at higher resolutions.
        layers: residual blocks per level.
        head_width: channels of an attention head.
        token_width: channels of a style token.
    """
    plain_levels = len(widths) - 1
    return UNet2DConditionModel(
        in_channels=2 * channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * plain_levels + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * plain_levels,
        cross_attention_dim=token_width,
        attention_head_dim=tuple(width // head_width for width in widths),
        norm_num_groups=16,
        # Adds attention-pooled tokens to the time embedding, so that every residual block knows the style.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        encoder_hid_dim=None,
        resnet_time_scale_shift="scale_shift",
    )


def padded_frames(frames: int, frame_stride: int) -> int:
    """Smallest number of frames that the U-Net accepts for a clip."""
    multiple = COLUMN_MULTIPLE * frame_stride
    return -(-max(SHORTEST_FRAMES, frames) // multiple) * multiple


def build_scheduler() -> DDIMScheduler:
    """Build a DDIM scheduler for velocity prediction with zero terminal SNR.

    Its steps are trailing (Lin et al. 2023, arXiv 2305.08891).
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
