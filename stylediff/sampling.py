"""Sampling: a one-step prediction from noise, refined by DDIM steps.

From pure noise the U-Net sees only the source and predicts a mean (zero terminal SNR, Lin et al. 2023, arXiv
2305.08891). This one-step prediction is noised to a middle level, as SDEdit does with a drawing (Meng et al. 2021,
arXiv 2108.01073), and DDIM continues from there. A temperature scales this noise, as in Kingma and Dhariwal's samples
from a flow (2018, arXiv 1807.03039).
"""

import math

import torch
from diffusers import DDIMScheduler


def count_steps(steps: int, strength: float) -> int:
    """Number of steps that remain in a share of the noise levels.

    ``steps`` is the number of steps of the whole schedule.
    """
    return math.ceil(round(steps * strength, 6))


def choose_timesteps(
    scheduler: DDIMScheduler, steps: int, strength: float, device: torch.device, start: float
) -> torch.Tensor:
    """Choose the timesteps to run and set the scheduler for them.

    The last timestep of training comes first, then evenly spaced ones from ``start`` down.

    Args:
        steps: at most ``settings.MAX_STEPS``.
        strength: below 1, the first timestep is at that share of the levels instead, and those after it are the ones of
            an even schedule from the highest level down.
    """
    schedule = max(1, round((steps - 1) / start)) if strength == 1 else steps
    scheduler.set_timesteps(schedule, device=device)
    count = count_steps(steps, strength)
    if count == 0:
        return scheduler.timesteps[:0]
    first = max(0, round(scheduler.config.num_train_timesteps * strength) - 1)
    return torch.cat(
        [torch.tensor([first], device=device), scheduler.timesteps[len(scheduler.timesteps) - count + 1 :]]
    )


def starts_from_noise(scheduler: DDIMScheduler, timesteps: torch.Tensor) -> bool:
    """Return True if the first timestep is pure noise."""
    return len(timesteps) > 0 and int(timesteps[0]) == scheduler.config.num_train_timesteps - 1


def take_step(
    scheduler: DDIMScheduler,
    velocity: torch.Tensor,
    timesteps: torch.Tensor,
    step: int,
    latents: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Take one DDIM step.

    Source: Song et al. 2020, arXiv 2010.02502, eq. 12.

    The predicted clean latents are noised to the next timestep, which may be at any distance: with the given noise
    after the one-step prediction, otherwise with the predicted noise. The last step returns the predicted clean
    latents, because rounding of the schedule could otherwise leave some noise.
    """
    taken = scheduler.step(velocity, timesteps[step], latents)
    if step + 1 == len(timesteps):
        return taken.pred_original_sample
    if step > 0:
        return taken.prev_sample
    if starts_from_noise(scheduler, timesteps):
        noise = temperature * latents
    else:
        kept = scheduler.alphas_cumprod[timesteps[0]]
        noise = kept.sqrt() * velocity + (1 - kept).sqrt() * latents
    return scheduler.add_noise(taken.pred_original_sample, noise, timesteps[1:2])
