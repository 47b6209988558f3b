"""Model files in a folder or on the Hugging Face Hub."""

from pathlib import Path
from typing import Any

DOWNLOAD_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only")


def local_folder(name: str | Path, arguments: dict[str, Any]) -> Path:
    """Return a model's folder, downloaded first for a Hub id.

    Args:
        arguments: arguments of ``from_pretrained``; those of the download are removed.

    Raises:
        OSError: neither a folder nor a Hub id that can be reached.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    chosen = {key: arguments.pop(key) for key in DOWNLOAD_ARGUMENTS if key in arguments}
    return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors"], **chosen))
