import pytest
import torch

from stylediff.denoiser import build_scheduler
from stylediff.sampling import choose_timesteps, count_steps, starts_from_noise, take_step
from stylediff.settings import MAX_STEPS, START

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("steps", "strength", "timesteps"),
    [
        (1, 1.0, [999]),
        (2, 1.0, [999, 499]),
        (5, 1.0, [999, 499, 374, 249, 124]),
        (4, 0.75, [749, 499, 249]),
        (4, 0.5, [499, 249]),
        (4, 0.9, [899, 749, 499, 249]),
        (4, 0.2, [199]),
        (4, 0.0, []),
    ],
)
def test_timesteps_are_pure_noise_and_then_even_steps_from_the_middle(steps, strength, timesteps):
    scheduler = build_scheduler()
    chosen = choose_timesteps(scheduler, steps, strength, CPU, START)
    assert chosen.tolist() == timesteps
    assert starts_from_noise(scheduler, chosen) == (strength == 1.0)
    assert count_steps(steps, strength) == len(timesteps)


@pytest.mark.parametrize("steps", [20, 37, 251, MAX_STEPS])
def test_as_many_timesteps_as_steps_each_lower_than_the_one_before(steps):
    chosen = choose_timesteps(build_scheduler(), steps, 1.0, CPU, START)
    assert len(chosen) == steps
    assert (chosen.diff() < 0).all()
    assert int(chosen[1]) == pytest.approx(499, abs=1)


def test_refining_can_start_at_another_level():
    assert choose_timesteps(build_scheduler(), 3, 1.0, CPU, 0.25).tolist() == [999, 249, 124]
    assert choose_timesteps(build_scheduler(), 3, 1.0, CPU, 1.0).tolist() == [999, 999, 499]


def test_the_one_step_prediction_is_noised_to_the_next_timestep():
    scheduler = build_scheduler()
    timesteps = choose_timesteps(scheduler, 3, 1.0, CPU, START)
    noise, mean = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    latents = take_step(scheduler, -mean, timesteps, 0, noise, 0.4)
    kept = scheduler.alphas_cumprod[499]
    torch.testing.assert_close(latents, kept.sqrt() * mean + (1 - kept).sqrt() * 0.4 * noise)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("strength", [1.0, 0.85, 0.5])
def test_a_perfect_denoiser_reaches_the_target(steps, strength):
    scheduler = build_scheduler()
    timesteps = choose_timesteps(scheduler, steps, strength, CPU, START)
    noise, target = torch.randn(2, 1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    latents = noise if strength == 1 else scheduler.add_noise(target, noise, timesteps[:1])
    for step, timestep in enumerate(timesteps):
        known = scheduler.alphas_cumprod[timestep]
        velocity = (known.sqrt() * latents - target) / (1 - known).sqrt()
        latents = take_step(scheduler, velocity, timesteps, step, latents, 1.0)
    if len(timesteps):
        torch.testing.assert_close(latents, target, rtol=1e-3, atol=1e-4)
