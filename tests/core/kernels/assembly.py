"""python -m tests.core.kernels.assembly KERNEL...: what is left of register tiles in each, as JSON by name."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import llvmlite.binding as llvm

from llamakit.core.kernels.compile import only
from llamakit.core.kernels.jit import to_ir
from llamakit.core.kernels.kernel import find
from llamakit.core.simd.target import target_machine


def measure(name: str) -> dict[str, Any]:
    """Tiles left on the stack as LLVM writes them, and whole vectors that are spilled or read back from there."""
    machine = target_machine()
    machine.set_asm_verbosity(True)
    module = only(llvm.parse_assembly(to_ir(find(name), name)), name, machine)
    assembly = machine.emit_assembly(module)
    return {
        "tiles": re.findall(r"alloca \[(\d+ x <.*?>)\]", str(module)),
        "spills": len(re.findall(r"64-byte (?:Folded )?(?:Spill|Reload)", assembly)),
        "half_spills": len(re.findall(r"32-byte (?:Folded )?(?:Spill|Reload)", assembly)),
        "bytes": len(machine.emit_object(module)),
    }


if __name__ == "__main__":
    print(json.dumps({name: measure(name) for name in sys.argv[1:]}))
