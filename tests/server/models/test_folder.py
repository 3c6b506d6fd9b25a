"""The models of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.errors import UsageError
from llamakit.server.models.folder import models_of
from llamakit.server.settings import ModelSettings


def test_files_and_folders_are_models_by_their_names(tmp_path):
    for name in (
        "b.gguf", "a-Q4_0.gguf", "mmproj-a.gguf", "notes.txt", "big-00001-of-00002.gguf", "big-00002-of-00002.gguf",
        "folder/x-00001-of-00002.gguf", "folder/x-00002-of-00002.gguf", "empty/readme",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = models_of(str(tmp_path), ModelSettings("", n_slots=3))
    assert {name: Path(settings.path).name for name, settings in found.items()} == {
        "a-Q4_0": "a-Q4_0.gguf",
        "b": "b.gguf",
        "big": "big-00001-of-00002.gguf",
        "folder": "x-00001-of-00002.gguf",
    }
    assert {settings.n_slots for settings in found.values()} == {3}


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--models-dir .*nowhere: No such file"):
        models_of(str(tmp_path / "nowhere"), ModelSettings(""))
