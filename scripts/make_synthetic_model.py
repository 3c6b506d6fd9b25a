"""Write a llama-shaped model of random weights, for measuring speed and memory without a download.

    python scripts/make_synthetic_model.py Q4_K_M OUT.gguf

The default shape has 1.07 billion parameters: 2048 wide, 16 layers, 32 query and 8 key/value heads, 8192
feed-forward, 49152 tokens, tied output head. Which tensor gets which type is llama-quantize's rule for such a model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from llamakit import GGUFWriter
from llamakit.core.gguf.types import BLOCK_SIZES, GGMLType
from llamakit.core.quants import find_type

MIXES = {"F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q4_K_M": 15, "Q6_K": 18}  # name -> general.file_type


def gets_more_bits(i: int, n: int) -> bool:
    """The layers whose attn_v and ffn_down are Q6_K in a Q4_K_M model."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def tensor_type(mix: str, name: str, i: int, n_layer: int) -> GGMLType:
    if mix != "Q4_K_M":
        return GGMLType[mix]
    is_large = name == "token_embd" or (name in ("attn_v", "ffn_down") and gets_more_bits(i, n_layer))
    return GGMLType.Q6_K if is_large else GGMLType.Q4_K


def random_blocks(type: GGMLType, n_rows: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random bytes with scales that make weights of about 1 / sqrt(n)."""
    if type == GGMLType.F16:
        return (rng.standard_normal((n_rows, n), np.float32) / np.sqrt(n)).astype(np.float16)
    size = BLOCK_SIZES[type]
    raw = rng.integers(0, 256, (n_rows, n // size.n_values * size.n_bytes), np.uint8)
    blocks = raw.reshape(-1).view(find_type(type).layout)
    largest = {"Q4_0": 8, "Q4_1": 15, "Q8_0": 127, "Q4_K": 15 * 63, "Q6_K": 32 * 127}[type.name]
    blocks["d"] = 3 / np.sqrt(n) / largest * rng.uniform(0.5, 1, len(blocks))
    for name, sign in (("dmin", 1), ("m", -1)):
        if name in blocks.dtype.names:
            blocks[name] = sign * blocks["d"].astype(np.float32) * (7 if type.name == "Q4_K" else 7.5)
    return raw


def shapes(args: argparse.Namespace) -> Iterator[tuple[str, int, tuple[int, int]]]:
    """(name, layer or -1, (rows, columns)) of every matrix."""
    width, kv = args.n_embd, args.n_embd // args.n_head * args.n_head_kv
    yield "token_embd", -1, (args.n_vocab, width)
    for i in range(args.n_layer):
        yield from (("attn_q", i, (width, width)), ("attn_k", i, (kv, width)), ("attn_v", i, (kv, width)))
        yield from (("attn_output", i, (width, width)), ("ffn_gate", i, (args.n_ff, width)))
        yield from (("ffn_up", i, (args.n_ff, width)), ("ffn_down", i, (width, args.n_ff)))


def write(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    with GGUFWriter(args.out) as file:
        for key, value in {
            "general.architecture": "llama", "general.name": f"synthetic {args.mix}", "llama.block_count": args.n_layer,
            "llama.context_length": 8192, "llama.embedding_length": args.n_embd, "llama.feed_forward_length": args.n_ff,
            "llama.attention.head_count": args.n_head, "llama.attention.head_count_kv": args.n_head_kv,
            "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 500000.0,
            "llama.rope.dimension_count": args.n_embd // args.n_head, "llama.vocab_size": args.n_vocab,
            "tokenizer.ggml.model": "no_vocab", "general.file_type": MIXES[args.mix],
        }.items():  # fmt: skip
            file.add(key, value)
        ones = np.ones(args.n_embd, np.float32)
        norms = ["output_norm.weight"]
        norms += [f"blk.{i}.{name}_norm.weight" for i in range(args.n_layer) for name in ("attn", "ffn")]
        for name in norms:
            file.declare_tensor(name, (args.n_embd,), GGMLType.F32)
        matrices = []
        for name, i, (n_rows, n) in shapes(args):
            full = f"{name}.weight" if i < 0 else f"blk.{i}.{name}.weight"
            type = tensor_type(args.mix, name, i, args.n_layer)
            file.declare_tensor(full, (n, n_rows), type)
            matrices.append((full, type, n_rows, n))
        for name in norms:
            file.write_tensor(name, ones)
        for full, type, n_rows, n in matrices:
            file.write_tensor(full, random_blocks(type, n_rows, n, rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mix", choices=MIXES)
    parser.add_argument("out")
    sizes = {"n-embd": 2048, "n-layer": 16, "n-head": 32, "n-head-kv": 8, "n-ff": 8192, "n-vocab": 49152}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    write(parser.parse_args())


if __name__ == "__main__":
    main()
