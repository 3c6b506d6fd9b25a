"""A checkpoint of a model hub, fetched as `pull` fetches models: the files that `convert-hf` reads, and no others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llamakit.errors import UsageError
from llamakit.tools.catalog import models_folder
from llamakit.tools.download import DownloadError, Report
from llamakit.tools.model_cache import is_here, load_listing
from llamakit.tools.model_hub import RemoteFile, authorization, list_files
from llamakit.tools.model_source import HubModel, is_below, parse_hub_model
from llamakit.tools.pull import fetch_files, missing, said_offline

CONFIG, PARAMS = "config.json", "params.json"
# What tells of a model, in its folder or one below: settings, tokenizers, templates, the card.
DESCRIPTION = re.compile(
    r"(?:[^/]+\.json|README\.md|merges\.txt|vocab\.txt|[^/]+\.model(?:\.v\d+\w*)?|[^/]+\.jinja|rwkv_vocab[^/]*\.txt"
    r"|additional_chat_templates/[^/]+\.jinja|\d+_(?:Pooling|Dense)/(?:config\.json|model\.safetensors))"
)
# Tensors: the first kind that a repository has is what convert-hf takes.
TENSORS = (re.compile(r"model[^/]*\.safetensors"), re.compile(r"(?!adapter_|consolidated)[^/]+\.safetensors"))
PICKLES = (re.compile(r"pytorch_model[^/]*\.bin"), re.compile(r"[^/]+\.bin"))
MISTRAL_TENSORS = (re.compile(r"consolidated[^/]*\.safetensors"),)
MISTRAL_PICKLES = (re.compile(r"consolidated[^/]*\.pth"),)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files of a repository: those that `convert-hf` reads with the same settings."""

    has_weights: bool = True
    allow_pickle: bool = False
    is_mistral: bool = False
    config_only: bool = False

    def chosen(self, files: Sequence[RemoteFile], repo: str) -> list[RemoteFile]:
        """The description first. Raises DownloadError where there is no checkpoint among the files."""
        by_path = {file.path: file for file in files}
        config = PARAMS if self.is_mistral else CONFIG
        if config not in by_path:
            hint = f"; it has {PARAMS}: --mistral-format reads it" if PARAMS in by_path else ""
            raise DownloadError(f"{repo} has no {config}: it is no checkpoint that can be converted{hint}")
        if self.config_only:
            return [by_path[config]]
        found = [file for file in files if DESCRIPTION.fullmatch(file.path)]
        return found + (self.tensors(files, repo) if self.has_weights else [])

    def tensors(self, files: Sequence[RemoteFile], repo: str) -> list[RemoteFile]:
        kinds = MISTRAL_TENSORS if self.is_mistral else TENSORS
        pickles = MISTRAL_PICKLES if self.is_mistral else PICKLES
        for kind in (*kinds, *(pickles if self.allow_pickle else ())):
            found = [file for file in files if kind.fullmatch(file.path)]
            if found:
                return found
        if any(kind.fullmatch(file.path) for kind in pickles for file in files):
            raise DownloadError(f"{repo} has pickled tensors only; --allow-pickle fetches and reads them")
        raise DownloadError(f"{repo} has no safetensors files")


def parse_checkpoint(spec: str) -> HubModel | None:
    """`[hf:|modelscope:]ORG/NAME` as a repository; None for what has not that form."""
    scheme, colon, rest = spec.partition(":")
    if colon and scheme not in ("hf", "modelscope"):
        return None
    if (rest if colon else spec).count("/") != 1:
        return None
    try:
        model = parse_hub_model(scheme if colon else "hf", rest if colon else spec)
    except UsageError:
        return None
    return model if model.quant is None else None


def fetch_checkpoint(
    model: HubModel,
    wanted: Wanted,
    report: Report | None = None,
    offline: bool | None = None,
    *,
    token: str | None = None,
    pause: float = 1.0,
) -> Path:
    """The folder of a checkpoint in the cache, with all wanted files, each whole and held against its hash.

    The hub is asked each time; offline (None: as the environment says), what is here must do. Raises DownloadError.
    """
    folder = models_folder() / "checkpoints" / model.hub / model.repo
    if said_offline() if offline is None else offline:
        listing = load_listing(folder)
        if not listing or not all(is_here(folder, file) for file in wanted.chosen(listing, model.repo)):
            raise missing(str(model))
        return folder

    def ask() -> tuple[list[RemoteFile], list[RemoteFile]]:
        listing = list_files(model, token, pause, is_below)
        return listing, wanted.chosen(listing, model.repo)

    folder.mkdir(parents=True, exist_ok=True)
    fetch_files(model, folder, ask, authorization(model.hub, token), report, pause)
    return folder
