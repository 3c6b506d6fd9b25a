"""Tiny checkpoints of every family: the reference converter's files, and the logits of transformers."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamakit.convert.plan import OUTPUT_TYPES, Source, make_plan, metadata
from llamakit.convert.run import Options, carry_out
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.models.registry import names
from llamakit.errors import ModelError

from ..running import open_decoder, reference

HF = Path(__file__).parents[3] / "shared/golden/hf"
NAMES = sorted(path.name for path in HF.iterdir()) if HF.is_dir() else []
REFERENCES = [name for name in NAMES if (HF / name / "reference_gguf.json").is_file()]

# What differs from the reference converter, and why. What no longer does fails the test.
_ATTENTION_K_Q = {f"blk.{i}.attn_{w}.weight" for i in (1, 3) for w in "qk"}
DIFFERS: dict[str, tuple[set[str], str]] = {
    "gemma2": ({"gemma2.attention.scale"}, "query_pre_attn_scalar is 24, which the reference leaves out"),
    "gemma3": ({"gemma3.attention.scale"}, "query_pre_attn_scalar is 24, which the reference leaves out"),
    "deepseek3": (
        {"deepseek2.expert_gating_func"},
        "DeepSeek V3 chooses experts by sigmoid, which its config leaves out",
    ),
    "dots1": ({"dots1.expert_gating_func"}, "dots.llm1 chooses experts by sigmoid, which its config leaves out"),
    "ernie4-5-moe": (
        {"ernie4_5-moe.expert_shared_feed_forward_length"},
        "the shared expert has 48 rows; the reference divides the dense width by the number of key heads",
    ),
    "phi2": ({"phi2.feed_forward_length"}, "the width is in the config; the reference takes four times the embedding"),
    "starcoder": ({"starcoder.feed_forward_length"}, "as for phi2"),
    "granitehybrid": (
        {"granitehybrid.attention.head_count_kv", *_ATTENTION_K_Q},
        "the reference does not know the spelling full_attention and takes every layer for a state-space one",
    ),
    "modernbert": (
        {"modern-bert.attention.layer_norm_epsilon"},
        "config.json of transformers 5 has it as norm_eps, which the reference misses: llama.cpp cannot load its file",
    ),
    "t5": (
        {"t5.attention.relative_max_distance"},
        "distances count up to 32; the reference leaves that out, and llama.cpp takes 128",
    ),
}
GELU = {"falcon", "falcon-new", "gptneox", "gptneox-seq", "mpt"}  # exact in transformers, by tanh here


@pytest.fixture(
    scope="module", params=NAMES or [pytest.param("", marks=pytest.mark.skip("no golden checkpoints here"))]
)
def converted(request, tmp_path_factory):
    """A checkpoint's name and its F32 file."""
    name = request.param
    source = Source.open(HF / name)
    plan = make_plan(source, metadata(source), OUTPUT_TYPES["f32"])
    assert not plan.unknown
    path = tmp_path_factory.mktemp("hf") / f"{name}.gguf"
    for _ in carry_out(plan, path, Options()):
        pass
    yield name, path
    path.unlink()


def test_keys_and_tensors_are_the_reference_converters(converted):
    name, path = converted
    if name not in REFERENCES:
        pytest.skip("the reference converter does not take it")
    wanted = json.loads((HF / name / "reference_gguf.json").read_text())
    with GGUFReader(path) as reader:
        found = {key: value for key, value in reader.metadata.items() if not key.startswith("llamakit.")}  # our own
        differing = {*differing_keys(wanted["metadata"], found)}
        differing |= {*differing_tensors(wanted["tensors"], reader)}
    assert differing == DIFFERS.get(name, (set(), ""))[0]


def differing_keys(wanted: dict[str, Any], found: dict[str, Any]) -> set[str]:
    return {key for key in {*wanted, *found} if key not in wanted or not is_same(wanted[key], found.get(key))}


def is_same(wanted: Any, found: Any) -> bool:
    """Whether a value is the one told; long arrays are told by their length and hash."""
    if isinstance(wanted, dict):
        return len(found) == wanted["len"] and sha256(json.dumps(found).encode()) == wanted["sha256"]
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(is_same, wanted, found))
    is_float = isinstance(wanted, float) and math.isfinite(wanted)
    return math.isclose(wanted, found, rel_tol=1e-7) if is_float else bool(wanted == found)


def differing_tensors(wanted: dict[str, Any], reader: GGUFReader) -> set[str]:
    found = {t.name: [list(t.shape), t.type.name, sha256(bytes(t.raw))[:16]] for t in reader.tensors}
    return {name for name in {*wanted, *found} if wanted.get(name) != found.get(name)}


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_logits_are_those_of_transformers(converted):
    name, path = converted
    with GGUFReader(path) as reader:
        arch = str(reader.metadata["general.architecture"])
    if arch.replace("-", "_") not in names():
        with pytest.raises(ModelError, match="unknown architecture"):
            open_decoder(path)
        return
    expected = np.load(HF / name / "expected.npz")
    decoder = open_decoder(path)
    run, source, tokens = reference(decoder, decoder.logits(256)), decoder.source(256), expected["tokens"]
    if source is not None:
        encoder = reference(decoder, source)
        encoder.run(tokens)
        run.cache, tokens = encoder.cache, expected["decoder_tokens"]
    logits = run.run(tokens)
    error = float(((logits - expected["logits"]) ** 2).sum() / (expected["logits"] ** 2).sum())
    assert error <= (1e-6 if name in GELU else 1e-8)
