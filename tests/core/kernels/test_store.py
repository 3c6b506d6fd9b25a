"""The dangers of compiled code on disk: stale, damaged, foreign, or not ours to run (faults 56 and 92)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llamakit.core.kernels import store
from llamakit.core.kernels.store import KernelStore
from llamakit.core.simd.target import host_target
from llamakit.errors import KernelError

ROOT = store.PACKAGE.parent
NAMES = ["norm.rms_norm", "executor.publish"]
NO_KERNELS = {"__init__", "build", "compile", "selftest", "store"}
MODULES = sorted(p.stem for p in (store.PACKAGE / "core/kernels").glob("*.py") if p.stem not in NO_KERNELS)


def python(code: str, *arguments: str) -> str:
    """What a new process prints."""
    command, environment = [sys.executable, "-c", code, *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store's folder with a few kernels in it."""
    folder = tmp_path_factory.mktemp("cache") / "kernels"
    KernelStore(folder).load(NAMES)
    return folder


# the key
LOADED = """
import importlib, json, sys
loaded = {}
for name in sys.argv[1:]:
    for module in [m for m in sys.modules if m.startswith("llamakit")]:
        del sys.modules[module]
    importlib.import_module(name)
    loaded[name] = [m.__file__ for n, m in sys.modules.items() if n.startswith("llamakit") and m.__file__]
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded():
    """The files of this package that importing a module really loads, by module."""
    modules = [f"llamakit.core.kernels.{m}" for m in MODULES if m != "jit"] + ["llamakit.core.kernels.jit"]
    files = json.loads(python(LOADED, *modules))
    return {name: {Path(f) for f in paths if not f.endswith("__init__.py")} for name, paths in files.items()}


@pytest.mark.parametrize("module", MODULES)
def test_the_key_covers_every_file_that_a_kernel_module_loads(loaded, module):
    """Else an edit would go unnoticed."""
    covered = store.source_files(store.PACKAGE / f"core/kernels/{module}.py")
    assert loaded[f"llamakit.core.kernels.{module}"] - covered == set()


def test_the_key_of_a_quantized_type_covers_its_file_and_the_compiler():
    covered = {p.relative_to(store.PACKAGE) for p in store.source_files(*store.roots("gemv.rows[:q4_k]"))}
    wanted = "kernels/gemv kernels/jit quants/q4_k quants/k_tile simd/lower simd/ops simd/target".split()
    assert {Path(f"core/{name}.py") for name in wanted} <= covered
    assert Path("core/quants/q6_k.py") not in covered


def forget():
    for function in (store.key, store.imports, store.versions, host_target):
        function.cache_clear()


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the package's sources that the key is computed from."""
    copy = tmp_path / "llamakit"
    shutil.copytree(store.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(store, "PACKAGE", copy)
    forget()
    yield copy
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    "edited, changes",
    [("core/kernels/norm.py", True), ("core/simd/lower.py", True), ("core/simd/target.py", True),
     ("core/kernels/jit.py", True), ("core/kernels/rope.py", False), ("core/quants/q4_k.py", False)],
)  # fmt: skip
def test_an_edit_makes_a_new_key_where_it_matters(sources, edited, changes):
    before = store.key("norm.rms_norm")
    (sources / edited).write_text((sources / edited).read_text() + "# more\n")
    forget()
    assert (store.key("norm.rms_norm") != before) == changes


def test_another_cpu_or_compiler_makes_a_new_key(monkeypatch):
    keys = [store.key("norm.rms_norm")]
    forget()
    monkeypatch.setenv("NUMBA_CPU_NAME", "x86-64")
    keys.append(store.key("norm.rms_norm"))
    forget()
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx")
    keys.append(store.key("norm.rms_norm"))
    forget()
    monkeypatch.setattr(store.llvmlite, "__version__", "0.0.1")
    keys.append(store.key("norm.rms_norm"))
    monkeypatch.undo()
    forget()
    assert len(set(keys)) == 4
    assert store.key("norm.rms_norm") == keys[0]


# fault 56: what lies in the folder
def flip(data: bytes) -> bytes:
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-100], lambda d: b"", lambda d: d[:10], flip, lambda d: d + b"x", lambda d: bytes(len(d))],
    ids=["cut short", "empty", "less than a digest", "one bit", "longer", "zeros"],
)  # fmt: skip
def test_fault_56_a_damaged_object_is_not_read(folder, damage):
    kept = KernelStore(folder)
    path = kept.path(NAMES[0])
    whole = path.read_bytes()
    try:
        path.write_bytes(damage(whole))
        assert kept.read(NAMES[0]) is None
        assert kept.missing(NAMES) == [NAMES[0]]
    finally:
        path.write_bytes(whole)
    assert kept.read(NAMES[0]) == whole[store.DIGEST_SIZE :]


def test_fault_56_a_damaged_object_is_compiled_again(folder):
    kept = KernelStore(folder)
    path = kept.path(NAMES[0])
    path.write_bytes(flip(path.read_bytes()))
    compiled = []
    assert kept.load(NAMES, report=compiled.append)[NAMES[0]]
    assert compiled == [NAMES[0]]
    assert kept.read(NAMES[0]) is not None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_fault_56_a_folder_that_others_can_write_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(KernelError, match=r"not ours alone.*LLAMAKIT_CACHE"):
        KernelStore(tmp_path)


