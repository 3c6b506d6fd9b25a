"""Kernels that give the machine's peaks in float32 FMAs and bf16 dots, for `bench_kernels.py`; written as LLVM IR."""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.binding as llvm

from llamakit.core.kernels.limits import Limit
from llamakit.core.kernels.store import Kernels
from llamakit.core.kernels.store import link as link_objects
from llamakit.core.simd.target import host_target, target_machine


@dataclass(frozen=True)
class Instruction:
    """One vector instruction of 16 float lanes as LLVM calls it; `a` is the sum so far, x and y the factors."""

    declaration: str
    call: str
    factor: str  # type of x and y
    n_operations: int


def float_instructions() -> dict[str, Instruction]:
    """By limit; without bf16 dots, 16-bit products are FMAs too."""
    vector, pairs, dot = "<16 x float>", "<32 x bfloat>", "@llvm.x86.avx512bf16.dpbf16ps.512"
    fma = Instruction(
        f"declare {vector} @llvm.fma.v16f32({vector}, {vector}, {vector})",
        f"call {vector} @llvm.fma.v16f32({vector} %x, {vector} %y, {vector} {{a}})",
        vector,
        2 * 16,
    )
    bf16 = Instruction(
        f"declare {vector} {dot}({vector}, {pairs}, {pairs})",
        f"call {vector} {dot}({vector} {{a}}, {pairs} %x, {pairs} %y)",
        pairs,
        4 * 16,
    )
    return {"f32": fma, "bf16": bf16} if host_target().has_bf16 else {"f32": fma}


def n_accumulators() -> int:
    """Enough to hide the latency, few enough for the registers (two for each 16 lanes with AVX2)."""
    return 12 if host_target().has_avx512 else 6


def compile_peak(name: str, instruction: Instruction) -> Kernels:
    """A kernel on `Limit` records: n_rounds of independent instructions on every thread."""
    n, vector, offset = range(n_accumulators()), "<16 x float>", {k: f.offset for k, f in Limit.FIELDS.items()}
    lines = [
        instruction.declaration,
        f'define void @"{name}"(ptr %op, i64 %thread, i64 %n_threads) {{',
        "entry:",
        f"  %at_rounds = getelementptr i8, ptr %op, i64 {offset['n_rounds']}",
        f"  %at_out = getelementptr i8, ptr %op, i64 {offset['out']}",
        f"  %at_source = getelementptr i8, ptr %op, i64 {offset['source']}",
        "  %rounds = load i64, ptr %at_rounds",
        "  %out = load ptr, ptr %at_out",
        "  %source = load ptr, ptr %at_source",
        "  %second = getelementptr i8, ptr %source, i64 64",
        f"  %x = load {instruction.factor}, ptr %source",
        f"  %y = load {instruction.factor}, ptr %second",
        "  br label %loop",
        "loop:",
        "  %round = phi i64 [0, %entry], [%next, %loop]",
        *(f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%b{k}, %loop]" for k in n),
        *(f"  %b{k} = " + instruction.call.format(a=f"%a{k}") for k in n),
        "  %next = add i64 %round, 1",
        "  %is_done = icmp eq i64 %next, %rounds",
        "  br i1 %is_done, label %end, label %loop",
        "end:",
        *(f"  %s{k} = fadd {vector} {f'%s{k - 1}' if k else '%b0'}, %b{k}" for k in n),
        "  %line = mul i64 %thread, 64",
        "  %target = getelementptr i8, ptr %out, i64 %line",
        f"  store {vector} %s{n[-1]}, ptr %target",
        "  ret void",
        "}",
    ]
    return link_objects({name: target_machine().emit_object(llvm.parse_assembly("\n".join(lines)))})
