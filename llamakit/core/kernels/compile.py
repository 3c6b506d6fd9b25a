"""python -m llamakit.core.kernels.compile FOLDER: compile the kernels named on stdin, one line of output for each."""

from __future__ import annotations

import sys
from pathlib import Path

import llvmlite.binding as llvm

from llamakit.core.kernels.jit import to_ir
from llamakit.core.kernels.kernel import find
from llamakit.core.kernels.store import KernelStore, link
from llamakit.core.simd.target import target_machine

OUTSIDE = {"sched_yield", "memcpy", "memset", "memmove"}  # the C symbols that a kernel may need


def compile_to(store: KernelStore, name: str) -> None:
    machine = target_machine()
    module = only(llvm.parse_assembly(to_ir(find(name), name)), name, machine)
    called = {f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")}
    if called - OUTSIDE:
        raise SystemExit(f"{name} calls {sorted(called - OUTSIDE)}: a kernel may not raise, allocate or print")
    code = machine.emit_object(module)
    link({name: code})  # what is published loads: an unknown intrinsic fails here
    store.write(name, code)


def only(module: llvm.ModuleRef, name: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """Drop all but the entry: Numba's own function, now part of it, would be machine code twice."""
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.PipelineTuningOptions()))
    return module


if __name__ == "__main__":
    store = KernelStore(Path(sys.argv[1]))
    for line in sys.stdin:
        compile_to(store, line.strip())
        print(line.strip(), flush=True)
