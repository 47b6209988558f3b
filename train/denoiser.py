"""The denoiser as it is trained: U-Net and style encoder in one model, and the noise that both are trained with."""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import nn

from stylediff.style import StyleEncoder


class Denoiser(nn.Module):
    """U-Net and style encoder trained as one model."""

    def __init__(self, unet: UNet2DConditionModel, style_encoder: StyleEncoder) -> None:
        super().__init__()
        self.unet = unet
        self.style_encoder = style_encoder

    def forward(
        self,
        noisy: torch.Tensor,
        source: torch.Tensor,
        timesteps: torch.Tensor,
        voices: torch.Tensor,
        references: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicted velocity, (batch, channels, rows, columns).

        Args:
            voices: (batch,); -1 is no style.
            references: (count, 1, mels, frames), which speak for the voices of the first samples that have a style.
        """
        tokens = self.style_encoder(voices)
        if references is not None:
            heard, named = self.style_encoder.encode_reference(references).to(tokens), tokens[: len(references)]
            has_style = (voices[: len(references)] >= 0)[:, None, None]
            tokens = torch.cat([torch.where(has_style, heard, named), tokens[len(references) :]])
        return self.unet(torch.cat([noisy, source], dim=1), timesteps, tokens).sample


def build_scheduler() -> DDIMScheduler:
    """Velocity prediction with zero terminal SNR and trailing steps (Lin et al. 2023, arXiv 2305.08891)."""
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
