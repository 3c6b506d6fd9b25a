"""Models of hubs, fetched when they are not here yet."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from llamakit.errors import UsageError


def model_file(
    repo_id: str, filename: str | None, additional_files: Sequence[str] | None, local_dir: str | Path | None
) -> Path:
    """The path of the file of a Hugging Face repository that a name or a pattern means.

    A split is fetched with all of its shards, so `additional_files` that are shards need not be named; other ones are
    refused. Raises UsageError where the pattern means no file, or several, DownloadError for what cannot be had.
    """
    from llamakit.tools.model_hub import list_files
    from llamakit.tools.model_source import parse_hub_model
    from llamakit.tools.pull import resolve

    if local_dir is not None:
        raise UsageError("local_dir: models are kept in the cache; `llamakit models` tells their paths")
    if filename is None:
        return resolve(f"hf:{repo_id}")
    if any(c in filename for c in "*?["):
        names = [file.path for file in list_files(parse_hub_model("hf", repo_id))]
        filename = only(repo_id, [name for name in names if fnmatch(name, filename)], filename, names)
    for extra in additional_files or ():
        if not fnmatch(extra, "*-of-*.gguf"):
            raise UsageError(f"additional_files: {extra} is no shard of a model; fetch it with `llamakit pull`")
    return resolve(f"hf:{repo_id}/{filename}")


def only(repo_id: str, found: Sequence[str], pattern: str, names: Sequence[str]) -> str:
    """The one file, or the first shard of the one model, that a pattern means."""
    first = [name for name in found if "-of-" not in name or "-00001-of-" in name]
    if not first:
        raise UsageError(f"No file found in {repo_id} that match {pattern}; there are: {', '.join(names)}")
    if len(first) > 1:
        raise UsageError(f"Multiple files found in {repo_id} matching {pattern}: {', '.join(first)}")
    return first[0]
