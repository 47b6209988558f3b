"""Prior of codes: causality, and the bits of codes that are known."""

import pytest
import torch

from train.models.code_prior import CodePrior, prior_loss


def test_a_code_depends_only_on_codes_before_it() -> None:
    torch.manual_seed(0)
    prior = CodePrior(size=8, width=16, layers=2).eval()
    codes = torch.randint(8, (1, 8, 8))
    changed = codes.clone()
    changed[0, 3, 4] = (codes[0, 3, 4] + 1) % 8
    same = (prior(codes) - prior(changed)).abs().amax(1)[0] < 1e-6
    assert same[:3].all()
    assert same[3, :5].all()
    assert not same[3, 5]
    assert not same[4:].all()


def test_untrained_uniform_logits_cost_all_bits() -> None:
    prior = CodePrior(size=16, width=8, layers=1)
    torch.nn.init.zeros_(prior.head[1].weight)
    torch.nn.init.zeros_(prior.head[1].bias)
    assert float(prior_loss(prior, torch.randint(16, (2, 8, 8))).detach()) == pytest.approx(4)


@pytest.mark.slow
def test_it_learns_a_regular_pattern() -> None:
    torch.manual_seed(0)
    prior = CodePrior(size=4, width=16, layers=1)
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    firsts = torch.randint(4, (64, 1, 1))
    codes = (firsts + torch.arange(8)[None, :, None] + torch.arange(8)) % 4  # two bits for 64 codes
    for _ in range(60):
        optimizer.zero_grad()
        loss = prior_loss(prior, codes)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
