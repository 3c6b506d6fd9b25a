"""Write a llama-shaped model of random weights, for measuring speed and memory without a download.

    python scripts/make_synthetic_model.py Q4_K_M OUT.gguf
    python scripts/make_synthetic_model.py Q4_K_M OUT.gguf --n-expert 32 --n-expert-used 4 --n-embd 768 --n-layer 6 \\
        --n-head 12 --n-head-kv 4 --n-ff 256

The default shape has 1.07 billion parameters: 2048 wide, 16 layers, 32 query and 8 key/value heads, 8192
feed-forward, 49152 tokens, tied output head. Which tensor gets which type is llama-quantize's rule for such a model.
With experts it is a Qwen 3 MoE, and n_ff that of each expert; the second line makes one of 160 million parameters.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np

from llamakit import GGUFWriter
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.quants import find_type

MIXES = {"F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q4_K_M": 15, "Q6_K": 18}  # name -> general.file_type
FLOATS = {GGMLType.F16: np.float16, GGMLType.F32: np.float32}


def gets_more_bits(i: int, n: int) -> bool:
    """The layers whose attn_v and ffn_down are Q6_K in a Q4_K_M model."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def tensor_type(mix: str, name: str, i: int, n_layer: int) -> GGMLType:
    if name == "ffn_gate_inp":
        return GGMLType.F32
    if mix != "Q4_K_M":
        return GGMLType[mix]
    is_large = name == "token_embd" or (name in ("attn_v", "ffn_down", "ffn_down_exps") and gets_more_bits(i, n_layer))
    return GGMLType.Q6_K if is_large else GGMLType.Q4_K


def random_blocks(type: GGMLType, n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random bytes with scales that make weights of about 1 / sqrt(n)."""
    if type in (GGMLType.F16, GGMLType.F32):
        return (rng.standard_normal((n_rows, n), np.float32) / np.sqrt(n)).astype(FLOATS[type])
    size = BLOCK_SIZES[type]
    raw = rng.integers(0, 256, (n_rows, n // size.n_values * size.n_bytes), np.uint8)
    blocks = raw.reshape(-1).view(find_type(type).layout)
    largest = {"Q4_0": 8, "Q4_1": 15, "Q8_0": 127, "Q4_K": 15 * 63, "Q6_K": 32 * 127}[type.name]
    blocks["d"] = 3 / np.sqrt(n) / largest * rng.uniform(0.5, 1, len(blocks))
    for name, sign in (("dmin", 1), ("m", -1)):
        if name in blocks.dtype.names:
            blocks[name] = sign * blocks["d"].astype(np.float32) * (7 if type.name == "Q4_K" else 7.5)
    return raw


def shapes(args: argparse.Namespace) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """(name, layer or -1, (rows, columns)) of every matrix; those of experts are (experts, rows, columns)."""
    width, kv = args.n_embd, args.n_embd // args.n_head * args.n_head_kv
    feed_forward = {"ffn_gate": (args.n_ff, width), "ffn_up": (args.n_ff, width), "ffn_down": (width, args.n_ff)}
    yield "token_embd", -1, (args.n_vocab, width)
    for i in range(args.n_layer):
        yield from (("attn_q", i, (width, width)), ("attn_k", i, (kv, width)), ("attn_v", i, (kv, width)))
        yield "attn_output", i, (width, width)
        if args.n_expert:
            yield "ffn_gate_inp", i, (args.n_expert, width)
        for name, shape in feed_forward.items():
            yield (f"{name}_exps", i, (args.n_expert, *shape)) if args.n_expert else (name, i, shape)


def metadata(args: argparse.Namespace) -> dict[str, str | int | float]:
    arch, head_dim = "qwen3moe" if args.n_expert else "llama", args.n_embd // args.n_head
    own = {
        "block_count": args.n_layer, "context_length": 8192, "embedding_length": args.n_embd,
        "feed_forward_length": args.n_ff, "attention.head_count": args.n_head,
        "attention.head_count_kv": args.n_head_kv, "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 500000.0, "rope.dimension_count": head_dim, "vocab_size": args.n_vocab,
    }  # fmt: skip
    if args.n_expert:
        own |= {
            "expert_count": args.n_expert, "expert_used_count": args.n_expert_used,
            "expert_feed_forward_length": args.n_ff, "attention.key_length": head_dim,
            "attention.value_length": head_dim,
        }  # fmt: skip
    return {
        "general.architecture": arch, "general.name": f"synthetic {args.mix}", "tokenizer.ggml.model": "no_vocab",
        "general.file_type": MIXES[args.mix],
    } | {f"{arch}.{key}": value for key, value in own.items()}  # fmt: skip


def norms(args: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """(name, width) of every norm."""
    yield "output_norm.weight", args.n_embd
    for i in range(args.n_layer):
        yield from ((f"blk.{i}.{name}_norm.weight", args.n_embd) for name in ("attn", "ffn"))
        if args.n_expert:
            yield from ((f"blk.{i}.attn_{name}_norm.weight", args.n_embd // args.n_head) for name in "qk")


def write(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    with GGUFWriter(args.out) as file:
        for key, value in metadata(args).items():
            file.add(key, value)
        for name, width in norms(args):
            file.declare_tensor(name, (width,), GGMLType.F32)
        matrices = []
        for name, i, shape in shapes(args):
            full = f"{name}.weight" if i < 0 else f"blk.{i}.{name}.weight"
            type = tensor_type(args.mix, name, i, args.n_layer)
            file.declare_tensor(full, shape[::-1], type)
            matrices.append((full, type, shape))
        for name, width in norms(args):
            file.write_tensor(name, np.ones(width, np.float32))
        for full, type, shape in matrices:
            blocks = random_blocks(type, math.prod(shape[:-1]), shape[-1], rng)
            file.write_tensor(full, blocks.reshape(*shape[:-1], -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mix", choices=MIXES)
    parser.add_argument("out")
    sizes = {"n-embd": 2048, "n-layer": 16, "n-head": 32, "n-head-kv": 8, "n-ff": 8192, "n-vocab": 49152,
             "n-expert": 0, "n-expert-used": 4}  # fmt: skip
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    write(parser.parse_args())


if __name__ == "__main__":
    main()
