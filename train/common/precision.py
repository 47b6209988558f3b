"""Floating-point precision that is fastest on the current hardware."""

import torch


def choose_precision(wanted: str) -> str:
    """Return accelerate's ``mixed_precision`` for a setting.

    "auto" chooses bf16 where it is faster.

    That is on a GPU with bf16, or on a CPU with matrix tiles (AMX) or AVX-512's bf16 products. Others emulate bf16
    slowly.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return "bf16" if any(getattr(torch.cpu, check, bool)() for check in checks) else "no"


def fast_autocast(device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=choose_precision("auto") == "bf16")
