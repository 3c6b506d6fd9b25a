"""What a slow kernel looks like without a clock: accumulators on the stack, vectors spilled in inner loops.

A loop bound that LLVM does not see leaves `registers(...)` in memory; too many of them spill. Kernels are compiled for
an AVX-512 machine whatever this one is: 32 registers, tiles of 2 x 6.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llamakit.core.simd.target import AVX2, host_target

from .products import QUANTIZED

REPO = Path(__file__).parents[3]
AVX512 = "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd,+avx512vnni,+avx512bf16,+evex512," + AVX2
SOME = (
    "gemv.rows[:q4_k]", "gemm.rows[:q4_0,2,6]", "gemm.rows[:q4_k,2,6]", "gemm.rows[:q6_k,2,6]",
    "float_gemm.rows[f32,2,6]", "bf16_gemm.rows[2,6]", "attention.attend[f16,f16,6,4]", "few_rows.rows[:q4_1,8]",
)  # fmt: skip
ALL = (
    *(f"gemv.rows[:{type}]" for type in QUANTIZED),
    *(f"gemm.rows[:{type},2,6]" for type in QUANTIZED),
    "float_gemv.rows[f16]", "float_gemv.rows[bf16]", "float_gemm.rows[f16,2,6]", "bf16_gemv.rows",
    "attention.attend[f32,f32,6,4]", "attention.attend[q8_0,q8_0,6,4]", "attention.attend[f16,f16,1,4]",
)  # fmt: skip
BY_16 = ("q2_k", "q3_k", "q6_k")  # scales for 16 columns: three tiles of 12 at once do not fit 32 registers

pytestmark = pytest.mark.skipif(not host_target().is_x86, reason="LLVM's back end for x86 is asked here")


def measure(names: tuple[str, ...]) -> dict:
    """What `assembly.py` says of each kernel."""
    environment = {"PYTHONPATH": str(REPO), "NUMBA_CPU_NAME": "znver4", "NUMBA_CPU_FEATURES": AVX512}
    command = [sys.executable, "-m", "tests.core.kernels.assembly", *names]
    done = subprocess.run(
        command, env=os.environ | environment, cwd=REPO, check=True, text=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def check(names: tuple[str, ...]) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = {name: of for part in pool.map(measure, (names[::2], names[1::2])) for name, of in part.items()}
    assert set(found) == set(names)
    for name, of in found.items():
        # GEMV keeps the scales of a superblock at hand: eight or sixteen vectors, read once each
        may_stay = {"8 x <16 x float>", "16 x <16 x float>"} if name.startswith("gemv") and "_k" in name else set()
        assert set(of["tiles"]) <= may_stay, name
        assert of["spills"] <= (80 if any(type in name for type in BY_16) else 4), name


def test_register_tiles_stay_in_registers():
    check(SOME)


@pytest.mark.slow
def test_register_tiles_of_all_types_stay_in_registers():
    check(ALL)
