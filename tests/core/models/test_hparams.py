"""Numbers of the metadata that cannot be: faults 13 to 17, told apart before anything is allocated."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model
from llamakit.core.gguf.metadata import Metadata
from llamakit.core.gguf.types import ValueType
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.models.hparams import HParams
from llamakit.core.models.registry import find, names
from llamakit.core.models.rope_settings import read_rotation
from llamakit.core.models.sliding_window import layers_with_window
from llamakit.errors import ModelError

from ...tiny import Tiny, write_tiny

NAN, INF = math.nan, math.inf


def metadata(arch: str = "llama", **changes) -> Metadata:
    """Of a small model, with keys changed (dots as underscores twice) or, where None, left out."""
    own = {f"{arch}.{key.replace('__', '.')}": value for key, value in changes.items()}
    return Metadata.of_model(Tiny(arch, metadata=own).keys(), Path("tiny.gguf"))


def refused(function, *words: str) -> None:
    """A ModelError of one short line that names the file and all the words."""
    with pytest.raises(ModelError) as caught:
        function()
    message = str(caught.value)
    assert "tiny.gguf" in message
    assert "\n" not in message
    assert len(message) < 300
    for word in words:
        assert word in message


def test_numbers_of_a_good_model():
    hp = HParams.read(metadata())
    assert (hp.n_layer, hp.n_embd, hp.n_head, hp.n_head_kv, hp.head_dim, hp.n_ff) == (2, 64, 4, 2, 16, 96)
    assert (hp.n_rot, hp.scale, hp.eps, hp.n_ctx_train) == (16, 0.25, pytest.approx(1e-5), 256)
    assert (hp.n_expert, hp.n_expert_used) == (0, 0)


def test_numbers_that_may_be_left_out():
    hp = HParams.read(metadata(attention__head_count_kv=None, attention__key_length=None, attention__value_length=None))
    assert (hp.n_head_kv, hp.head_dim, hp.n_rot) == (4, 16, 16)


# fault 13
@pytest.mark.parametrize("arch", ["", "x" * (1 << 20), "ll\nama", "\x00"], ids=["empty", "1 MB", "a line", "NUL"])
def test_fault_13_a_name_that_is_none(arch):
    refused(lambda: Metadata.of_model({"general.architecture": arch}, "tiny.gguf"), "general.architecture")


def test_fault_13_no_architecture_at_all():
    refused(lambda: Metadata.of_model({}, "tiny.gguf"), "general.architecture", "missing")


@pytest.mark.parametrize("arch", ["lama", "base", "hparams", "__init__", "os", "../llama", "llama.py"])
def test_fault_13_an_unknown_architecture_is_told_those_that_are_called_alike(arch):
    meta = Metadata.of_model({"general.architecture": arch}, "tiny.gguf")
    alike = {"lama": ["alike are", "llama", "plamo"], "llama.py": ["llama"]}.get(arch, [])
    refused(lambda: find(meta), "unknown architecture", str(len(names())), *alike)


def test_every_file_of_the_folder_is_the_architecture_it_is_named_after():
    assert {"llama", "qwen2", "qwen3", "gemma3"} <= set(names())
    for name in names():
        assert find(metadata(name.replace("_", "-"))).arch.replace("-", "_") == name


# fault 14
COUNTS = ("block_count", "embedding_length", "attention.head_count", "feed_forward_length", "context_length")


@pytest.mark.parametrize("key", COUNTS)
@pytest.mark.parametrize("value", [0, -1, -(2**31), 4.0, NAN, True, "4", [], [4, 4, 4], None])
def test_fault_14_a_count_that_is_none(key, value):
    refused(lambda: HParams.read(metadata(**{key.replace(".", "__"): value})), f"llama.{key}")


@pytest.mark.parametrize("key", [k for k in COUNTS if k != "context_length"])
@pytest.mark.parametrize("value", [2**31, 2**32 - 1, 2**63])
def test_fault_14_a_count_beyond_reason(key, value):
    refused(lambda: HParams.read(metadata(**{key.replace(".", "__"): value})), f"llama.{key}")


def test_fault_14_513_layers_are_believed_only_with_their_tensors(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(metadata={"llama.block_count": 513}))
    started = time.process_time()
    with pytest.raises(ModelError, match=r"blk\.2\.attn_norm\.weight is missing.*and \d+ more"):
        Model(path)
    assert time.process_time() - started < 1


# fault 15
@pytest.mark.parametrize(
    "changes, words",
    [
        ({"attention__head_count_kv": 3}, ("4 query heads", "3 key/value heads")),
        ({"attention__head_count_kv": 8}, ("llama.attention.head_count_kv",)),
        ({"attention__head_count_kv": 0}, ("llama.attention.head_count_kv",)),
        ({"attention__head_count": 5, "attention__head_count_kv": 5, "attention__key_length": None}, ("5 heads", "64")),
        ({"attention__key_length": 0}, ("llama.attention.key_length",)),
        ({"attention__key_length": 1 << 20}, ("llama.attention.key_length",)),
        ({"rope__dimension_count": 5}, ("llama.rope.dimension_count", "pairs")),
        ({"rope__dimension_count": 0}, ("llama.rope.dimension_count",)),
        ({"rope__dimension_count": 18}, ("llama.rope.dimension_count",)),
        ({"rope__dimension_count": -2}, ("llama.rope.dimension_count",)),
        ({"expert_count": 4}, ("llama.expert_used_count",)),
        ({"expert_count": 4, "expert_used_count": 5}, ("llama.expert_used_count",)),
        ({"expert_count": -1}, ("llama.expert_count",)),
        ({"expert_count": 1 << 20}, ("llama.expert_count",)),
    ],
)
def test_fault_15_numbers_that_do_not_fit_together(changes, words):
    refused(lambda: HParams.read(metadata(**changes)), *words)


# fault 16
def test_fault_16_a_context_beyond_any_memory_is_planned_not_allocated(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(metadata={"llama.context_length": 1 << 40}))
    model = Model(path)
    started = time.process_time()
    refused(lambda: Context(model), "of memory", "-c", str(1 << 40))
    assert time.process_time() - started < 1


# fault 17
@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.0, -1e-5, 2.0, "1e-5", True])
def test_fault_17_an_eps_that_is_none(value):
    refused(lambda: HParams.read(metadata(attention__layer_norm_rms_epsilon=value)), "layer_norm_rms_epsilon")


@pytest.mark.parametrize("value", [NAN, INF, -1.0])
def test_fault_17_a_scale_that_is_none(value):
    refused(lambda: HParams.read(metadata(attention__scale=value)), "llama.attention.scale")


ROPE = {
    "rope.freq_base": [NAN, INF, -INF, 0.0, -10000.0],
    "rope.scaling.factor": [NAN, INF, -4.0],
    "rope.scale_linear": [NAN, INF, -4.0],
    "rope.scaling.attn_factor": [NAN, INF, 0.0, -1.0],
    "rope.scaling.yarn_ext_factor": [NAN, INF],
    "rope.scaling.yarn_beta_fast": [NAN, INF, 0.0, -1.0],
    "rope.scaling.yarn_beta_slow": [NAN, INF, 0.0, -1.0],
    "rope.scaling.original_context_length": [-1, 4.5],
    "rope.scaling.type": ["", "twisted", 3],
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in ROPE.items() for value in values])
def test_fault_17_a_rotation_that_is_none(key, value):
    meta = metadata(**{key.replace(".", "__"): value})
    refused(lambda: read_rotation(meta, 16, is_neox=False), f"llama.{key}")


@pytest.mark.parametrize("value", [0.0, NAN, INF, -1.0])
def test_fault_17_frequency_factors_that_are_none(tmp_path, value):
    path = tmp_path / "tiny.gguf"
    write_tiny(path, Tiny(vectors={"rope_freqs.weight": [1.0, 1.0, value, 1.0, 1.0, 1.0, 1.0, 1.0]}))
    refused(lambda: Model(path).decoder.logits(64), "rope_freqs.weight")


def test_fault_17_numbers_survive_the_file(tmp_path):
    """NaN as a file says it, not as Python does."""
    path = tmp_path / "tiny.gguf"
    with GGUFWriter(path) as writer:
        for key, value in Tiny().keys().items():
            writer.add(key, NAN if key.endswith("epsilon") else value)
        writer.add("llama.rope.scaling.factor", 0.0, ValueType.FLOAT64)
    refused(lambda: Model(path), "layer_norm_rms_epsilon")


def test_models_of_experts_alone_name_no_other_feed_forward():
    full = metadata(expert_count=4, expert_used_count=2, expert_feed_forward_length=48)
    meta = Metadata(
        {key: v for key, v in full.mapping.items() if not key.endswith(".feed_forward_length")}, "", "llama"
    )
    assert HParams.read(meta).ffs == (0,) * HParams.read(full).n_layer
    assert HParams.read(meta).n_ff_expert == 48


# windows
@pytest.mark.parametrize(
    "changes, wanted",
    [
        ({}, [False] * 7),
        ({"attention__sliding_window": 0}, [False] * 7),
        ({"attention__sliding_window": 4}, [True] * 5 + [False, True]),
        ({"attention__sliding_window": 4, "attention__sliding_window_pattern": 2}, [True, False] * 3 + [True]),
        ({"attention__sliding_window": 4, "attention__sliding_window_pattern": 1}, [False] * 7),
        ({"attention__sliding_window": 4, "attention__sliding_window_pattern": 0}, [True] * 7),
        ({"attention__sliding_window": 4, "attention__sliding_window_pattern": [1, 0, 0, 1, 0, 0, 0]},
         [True, False, False, True, False, False, False]),
        ({"attention__sliding_window": 4, "attention__sliding_window_pattern": [True] * 3 + [False] * 4},
         [True] * 3 + [False] * 4),
    ],
)  # fmt: skip
def test_which_layers_have_a_window(changes, wanted):
    assert layers_with_window(metadata("gemma3", **changes), 7, period=6) == wanted


@pytest.mark.parametrize("pattern", [[1, 0], [2] * 7, [1.0] * 7, "1010101", -1, 1.5])
def test_a_pattern_of_windows_that_is_none(pattern):
    changes = {"attention__sliding_window": 4, "attention__sliding_window_pattern": pattern}
    refused(lambda: layers_with_window(metadata("gemma3", **changes), 7, period=6), "sliding_window_pattern")
