"""Models of hubs, fetched when they are not here yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def model_file(
    repo_id: str,
    filename: str | None,
    additional_files: Sequence[str] | None = None,
    local_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    *,
    pause: float = 1.0,
) -> Path:
    """The path of the file of a Hugging Face repository that a name or a pattern means; of a split, its first shard.

    A split is fetched with all of its shards. `additional_files` are further names or patterns, each of one file.
    Files are kept below local_dir under their names in the repository, else in a folder of the repository in cache_dir,
    else in llamakit's cache. Seconds of `pause` lie between attempts. Raises UsageError where a pattern means no file,
    or several, DownloadError for what cannot be had.
    """
    from llamakit.tools.model_cache import folder_of, load_listing
    from llamakit.tools.model_hub import list_files
    from llamakit.tools.model_source import parse_hub_model
    from llamakit.tools.pull import resolve, said_offline
    from llamakit.tools.pull_files import fetch_beside, the_one

    model = parse_hub_model("hf", repo_id)
    folder = folder_of(model)
    if local_dir is not None:
        folder = Path(local_dir)
    elif cache_dir is not None:
        folder = Path(cache_dir) / model.hub / model.repo
    if filename is not None and any(c in filename for c in "*?["):
        files = load_listing(folder) if said_offline() else list_files(model, pause=pause)
        filename = the_one(model.repo, [file.path for file in files], filename)
    path = resolve(f"hf:{model.repo}/{filename}" if filename else f"hf:{repo_id}", pause=pause, folder=folder)
    if additional_files:
        fetch_beside(model, additional_files, folder, pause=pause)
    return path
