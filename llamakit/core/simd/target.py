"""The machine that kernels are compiled for: its name and features, and which instructions the SIMD layer may use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

# What a CPU that is named, not detected, has: NUMBA_CPU_NAME=haswell runs the AVX2 kernels on any newer machine.
AVX2 = "+avx2,+fma,+f16c,+bmi,+bmi2,+sse4.2,+popcnt,+avx,+movbe,+lzcnt"
NAMED = dict.fromkeys(("haswell", "broadwell", "skylake", "znver1", "znver2", "znver3", "x86-64-v3"), AVX2)


GENERIC = "LLAMAKIT_GENERIC_SIMD"  # how a process tells its compiler processes


@dataclass(frozen=True)
class Target:
    """An LLVM target. `features` is LLVM's comma list.

    `is_generic` keeps the dots of bytes to plain LLVM IR: slow, but right where an intrinsic failed its self-test.
    """

    triple: str
    cpu: str
    features: str
    is_generic: bool = False

    def has(self, feature: str) -> bool:
        return f"+{feature}" in self.features.split(",")

    @property
    def has_avx512(self) -> bool:
        return self.has("avx512f")

    @property
    def has_vnni(self) -> bool:
        return not self.is_generic and ((self.has("avx512vnni") and self.has("avx512vl")) or self.has("avxvnni"))

    @property
    def has_vbmi(self) -> bool:
        return not self.is_generic and self.has("avx512vbmi") and self.has("avx512bw")

    @property
    def has_bf16(self) -> bool:
        return not self.is_generic and self.has("avx512bf16")

    @property
    def has_avx2(self) -> bool:
        return not self.is_generic and self.has("avx2")

    @property
    def is_x86(self) -> bool:
        return self.triple.startswith(("x86_64", "i686"))


@cache
def host_target() -> Target:
    """This machine, or the CPU that Numba's own NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name."""
    name = os.environ.get("NUMBA_CPU_NAME", "host")
    if name == "host":
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    else:
        cpu, features = name, NAMED.get(name, "")
    features = os.environ.get("NUMBA_CPU_FEATURES", features)
    return Target(llvm.get_process_triple(), cpu, features, is_generic=os.environ.get(GENERIC) == "1")


def fall_back() -> None:
    """From now on, here and in the compiler processes started from here: no intrinsics for dots of bytes."""
    os.environ[GENERIC] = "1"
    host_target.cache_clear()


@cache
def initialize() -> None:
    """LLVM's back ends, once a process."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def target_machine() -> Any:
    """LLVM's code generator for `host_target()`."""
    initialize()
    target = host_target()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small", jit=True
    )
