"""Every op of the SIMD layer against NumPy, on this CPU and as the AVX2 and the plain form of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.quants import dequantize, quantize
from llamakit.core.simd import ops
from llamakit.core.simd.op import Op

REPO = Path(__file__).parents[3]
PROBE = (Path(__file__).parent / "probe.py").read_text()
TARGETS = {
    "host": {},
    "avx2": {"NUMBA_CPU_NAME": "haswell"},
    "plain": {"LLAMAKIT_GENERIC_SIMD": "1"},
}


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    x, y, z = rng.normal(size=(3, 16)).astype(np.float32) * np.float32(10)
    x[:6] = 0.5, 1.5, -2.5, -0.0, 3e-41, 123456.0
    y[0], y[5] = 2.0, x[5]
    i = rng.integers(-1000, 1000, 16, dtype=np.int32)
    j = rng.integers(-(2**31), 2**31, 16).astype(np.int32)
    anything = rng.integers(0, 256, 64, dtype=np.uint8)
    low, signed = rng.integers(0, 128, 64, dtype=np.uint8), rng.integers(-127, 128, 64).astype(np.int8)
    anything[:4], anything[4:8], low[:4], signed[:8] = 255, 0, 127, [127] * 4 + [-127] * 4
    halves = rng.normal(size=16).astype(np.float16)
    halves[:5] = 0.0, 6e-8, 1e-5, 65504.0, -np.inf
    brains = quantize(rng.normal(size=(1, 64)).astype(np.float32), "bf16").view(np.uint16).reshape(64)
    return {"x": x, "y": y, "z": z, "i": i, "j": j, "any": anything, "low": low, "signed": signed,
            "halves": halves, "brains": brains}  # fmt: skip


@pytest.fixture(scope="module", params=TARGETS)
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    np.savez(folder / "in.npz", **inputs())
    environment = os.environ | TARGETS[request.param] | {"PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "tests.core.simd.probe", str(folder / "in.npz"), str(folder / "out.npz")]
    subprocess.run(command, env=environment, cwd=REPO, check=True)
    return dict(np.load(folder / "out.npz"))


def names(table: str) -> list[str]:
    """The names beside the rows of a kernel of the probe."""
    return re.findall(r'"([^"]+)"', re.search(rf"^{table} = \((.*?)^\)|^{table} = \((.*)\)", PROBE, re.M | re.S)[0])


def brain_floats(brains: np.ndarray) -> np.ndarray:
    return (brains.astype(np.uint32) << 16).view(np.float32)


def as_brains(x: np.ndarray) -> np.ndarray:
    return quantize(x[None], "bf16").view(np.uint16).reshape(-1)


def tree_sum(x: np.ndarray) -> np.float32:
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


def round_to_half_precision(x: np.float32) -> np.float32:
    mantissa, exponent = np.frexp(np.float64(x))
    return np.float32(np.ldexp(np.rint(mantissa * 2048) / 2048, exponent))


def dot2(total: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pairs of bf16: the second of each, then the first, rounded after each sum."""
    x, y = (brain_floats(v).reshape(16, 2).astype(np.float64) for v in (x, y))
    total = (total + x[:, 1] * y[:, 1]).astype(np.float32)
    return (total + x[:, 0] * y[:, 0]).astype(np.float32)


def wanted_floats() -> list[np.ndarray]:
    g = inputs()
    x, y, z, anything = g["x"], g["y"], g["z"], g["any"]
    both = np.concatenate([x, y])
    quarter = anything.reshape(4, 16).astype(np.float32)
    turns = np.arange(16) // 2 + 16 * (np.arange(16) % 2)
    tile = [x * np.float32(k) for k in range(4)]
    repeated = np.tile(x[:8], 2)
    singles = np.zeros(16, np.float32)
    singles[:8] = (
        np.sqrt(y[0]), x.max(), tree_sum(x), round_to_half_precision(x[2]), 3, g["halves"][5],
        brain_floats(g["brains"])[6], np.abs(both).max(),
    )  # fmt: skip
    return [
        (x.astype(np.float64) * y + z).astype(np.float32), np.maximum(x, y), np.minimum(x, y), np.abs(x), np.rint(x),
        np.arange(16), both[::2], both[1::2], both[turns], both[turns + 8],
        g["i"].astype(np.float32), (x.view(np.int32) ^ 1).view(np.float32), *quarter,
        np.where(x < y, x, z), np.full(16, x[3]), g["halves"].astype(np.float32), brain_floats(g["brains"][:16]),
        ((tile[3] + tile[0]) + tile[1]) + tile[2], x + y, x - y, x * y, x / y,
        np.full(16, 2.5), np.float32(0.5) * x - 1, x + y, (x + y) * z,
        dot2(z, g["brains"][:32], g["brains"][32:]), np.copysign(np.floor(np.abs(x) + 0.5), x), np.sqrt(np.abs(x)),
        np.clip(x, -1, 2), np.full(16, -1), y[g["low"].view(np.int32) & 15], repeated[anything.view(np.int32) & 7],
        singles,
    ]  # fmt: skip


