"""Quantized checkpoints against weights packed here by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llamakit.convert.checkpoint import Checkpoint, float8_values, open_checkpoint
from llamakit.convert.config import Config
from llamakit.convert.quantized.methods import dequantized
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
@pytest.mark.parametrize("slab", [1 << 20, 8])
def test_float8_times_its_scales(
    slab: int, scales: tuple[int, ...], block: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llamakit.convert.quantized.scaled.SLAB", slab)
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


def scheme(format_: str, bits: int, **weights: object) -> dict[str, object]:
    groups = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": bits, **weights}}}
    return {"quant_method": "compressed-tensors", "format": format_, "config_groups": groups}


@pytest.mark.parametrize("scales, block", [((6, 1), None), ((6, 2), None), ((2, 2), [4, 4])])
@pytest.mark.parametrize("has_zeros", [False, True])
def test_compressed_tensors_of_whole_numbers(
    scales: tuple[int, ...], block: list[int] | None, has_zeros: bool, tmp_path: Path
) -> None:
    values, scale = RNG.integers(-128, 128, (6, 8)).astype(np.int8), RNG.uniform(0.5, 2, scales).astype(np.float32)
    zeros = RNG.integers(-5, 5, scales).astype(np.int8)
    arrays = {"a.weight": ("I8", values), "a.weight_scale": ("F32", scale), "a.input_scale": ("F32", scale)}
    if has_zeros:
        arrays["a.weight_zero_point"] = ("I8", zeros)
    found = checkpoint_of(tmp_path, arrays, scheme("int-quantized", 8, block_structure=block))
    assert list(found) == ["a.weight"]

    def at(array: np.ndarray, i: int, j: int) -> float:
        return float(array[i // 4, j // 4] if block else array[i, j * scales[1] // 8])

    wanted = [[(int(values[i, j]) - has_zeros * at(zeros, i, j)) * at(scale, i, j) for j in range(8)] for i in range(6)]
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("has_zeros, has_order", [(False, False), (True, False), (True, True)])
def test_compressed_tensors_in_words(bits: int, has_zeros: bool, has_order: bool, tmp_path: Path) -> None:
    n_out, n_in, n_group = 16, 40, 5
    values = RNG.integers(0, 1 << bits, (n_out, n_in))
    zeros = RNG.integers(0, 1 << bits, (n_out, n_group)) if has_zeros else np.full((n_out, n_group), 1 << (bits - 1))
    scales = RNG.uniform(0.1, 1, (n_out, n_group)).astype(np.float16)
    group = RNG.permutation(n_in) % n_group if has_order else np.arange(n_in) // 8
    padded = np.pad(values, ((0, 0), (0, -n_in % (32 // bits))))
    arrays = {
        "a.weight_packed": ("I32", words(padded, bits, 1)),
        "a.weight_shape": ("I64", np.array([n_out, n_in])),
        "a.weight_scale": ("F16", scales),
    }
    if has_zeros:
        arrays["a.weight_zero_point"] = ("I32", words(zeros, bits, 0))
    if has_order:
        arrays["a.weight_g_idx"] = ("I32", group.astype(np.int32))
    found = checkpoint_of(tmp_path, arrays, scheme("pack-quantized", bits, group_size=8))
    wanted = scales[:, group].astype(np.float32) * (values - zeros[:, group])
    assert list(found) == ["a.weight"]
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)


FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def float4(codes: np.ndarray) -> np.ndarray:
    """Two values a byte, the first in the low bits."""
    both = np.stack([codes & 15, codes >> 4], -1).reshape(len(codes), -1)
    return np.array([[FP4[code & 7] * (-1 if code & 8 else 1) for code in row] for row in both])


@pytest.mark.parametrize("maker", ["compressed-tensors", "modelopt"])
def test_nvfp4_with_a_scale_for_sixteen_and_one_for_all(maker: str, tmp_path: Path) -> None:
    codes, scales = RNG.integers(0, 256, (4, 16)).astype(np.uint8), RNG.integers(40, 100, (4, 2)).astype(np.uint8)
    whole = np.array([0.25], np.float32)
    if maker == "modelopt":
        arrays = {"a.weight": ("U8", codes), "a.weight_scale": ("F8_E4M3", scales), "a.weight_scale_2": ("F32", whole)}
        arrays |= {"b.weight": ("F8_E4M3", scales), "b.weight_scale": ("F32", whole), "a.k_scale": ("F32", whole)}
        settings: dict[str, object] = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}
    else:
        arrays = {"a.weight_packed": ("U8", codes), "a.weight_scale": ("F8_E4M3", scales)}
        arrays["a.weight_global_scale"] = ("F32", 1 / whole)
        settings = scheme("nvfp4-pack-quantized", 4)
    found = checkpoint_of(tmp_path, arrays, settings)
    wanted = float4(codes) * np.repeat(float8_values("F8_E4M3")[scales], 16, 1) * 0.25
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)
    assert sorted(found) == (["a.weight", "b.weight"] if maker == "modelopt" else ["a.weight"])
    if maker == "modelopt":
        np.testing.assert_array_equal(found.weight("b.weight").load(), float8_values("F8_E4M3")[scales] * 0.25)


@pytest.mark.parametrize("dtype", ["U8", "F8_E8M0"])
def test_mxfp4_of_compressed_tensors(dtype: str, tmp_path: Path) -> None:
    codes, powers = RNG.integers(0, 256, (4, 32)).astype(np.uint8), RNG.integers(120, 130, (4, 2)).astype(np.uint8)
    arrays = {"a.weight_packed": ("U8", codes), "a.weight_scale": (dtype, powers)}
    found = checkpoint_of(tmp_path, arrays, scheme("mxfp4-pack-quantized", 4))
    wanted = float4(codes) * np.repeat(2.0 ** (powers.astype(int) - 127), 32, 1)
    np.testing.assert_array_equal(found.weight("a.weight").load(), wanted)


@pytest.mark.parametrize("is_nested", [False, True])
def test_bitsandbytes_by_table_and_block(is_nested: bool, tmp_path: Path) -> None:
    n_out, n_in, block = 5, 24, 8
    table, codes = np.sort(RNG.uniform(-1, 1, 16)).astype(np.float32), RNG.integers(0, 16, n_out * n_in)
    largest = RNG.uniform(0.1, 1, 15).astype(np.float32)
    state = {"quant_type": "nf4", "blocksize": block, "shape": [n_out, n_in], "dtype": "bfloat16"}
    arrays = {
        "a.weight": ("U8", (codes[::2] << 4 | codes[1::2]).astype(np.uint8)[:, None]),
        "a.weight.quant_map": ("F32", table),
    }
    if is_nested:
        levels, inner = np.linspace(-1, 1, 256).astype(np.float32), RNG.uniform(0.1, 1, 4).astype(np.float32)
        numbers = RNG.integers(0, 256, 15).astype(np.uint8)
        largest = levels[numbers] * np.repeat(inner, 4)[:15] + np.float32(0.5)
        state |= {"nested_blocksize": 4, "nested_offset": 0.5, "nested_dtype": "float32"}
        arrays |= {"a.weight.nested_absmax": ("F32", inner), "a.weight.nested_quant_map": ("F32", levels)}
        arrays["a.weight.absmax"] = ("U8", numbers)
    else:
        arrays["a.weight.absmax"] = ("F32", largest)
    raw = np.frombuffer(json.dumps(state).encode(), np.uint8)
    arrays["a.weight.quant_state.bitsandbytes__nf4"] = ("U8", raw)
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "bitsandbytes", "load_in_4bit": True})
    wanted = (table[codes] * np.repeat(largest, block)).reshape(n_out, n_in)
    assert list(found) == ["a.weight"]
    np.testing.assert_allclose(found.weight("a.weight").load(), wanted, rtol=1e-6)


def test_bitsandbytes_with_a_scale_a_row(tmp_path: Path) -> None:
    values, scales = RNG.integers(-127, 128, (4, 6)).astype(np.int8), RNG.uniform(1, 2, 4).astype(np.float32)
    arrays = {"a.weight": ("I8", values), "a.SCB": ("F32", scales), "a.weight_format": ("U8", np.zeros(1, np.uint8))}
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert list(found) == ["a.weight"]
    np.testing.assert_allclose(found.weight("a.weight").load(), values * scales[:, None] / 127, rtol=1e-6)


def test_bitnet_packs_quarters_of_the_rows(tmp_path: Path) -> None:
    values = RNG.integers(-1, 2, (8, 6))
    quarters = (values + 1).reshape(4, 2, 6)
    codes = sum(quarters[i] << 2 * i for i in range(4))
    arrays = {"a.weight": ("U8", np.asarray(codes, np.uint8)), "a.weight_scale": ("F32", np.array([4], np.float32))}
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "bitnet"})
    np.testing.assert_array_equal(found.weight("a.weight").load(), values / 4)


def test_experts_in_one_tensor_with_scales_by_block(tmp_path: Path) -> None:
    codes, scales = RNG.integers(0, 120, (2, 6, 8)).astype(np.uint8), RNG.uniform(0.5, 2, (2, 2, 2)).astype(np.float32)
    arrays = {"a.gate_up_proj": ("F8_E4M3", codes), "a.gate_up_proj_scale_inv": ("F32", scales)}
    found = checkpoint_of(tmp_path, arrays, {"quant_method": "fp8", "weight_block_size": [4, 4]})
    by_block = np.repeat(np.repeat(scales, 4, 1), 4, 2)[:, :6]
    np.testing.assert_array_equal(found.weight("a.gate_up_proj").load(), float8_values("F8_E4M3")[codes] * by_block)


ONE, BYTES = ("F32", np.ones(2, np.float32)), ("U8", np.zeros((4, 16), np.uint8))


@pytest.mark.parametrize(
    "arrays, settings, words",
    [
        ({"a.weight": ONE}, {"quant_method": "quip"}, "quantized by 'quip'; known are"),
        ({"a.weight": ONE}, {"quant_method": "auto-round"}, "quantized by 'auto-round'"),
        ({"a.qweight": ONE}, {"quant_method": "gptq", "bits": 3}, "gptq with 3 bits"),
        ({"a.qweight": ONE}, {"quant_method": "gptq", "checkpoint_format": "marlin"}, "layout 'marlin' of gptq"),
        ({"a.qweight": ONE}, {"quant_method": "awq", "version": "gemv"}, "layout 'gemv' of awq"),
        ({"a.qweight": ONE}, {"quant_method": "gptq"}, r"'a\.qzeros' is missing"),
        ({"a.weight": ONE}, scheme("marlin-24", 4), "format 'marlin-24' of compressed-tensors"),
        ({"a.weight": ONE}, scheme("pack-quantized", 3), "with 3 bits is not known"),
        ({"a.weight": ONE}, {**scheme("dense", 8), "sparsity_config": {"format": "sparse-24"}}, "sparse weights"),
        ({"a.weight_packed": BYTES, "a.weight_global_scale": ONE}, scheme("nvfp4-pack-quantized", 4), "weight_scale'"),
        ({"a_blocks": BYTES}, {"quant_method": "mxfp4"}, "'a_scales' is missing"),
    ],
)
def test_other_ways_are_refused_by_name(
    arrays: dict[str, tuple[str, np.ndarray]], settings: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        checkpoint_of(tmp_path, arrays, settings)


@pytest.mark.parametrize(
    "arrays, settings",
    [
        ({"a.weight": ("F8_E4M3", BYTES[1]), "a.weight_scale_inv": ("F32", np.ones((3, 5), np.float32))}, "fp8"),
        ({"a.weight": ("F8_E4M3", BYTES[1]), "a.weight_scale": ("F32", np.ones(7, np.float32))}, "fp8"),
        ({"a.weight": BYTES, "a.weight_scale": ("F8_E4M3", BYTES[1]), "a.weight_scale_2": ONE}, "modelopt"),
        ({"a.weight": BYTES}, ""),
    ],
)
def test_what_does_not_fit_is_refused_and_never_guessed(
    arrays: dict[str, tuple[str, np.ndarray]], settings: str, tmp_path: Path
) -> None:
    found = checkpoint_of(tmp_path, arrays, {"quant_method": settings} if settings else {})
    with pytest.raises(ModelError, match=r"tensor 'a\.weight' (does not fit|holds)"):
        found.weight("a.weight").load()
