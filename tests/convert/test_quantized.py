"""Quantized checkpoints against weights packed here by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.convert.checkpoint import Checkpoint, float8_values, open_checkpoint
from llamakit.convert.config import Config
from llamakit.convert.quantized import dequantized
from llamakit.errors import ModelError

RNG = np.random.default_rng(7)
DTYPES = {"float32": "F32", "float16": "F16", "int32": "I32", "uint8": "U8"}


def checkpoint_of(folder: Path, arrays: dict[str, tuple[str, np.ndarray]], settings: dict[str, object]) -> Checkpoint:
    header, data = {}, b""
    for name, (dtype, array) in arrays.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    config = Config(folder / "config.json", {"quantization_config": settings})
    return dequantized(open_checkpoint(folder), config)


@pytest.mark.parametrize(
    "scales, block",
    [((2, 2), [4, 4]), ((1,), []), ((6, 1), []), ((6,), [])],
    ids=["of blocks, the last cut", "of all", "of rows", "of rows, flat"],
)
def test_float8_times_its_scales(scales: tuple[int, ...], block: list[int], tmp_path: Path) -> None:
    codes = RNG.integers(0, 120, (6, 8)).astype(np.uint8)
    scale = RNG.uniform(0.5, 2, scales).astype(np.float32)
    name = "weight_scale_inv" if block else "weight_scale"
    found = checkpoint_of(
        tmp_path,
        {"a.weight": ("F8_E4M3", codes), f"a.{name}": ("F32", scale)},
        {"quant_method": "fp8", **({"weight_block_size": block} if block else {})},
    )
    assert list(found) == ["a.weight"]
    by_row = np.repeat(np.repeat(scale, 4, 0), 4, 1)[:6, :8] if block else scale.reshape(-1, 1)
    np.testing.assert_array_equal(found.weight("a.weight").load(), float8_values("F8_E4M3")[codes] * by_row)


def test_float8_values_are_those_of_the_standard() -> None:
    e4m3, e5m2 = float8_values("F8_E4M3"), float8_values("F8_E5M2")
    assert [e4m3[i] for i in (0, 1, 8, 0x38, 0x7E)] == [0, 2**-9, 2**-6, 1, 448]
    assert [e5m2[i] for i in (1, 4, 0x3C, 0x7B, 0x7C)] == [2**-16, 2**-14, 1, 57344, np.inf]
    assert np.isnan(e4m3[0x7F]) and np.isnan(e4m3[0xFF]) and np.isnan(e5m2[0x7D]) and e4m3[0xB8] == -1


def words(values: np.ndarray, bits: int, axis: int, order: tuple[int, ...] | None = None) -> np.ndarray:
    """Values packed along an axis, the first in the lowest bits, or where `order` says."""
    per_word = 32 // bits
    parts = np.moveaxis(values.astype(np.uint32), axis, -1)
    parts = parts.reshape(*parts.shape[:-1], -1, per_word)
    shifts = [bits * place for place in (order or range(per_word))]
    packed = sum(parts[..., i] << np.uint32(shift) for i, shift in enumerate(shifts))
    return np.moveaxis(np.asarray(packed, np.uint32), -1, axis).view(np.int32)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("has_order", [False, True])
def test_gptq_by_groups_in_any_order(bits: int, has_order: bool, tmp_path: Path) -> None:
    n_in, n_out, n_group = 64, 32, 4
    values = RNG.integers(0, 1 << bits, (n_in, n_out))
    zeros = RNG.integers(1, 1 << bits, (n_group, n_out))
    scales = RNG.uniform(0.1, 1, (n_group, n_out)).astype(np.float16)
    group = RNG.permutation(n_in) % n_group if has_order else np.arange(n_in) // (n_in // n_group)
    arrays = {
        "a.qweight": ("I32", words(values, bits, 0)),
        "a.qzeros": ("I32", words(zeros - 1, bits, 1)),
        "a.scales": ("F16", scales),
    }
    if has_order:
        arrays["a.g_idx"] = ("I32", group.astype(np.int32))
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "gptq", "bits": bits})
    wanted = (scales[group].astype(np.float32) * (values - zeros[group])).T
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)
    assert list(found) == ["a.weight"]
    assert found.weight("a.weight").shape == wanted.shape


def test_awq_with_its_order_of_values(tmp_path: Path) -> None:
    n_in, n_out, n_group = 64, 32, 2
    values, zeros = RNG.integers(0, 16, (n_in, n_out)), RNG.integers(0, 16, (n_group, n_out))
    scales = RNG.uniform(0.1, 1, (n_group, n_out)).astype(np.float16)
    order = (0, 4, 1, 5, 2, 6, 3, 7)
    arrays = {
        "a.qweight": ("I32", words(values, 4, 1, order)),
        "a.qzeros": ("I32", words(zeros, 4, 1, order)),
        "a.scales": ("F16", scales),
    }
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "awq", "bits": 4})
    group = np.arange(n_in) // 32
    wanted = (scales[group].astype(np.float32) * (values - zeros[group])).T
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)


def test_mxfp4_experts_have_transformers_shape(tmp_path: Path) -> None:
    blocks = RNG.integers(0, 256, (2, 6, 3, 16)).astype(np.uint8)
    exponents = RNG.integers(120, 130, (2, 6, 3)).astype(np.uint8)
    arrays = {"experts.down_proj_blocks": ("U8", blocks), "experts.down_proj_scales": ("U8", exponents)}
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "mxfp4"}).weight("experts.down_proj")
    assert found.shape == (2, 96, 6)
    table = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    code = int(blocks[1, 4, 2, 5]) >> 4  # the second value of byte 5: number 2 * 32 + 11 of its row
    wanted = table[code & 7] * (-1 if code & 8 else 1) * 2.0 ** (int(exponents[1, 4, 2]) - 127)
    assert found.load()[1, 75, 4] == wanted


def test_other_ways_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="quantized by 'quip'; known are"):
        checkpoint_of(tmp_path, {"a.weight": ("F32", np.zeros(2, np.float32))}, {"quant_method": "quip"})
