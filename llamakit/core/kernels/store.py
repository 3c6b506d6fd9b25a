"""Compiled kernels as object files on disk: a warm start loads them without importing Numba.

An object's file name carries a key of everything that shaped its code: the text of its module and of every module of
this package that one imports, the CPU and its features, and the compiler's versions.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from llamakit.core.kernels.kernel import split_name
from llamakit.core.simd.target import host_target, target_machine
from llamakit.errors import KernelError

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[2]  # the folder of `llamakit`
DIGEST_SIZE = hashlib.sha256().digest_size


class KernelStore:
    """Kernels by name to callable addresses, by way of a folder of object files.

    Raises KernelError when the folder, or a file in it, could have been written by somebody else: object files are
    code that we run. A folder that we cannot write gives way to one for this process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "kernels"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            check_owner(self.folder)
            is_writable = os.access(self.folder, os.W_OK)
        except OSError:
            is_writable = False
        if not is_writable:
            log.warning(
                "%s cannot be written: kernels are compiled for this process only; "
                "set LLAMAKIT_CACHE to a folder you can write",
                self.folder,
            )
            self.folder = own_temporary_folder()

    def path(self, name: str) -> Path:
        return self.folder / f"{name.replace(':', '=')}-{key(name)}.o"

    def load(
        self, names: list[str], n_processes: int | None = None, report: Callable[[str], None] = lambda name: None
    ) -> Kernels:
        """The named kernels; those not on disk (whole) are compiled first, in parallel; `report(name)` after each."""
        if not self.passed().exists():
            from llamakit.core.kernels.selftest import check

            check(self)
        return self.link(names, n_processes, report)

    def link(self, names: list[str], n_processes: int | None, report: Callable[[str], None]) -> Kernels:
        """`load` without the self-test of the machine's intrinsics."""
        objects = {name: self.read(name) for name in names}
        if missing := [n for n in names if objects[n] is None]:
            from llamakit.core.kernels.build import compile_kernels  # only a cold start pays for its imports

            compile_kernels(missing, self.folder, n_processes or min(len(missing), os.cpu_count() or 1), report)
            objects |= {name: self.read(name) for name in missing}
        if lost := [n for n in names if objects[n] is None]:
            raise KernelError(
                f"{self.folder}: kernel {lost[0]} was compiled but cannot be read back; is the disk full?"
            )
        return link({name: code for name, code in objects.items() if code is not None})

    def passed(self) -> Path:
        """The mark that this machine's intrinsics passed their self-test with these compilers."""
        return self.folder / f"selftest-{key('probe.dots')}.passed"

    def missing(self, names: list[str]) -> list[str]:
        return [n for n in names if self.read(n) is None]

    def read(self, name: str) -> bytes | None:
        """The object code, or None if the file is missing or damaged (a crash may leave a renamed file empty)."""
        path = self.path(name)
        try:
            check_owner(path)
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        digest, code = data[:DIGEST_SIZE], data[DIGEST_SIZE:]
        return code if hashlib.sha256(code).digest() == digest else None

    def write(self, name: str, code: bytes) -> None:
        """Readers see the whole file or none; of two writers the last wins with equal bytes."""
        path = self.path(name)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(draft, path)

    def prune(self) -> int:
        """Remove objects that today's sources and compilers no longer make; returns how many."""
        n_removed = 0
        for path in self.folder.glob("*.o"):
            name, _, old = path.stem.rpartition("-")
            if not is_current(name, old):
                path.unlink(missing_ok=True)
                n_removed += 1
        return n_removed


class Kernels(dict[str, int]):
    """Addresses by name. Owns the machine code: whoever stores an address keeps this object too."""

    library: Any = None


def link(objects: dict[str, bytes]) -> Kernels:
    """Place object code in memory."""
    builder = llvm.JITLibraryBuilder().add_current_process()
    for name, code in objects.items():
        builder.add_object_img(code).export_symbol(name)
    library = builder.link(llvm.create_lljit_compiler(target_machine()), "kernels")
    kernels = Kernels((name, library[name]) for name in objects)
    kernels.library = library
    return kernels


@cache
def own_temporary_folder() -> Path:
    """A folder that goes with this process."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="llamakit-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def cache_folder() -> Path:
    """Where llamakit keeps what it can make again: $LLAMAKIT_CACHE, or llamakit in the user's cache folder."""
    if own := os.environ.get("LLAMAKIT_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "llamakit"
    except RuntimeError:
        raise KernelError("there is no home folder to keep compiled kernels in; set LLAMAKIT_CACHE") from None


def check_owner(path: Path) -> None:
    """Object files are code we run: nobody else may be able to write them."""
    if not hasattr(os, "getuid"):
        return  # Windows: the profile folder's ACL does this
    status = path.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or path.is_symlink():
        raise KernelError(
            f"{path} is not ours alone (owner {status.st_uid}, mode {status.st_mode & 0o777:o}); "
            f"remove it, or set LLAMAKIT_CACHE to a folder that only you can write"
        )


# the key
@cache
def key(name: str) -> str:
    """Twenty hex digits of all that shapes a kernel's code besides its name."""
    digest = hashlib.sha256(repr((host_target(), versions())).encode())
    for path in sorted(source_files(*roots(name))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def is_current(name: str, old: str) -> bool:
    name = name.replace("=", ":")
    return all(path.exists() for path in roots(name)) and key(name) == old


def roots(name: str) -> list[Path]:
    """The kernel's module, the files of its quantized types, and the compiler's own steps."""
    core = PACKAGE / "core"
    module, _, variants = split_name(name)
    types = [core / "quants" / f"{v[1:].partition('.')[0]}.py" for v in variants if v.startswith(":")]
    steps = [core / "kernels" / "jit.py", core / "kernels" / "compile.py"]
    return [core / "kernels" / f"{module}.py", *steps, *types]


IMPORT = re.compile(r"^from (llamakit[.\w]*) import (\([^)]*\)|.*)", re.MULTILINE)


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files of this package that one file imports; a test holds this against what Python really loads."""
    found = set()
    for module, names in IMPORT.findall(path.read_text(encoding="utf-8")):
        place = PACKAGE.parent.joinpath(*module.split("."))
        found.add(place / "__init__.py" if place.is_dir() else place.with_suffix(".py"))
        parts = (place / f"{name.split(' as ')[0].strip()}.py" for name in names.strip("()").split(","))
        found.update(part for part in parts if part.exists())
    return frozenset(found)


def source_files(*paths: Path) -> set[Path]:
    files: set[Path] = set()
    new = set(paths)
    while new:
        files |= new
        new = {f for n in new for f in imports(n)} - files
    return files


@cache
def versions() -> tuple[str, ...]:
    """Of LLVM, llvmlite and Numba; Numba is found, not imported."""
    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise KernelError("numba is not installed; kernels cannot be compiled")
    numba = Path(spec.origin).with_name("_version.py").read_text(encoding="utf-8")
    return str(llvm.llvm_version_info), llvmlite.__version__, numba