def wanted_ints(wide_bias: int) -> list[np.ndarray]:
    g = inputs()
    x, y, i, j = g["x"], g["y"], g["i"], g["j"]
    signed = g["signed"].astype(np.int32).reshape(16, 4)
    low, wide = (g[name].astype(np.int32).reshape(16, 4) for name in ("low", "any"))
    singles = np.zeros(16, np.int32)
    with np.errstate(over="ignore"):
        singles[0] = j.sum(dtype=np.int32)
        singles[2], singles[3], tripled = (i < j).any(), i.min(), j * 3
    table = np.array([0x7060504030201080, 0x00FEDCBA98765432]).view(np.uint8)
    unbiased = wide - (0 if wide_bias else 128)
    return [
        x.astype(np.int32), i.astype(np.int8).astype(np.int32), i, x.view(np.int32), -(x < y).astype(np.int32),
        i + (low * signed).sum(1), i + (unbiased * signed).sum(1),
        np.full(16, np.frombuffer(g["signed"].tobytes(), np.int32, 1, 5)[0]), np.full(16, i[2]),
        i & j, i | j, i ^ j, i << 3, (i.view(np.uint32) >> 5).view(np.int32),
        i + j, i * 7, table[g["any"] & 15].view(np.int32),
        np.minimum(i, j), -(i < j).astype(np.int32), np.where(i < j, i, tripled), j[g["low"].view(np.int32) & 15],
        singles,
    ]  # fmt: skip


def test_floats(results):
    table = names("FLOATS")
    for name, got, wanted in zip(table, results["floats"], wanted_floats(), strict=False):
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    assert len(table) == len(wanted_floats()) == len(results["floats"]) - 1


def test_whole_numbers(results):
    table, wanted = names("INTS"), wanted_ints(int(results["addresses"][2]))
    for name, got, row in zip(table, results["ints"], wanted, strict=False):
        np.testing.assert_array_equal(got, row, err_msg=name)
    assert len(table) == len(wanted) == len(results["ints"]) - 1


def test_bytes_by_tables_and_bits_that_become_bytes(results):
    g, got = inputs(), results["pieces"]
    anything, low, words = g["any"], g["low"], g["any"].view(np.uint32).astype(np.int64)
    for k, high in enumerate((0, 0, 1, 7)):  # bits from the eighth on
        indices = (anything if k else low) + 256 * (low & high).astype(np.int64)
        np.testing.assert_array_equal(got[k], results[f"table {k}"][indices], err_msg=f"table {k}")
    for k, (first, step, width, at) in enumerate(results["spreads"]):
        bits = words[:, None] >> (first + step * np.arange(4)) & (1 << width) - 1
        np.testing.assert_array_equal(got[4 + k].reshape(16, 4), bits << at, err_msg=f"spread {k}")
    np.testing.assert_array_equal(got[11].view(np.int32), results["table 0"].view(np.int32)[low.view(np.int32) & 31])
    np.testing.assert_array_equal(got[12], (anything + 256 * (low & 7).astype(int)) // 17)
    halves = [g["halves"].view(np.uint16)[::2], anything.view(np.uint16)[::2]]
    for row, bits in zip(got[-2:].view(np.float32), halves, strict=True):
        np.testing.assert_array_equal(row[: len(bits)], bits.view(np.float16).astype(np.float32))


def test_numbers_are_rounded_to_the_nearest_on_their_way_to_memory(results):
    g = inputs()
    with np.errstate(over="ignore"):
        half = g["x"].astype(np.float16)
    stored = results["stores"]
    np.testing.assert_array_equal(stored[0].view(np.float16)[:16], half)
    np.testing.assert_array_equal(stored[1].view(np.uint16)[:16], as_brains(g["x"]))
    np.testing.assert_array_equal(stored[2].view(np.int8)[:16], g["i"].astype(np.int8))
    assert stored[3].view(np.float16)[0] == half[1]
    assert stored[4].view(np.uint16)[0] == as_brains(g["x"])[1]
    assert stored[5].view(np.int16)[0] == g["i"][3]
    assert not stored[:2, 32:].any()
    np.testing.assert_array_equal(dequantize(stored[1, :32], "bf16"), brain_floats(as_brains(g["x"])))


def test_pointers_atomics_and_arguments(results):
    null, pointer, bias, registers, before, after, stored, at_address, thread, n_threads = results["addresses"][:10]
    assert (null, pointer, before, after, stored, at_address, thread, n_threads) == (1, 0, 40, 42, 7, 11, 2, 4)
    assert bias in (0, 1)
    assert registers in (8, 32)


def test_a_field_may_be_a_constant_of_the_kernel(results):
    assert results["constants"][0] == 12


def test_the_probe_uses_every_op():
    """`call_kernel` runs in every test of the executor."""
    unused = {name for name, op in vars(ops).items() if isinstance(op, Op) and not re.search(rf"\b{name}\(", PROBE)}
    assert unused == {"call_kernel"}
