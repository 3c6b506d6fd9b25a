"""`llamakit convert-hf` beside convert_hf_to_gguf.py: whole commands on the same folder, interleaved.

    python scripts/bench_convert.py --gguf smol-F16.gguf --reference .../convert_hf_to_gguf.py --python .../bin/python

The GGUF file of a Llama with a byte-level BPE is made a Hugging Face folder in BF16 first, once; `--python` is an
interpreter that has PyTorch and transformers. A round runs both, in the order A B, B A, ...; ratios are taken within a
round. CPU is user and system time; memory is the most that was resident, mapped pages of the checkpoint included. At
the end tensors of the two files are compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.quants import dequantize, quantize

NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
CONTROL = 3
ALLOWED = 250e6  # bytes beside twice the largest tensor


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float
    n_bytes: int  # of memory


def make_folder(gguf: Path, folder: Path) -> int:
    """Write the folder; returns the bytes of its largest tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    with GGUFReader(gguf) as reader:
        meta = dict(reader.metadata)
        config = config_of(meta)
        (folder / "config.json").write_text(json.dumps(config, indent=1))
        write_tokenizer(meta, folder)
        heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
        header: dict[str, Any] = {}
        end = 0
        with tempfile.TemporaryFile(dir=folder) as data:
            for tensor in reader.tensors:
                layer, word = tensor.name.removesuffix(".weight").rpartition(".")[::2]
                rows = np.asarray(dequantize(tensor.data, tensor.type))
                if word in heads:  # GGUF turns neighbours together, the checkpoint halves
                    rows = rows.reshape(heads[word], -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)
                raw = quantize(rows.reshape(-1, rows.shape[-1]), "bf16").tobytes()
                name = f"model.layers.{layer.removeprefix('blk.')}.{NAMES[word]}" if layer else NAMES[word]
                header[f"{name}.weight"] = {
                    "dtype": "BF16", "shape": list(rows.shape), "data_offsets": [end, end + len(raw)],
                }  # fmt: skip
                data.write(raw)
                end += len(raw)
            data.seek(0)
            text = json.dumps(header).encode()
            with (folder / "model.safetensors").open("wb") as file:
                file.write(len(text).to_bytes(8, "little") + text)
                while chunk := data.read(1 << 24):
                    file.write(chunk)
    return max(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in header.values())


def config_of(meta: dict[str, Any]) -> dict[str, Any]:
    llama = {key.removeprefix("llama."): value for key, value in meta.items() if key.startswith("llama.")}
    if not llama or meta.get("tokenizer.ggml.model") != "gpt2":
        sys.exit("the model must be a Llama with a byte-level BPE, such as SmolLM2")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"],
        "max_position_embeddings": llama["context_length"],
        "num_attention_heads": llama["attention.head_count"],
        "num_hidden_layers": llama["block_count"],
        "num_key_value_heads": llama["attention.head_count_kv"],
        "rms_norm_eps": llama["attention.layer_norm_rms_epsilon"],
        "rope_theta": llama["rope.freq_base"],
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": len(meta["tokenizer.ggml.tokens"]),
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
    }


def write_tokenizer(meta: dict[str, Any], folder: Path) -> None:
    texts, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, **flags}
            for i, (text, type_) in enumerate(zip(texts, types, strict=True))
            if type_ == CONTROL
        ],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {text: i for i, text in enumerate(texts)},
            "merges": [merge.split(" ", 1) for merge in meta["tokenizer.ggml.merges"]],
        },
    }
    settings = {
        "tokenizer_class": "GPT2TokenizerFast",
        "bos_token": texts[meta["tokenizer.ggml.bos_token_id"]],
        "eos_token": texts[meta["tokenizer.ggml.eos_token_id"]],
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def run(command: list[str]) -> Run:
    """A command from start to end. Exits where it fails."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            errors.seek(0)
            sys.exit(f"{' '.join(command)}\n{errors.read().decode(errors='replace')}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def same_tensors(first: Path, second: Path) -> bool:
    with GGUFReader(first) as a, GGUFReader(second) as b:
        names = {tensor.name for tensor in a.tensors}
        return names == {tensor.name for tensor in b.tensors} and all(
            a.tensor(name).type is b.tensor(name).type and bytes(a.tensor(name).raw) == bytes(b.tensor(name).raw)
            for name in names
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--reference", type=Path, help="convert_hf_to_gguf.py; without it, llamakit alone")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--outtype", default="f16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the checkpoint is kept; without it, it is made anew")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch, "model")
        with ProcessPoolExecutor(1) as pool:  # what is resident here would count as resident in the commands, too
            largest = pool.submit(make_folder, args.gguf, folder).result()
        outputs = {name: Path(scratch, f"{name}.gguf") for name in ("llamakit", "reference")}
        tail = [str(folder), "--outtype", args.outtype, "--outfile"]
        commands = {"llamakit": [sys.executable, "-m", "llamakit", "convert-hf", *tail, str(outputs["llamakit"])]}
        if args.reference:
            commands["reference"] = [args.python, str(args.reference), *tail, str(outputs["reference"])]
        for command in commands.values():  # kernels compiled, files in the page cache
            run(command)
        rounds = []
        for i in range(args.rounds):
            order = list(commands) if i % 2 == 0 else list(commands)[::-1]
            rounds.append({name: run(commands[name]) for name in order})
        for name in commands:
            runs = [one[name] for one in rounds]
            print(
                f"{name:<10} {median(r.seconds for r in runs):6.2f} s, CPU {median(r.cpu for r in runs):6.2f} s, "
                f"memory {max(r.n_bytes for r in runs) / 1e6:6.0f} MB"
            )
        print(f"allowed: 2 x {largest / 1e6:.1f} MB (largest tensor) + 250 MB = {(2 * largest + ALLOWED) / 1e6:.0f} MB")
        if args.reference:
            faster = [one["reference"].seconds / one["llamakit"].seconds for one in rounds]
            less = [one["reference"].cpu / one["llamakit"].cpu for one in rounds]
            print(f"ratio: {median(faster):.2f} of wall time, {median(less):.2f} of CPU; each {faster}")
            print(f"tensors: {'the same' if same_tensors(*outputs.values()) else 'NOT the same'}")


if __name__ == "__main__":
    main()
