"""Further files of a model's repository, fetched beside the model: projectors, settings, cards."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from llamakit.errors import UsageError
from llamakit.tools.download import Report
from llamakit.tools.model_hub import RemoteFile, authorization, list_files
from llamakit.tools.model_source import HubModel, is_below, is_safe
from llamakit.tools.pull import fetch_files, missing, said_offline


def fetch_beside(
    model: HubModel,
    patterns: Sequence[str],
    folder: Path,
    report: Report | None = None,
    offline: bool | None = None,
    *,
    token: str | None = None,
    pause: float = 1.0,
) -> list[Path]:
    """The paths, below the folder, of the files that names or patterns mean; each arrives whole.

    The hub is asked each time; offline (None: as the environment says), what is here must do. Raises UsageError for a
    pattern that means no file or several, DownloadError for a file that cannot be had.
    """
    if said_offline() if offline is None else offline:
        here = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        names = [name for name in here if is_below(name)]
        if lacking := [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]:
            raise missing(f"{model} {lacking[0]}")
        return [folder / the_one(model.repo, names, pattern) for pattern in patterns]

    def ask() -> tuple[list[RemoteFile], list[RemoteFile]]:
        files = {file.path: file for file in list_files(model, token, pause, is_below)}
        wanted = [files[the_one(model.repo, list(files), pattern)] for pattern in patterns]
        return [file for file in files.values() if is_safe(file.path)], wanted

    found = fetch_files(model, folder, ask, authorization(model.hub, token), report, pause)
    return [folder / file.path for file in found]


def the_one(repo: str, names: Sequence[str], pattern: str) -> str:
    """The one file, or the first shard of the one model, that a name or a pattern means. Raises UsageError."""
    found = [name for name in names if fnmatch(name, pattern)]
    first = [name for name in found if "-of-" not in name or "-00001-of-" in name]
    if len(first) > 1:
        raise UsageError(f"Multiple files found in {repo} matching {pattern}: {', '.join(first)}")
    if not found:
        raise UsageError(f"No file found in {repo} that match {pattern}; there are: {', '.join(names)}")
    return (first or found)[0]