def test_fault_56_an_object_that_others_can_write_is_refused(folder):
    kept = KernelStore(folder)
    kept.path(NAMES[1]).chmod(0o666)
    try:
        with pytest.raises(KernelError, match="mode 666"):
            kept.load(NAMES)
    finally:
        kept.path(NAMES[1]).chmod(0o600)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_fault_56_an_object_of_another_user_is_refused(folder):
    kept = KernelStore(folder)
    os.chown(kept.path(NAMES[1]), 12345, -1)
    try:
        with pytest.raises(KernelError, match="owner 12345"):
            kept.load(NAMES)
    finally:
        os.chown(kept.path(NAMES[1]), os.getuid(), -1)


def test_fault_56_a_link_in_place_of_an_object_is_refused(folder, tmp_path):
    kept = KernelStore(folder)
    path, elsewhere = kept.path(NAMES[1]), tmp_path / "elsewhere.o"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    try:
        with pytest.raises(KernelError, match="not ours alone"):
            kept.load(NAMES)
    finally:
        path.unlink()
        elsewhere.rename(path)


def test_new_folders_and_objects_are_ours_alone(folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.glob("*.o"))


def test_pruning_keeps_what_today_would_make(folder):
    kept = KernelStore(folder)
    old = [folder / name for name in ("norm.rms_norm-00000000000000000000.o", "gone.kernel-11111111111111111111.o")]
    for path in old:
        path.write_bytes(b"")
    assert kept.prune() == 2
    assert not any(path.exists() for path in old)
    assert kept.missing(NAMES) == []


def test_pruning_knows_kernels_of_quantized_types(folder):
    kept = KernelStore(folder)
    names = ["gemm.rows[:q4_k,2,6]", "attention.attend[f16,q8_0,6,4]", "float_gemv.rows[bf16]"]
    for name in names:
        kept.write(name, b"code")
    assert kept.prune() == 0
    assert kept.missing(names) == []
    for name in names:
        kept.path(name).unlink()


# fault 92: compiling
LOAD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from llamakit.core.kernels.store import KernelStore
KernelStore(Path(sys.argv[1])).load(sys.argv[2:])
print("numba" in sys.modules)
"""


def load_elsewhere(folder: Path, *names: str) -> str:
    """Load kernels in a new process, which says whether it imported Numba."""
    return python(LOAD, *map(str, (folder, *names))).strip()


def test_fault_92_two_processes_fill_one_folder(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: load_elsewhere(tmp_path / "k", *NAMES), range(2)))
    assert KernelStore(tmp_path / "k").missing(NAMES) == []
    assert [p.name for p in (tmp_path / "k").iterdir() if p.name.startswith(".")] == []


def test_fault_92_a_cache_that_cannot_be_written_gives_way_to_one_for_the_process(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    kept = KernelStore(tmp_path / "file" / "kernels")
    assert "LLAMAKIT_CACHE" in caplog.text
    assert os.access(kept.folder, os.W_OK)
    assert kept.folder.stat().st_mode & 0o777 == 0o700


def test_fault_92_no_home_folder_is_said_clearly(monkeypatch):
    monkeypatch.delenv("LLAMAKIT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(KernelError, match="LLAMAKIT_CACHE"):
        KernelStore()


def test_a_kernel_that_does_not_compile_says_why(folder):
    with pytest.raises(KernelError, match=r"kernel norm\.no_such does not compile(.|\n)*AttributeError"):
        KernelStore(folder).load(["norm.no_such"])


def test_a_warm_load_does_not_import_numba(folder):
    assert load_elsewhere(folder, *NAMES) == "False"


def test_a_cold_load_does_not_import_numba_into_this_process(tmp_path):
    assert load_elsewhere(tmp_path / "k", "executor.publish") == "False"


# the self-test of intrinsics
def test_wrong_instructions_give_way_to_plain_ones(tmp_path):
    """A machine whose dot of bytes lies: warned of, then compiled without it, here and in child processes."""
    code = """
import logging, sys
from pathlib import Path
from llamakit.core.kernels import selftest
from llamakit.core.kernels.store import KernelStore
from llamakit.core.simd.target import host_target
logging.basicConfig(stream=sys.stdout, format="%(message)s")
honest = selftest.failures
selftest.failures = lambda kernels: [] if host_target().is_generic else ["the dot of bytes"]
store = KernelStore(Path(sys.argv[1]) / "k")
plain = store.load(["probe.dots"])
print(host_target().is_generic, honest(plain), len(list(store.folder.glob("probe.dots-*.o"))))
"""
    lines = python(code, str(tmp_path)).splitlines()
    assert "the dot of bytes" in lines[0] and "slower" in lines[0]
    assert lines[-1] == "True [] 2"


def test_this_machine_passes_its_self_test():
    from llamakit.core.kernels.selftest import failures

    assert failures(KernelStore().load(["probe.dots"])) == []


@pytest.mark.parametrize("wrong", ["dot4", "dot4_wide"])
def test_the_self_test_finds_a_wrong_instruction(tmp_path, wrong):
    code = """
import json, sys
from llamakit.core.kernels import probe, selftest
from llamakit.core.kernels.compile import only
from llamakit.core.kernels.jit import to_ir
from llamakit.core.kernels.store import link
from llamakit.core.simd import lower
from llamakit.core.simd.target import target_machine
import llvmlite.binding as llvm
right = getattr(lower.Emitter, sys.argv[1])
setattr(lower.Emitter, sys.argv[1], lambda self, total, u, s: self.builder.add(total, right(self, total, s, u)))
machine = target_machine()
module = only(llvm.parse_assembly(to_ir(probe.dots, "probe.dots")), "probe.dots", machine)
print(json.dumps(selftest.failures(link({"probe.dots": machine.emit_object(module)}))))
"""
    assert {"dot4": "the dot of bytes", "dot4_wide": "the dot of wide bytes"}[wrong] in json.loads(python(code, wrong))
