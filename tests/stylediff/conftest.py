"""Fixtures of the library's tests."""

import pytest

from tests.helpers.tiny_pipeline import tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a tiny model."""
    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(folder)
    return str(folder)
