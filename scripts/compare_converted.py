"""Files that `convert-hf` writes, in llama.cpp: do they load, and give the logits of transformers?

    LLAMA_CPP_LIB_PATH=.../build/bin python scripts/compare_converted.py ../shared/golden/hf [NAME ...]

Needs the package llama-cpp-python. Each folder holds a checkpoint and `expected.npz`: `tokens` and `logits` of them all
(`decoder_tokens`, too, for an encoder-decoder). It is converted to F32 and run in llama.cpp with an F32 cache, all
tokens at once; the last column is the squared error over the squared logits. Each model has a process of its own, as a
broken one may take it along.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

EXPECTED = "expected.npz"
CLOSE = 1e-6


def convert(folder: Path, path: Path) -> None:
    from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
    from llamakit.convert.run import Options, carry_out

    source = Source.open(folder)
    # llama.cpp wants special tokens of models by some names.
    plan = make_plan(source, metadata(source, name="compared"), OUTPUT_TYPES["f32"])
    for _ in carry_out(plan, path, Options()):
        pass


def peer_logits(path: Path, expected: Any) -> np.ndarray:
    """llama.cpp's logits, or states of a model without a head.   -> (n_tokens, n)"""
    import llama_cpp as lib

    messages: list[str] = []

    @lib.llama_log_callback
    def remember(level: int, text: bytes, _: Any) -> None:
        messages.append(text.decode(errors="replace").strip())

    lib.llama_log_set(remember, None)
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
    if not model:
        sys.exit(next((text for text in messages if "error loading model" in text), "does not load"))
    n_vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    has_head = expected["logits"].shape[-1] == n_vocab
    params = lib.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 512
    params.type_k = params.type_v = 0  # F32
    params.flash_attn_type, params.swa_full = 0, True
    params.embeddings, params.pooling_type = not has_head, -1 if has_head else 0
    context = lib.llama_init_from_model(model, params)
    tokens = expected["tokens"].reshape(-1).tolist()
    if lib.llama_model_has_encoder(model) and "decoder_tokens" in expected:
        lib.llama_encode(context, batch_of(lib, tokens))
        tokens = expected["decoder_tokens"].reshape(-1).tolist()
    if lib.llama_decode(context, batch_of(lib, tokens)):
        sys.exit("does not decode")
    read, n = (
        (lib.llama_get_logits_ith, n_vocab)
        if has_head
        else (lib.llama_get_embeddings_ith, lib.llama_model_n_embd(model))
    )
    return np.stack([np.ctypeslib.as_array(read(context, i), (n,)) for i in range(len(tokens))])


def batch_of(lib: Any, tokens: list[int]) -> Any:
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    return batch


def compare(folder: Path) -> float:
    expected = np.load(folder / EXPECTED)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "model.gguf")
        convert(folder, path)
        logits = peer_logits(path, expected)
    wanted = expected["logits"].reshape(logits.shape)
    return float(((logits - wanted) ** 2).sum() / (wanted**2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of folders")
    parser.add_argument("names", nargs="*", help="those to compare; all without any")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(f"{compare(args.folder / args.names[0]):.1e}")
        return
    names = args.names or sorted(path.parent.name for path in args.folder.glob(f"*/{EXPECTED}"))
    for name in names:
        command = [sys.executable, __file__, str(args.folder), name, "--one"]
        done = subprocess.run(command, capture_output=True, text=True)
        told = (done.stdout or done.stderr).strip().splitlines() or [f"ends with {done.returncode}"]
        is_close = not done.returncode and float(told[-1]) <= CLOSE
        print(f"{name:<18} {'ok  ' if is_close else 'NOT '} {told[-1][:150]}", flush=True)


if __name__ == "__main__":
    main()
