"""Fixtures of the library's tests."""

import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a tiny model."""
    from tests.helpers.tiny_pipeline import tiny_pipeline

    folder = tmp_path_factory.mktemp("model")
    tiny_pipeline().save_pretrained(folder)
    return str(folder)
