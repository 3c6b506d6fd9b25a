"""The one place that sets Numba options: a kernel to optimized LLVM IR with one C function, named as the kernel.

Only compiler processes import this module. Machine code is made by `compile.py` and kept by `store.py`.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.core.compiler import Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from llamakit.core.kernels.kernel import Kernel
from llamakit.core.simd.lower import PointerType, value_type
from llamakit.core.simd.records import RecordType


@global_compiler_lock
def to_ir(kernel: Kernel, symbol: str) -> str:
    """Optimized LLVM IR with one C function `symbol`; its helpers are in it. Float order is kept: no fast-math."""
    flags = Flags()
    flags.error_model = "numpy"
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    result = compile_extra(
        cpu_target.typing_context, cpu_target.target_context, kernel.function, arguments(kernel), types.void, flags, {}
    )
    add_entry(result.library, result.fndesc, symbol)
    result.library.finalize()
    return result.library.get_llvm_str()


def arguments(kernel: Kernel) -> tuple[types.Type, ...]:
    return tuple(
        PointerType(p, **kernel.constants) if isinstance(p, RecordType) else value_type(p) for p in kernel.parameters
    )


def add_entry(library, descriptor, symbol: str) -> None:
    """A plain C function around Numba's, which returns a status that is always 0: kernels do not raise."""
    context = cpu_target.target_context
    module = library.create_ir_module(symbol)
    inner = context.declare_function(module, descriptor)
    kinds = [context.get_argument_type(a) for a in descriptor.argtypes]
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), symbol)
    builder = ir.IRBuilder(entry.append_basic_block())
    context.call_conv.call_function(builder, inner, types.void, descriptor.argtypes, entry.args)
    builder.ret_void()
    library.add_ir_module(module)
