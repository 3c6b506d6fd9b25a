"""Opening a model, and what may happen to its file and to this machine while it is open."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.engine.memory_plan import MemoryPlan, free_memory, n_index_bytes
from llamakit.core.gguf.types import GGMLType
from llamakit.core.graph.ops import Embed, Tokens, Weight
from llamakit.core.graph.ops.indexer import ChosenKeys
from llamakit.core.simd.target import host_target
from llamakit.errors import GGUFError, ModelError, VocabError

from ...running import logits_of, open_context
from ...tiny import Tiny, write_tiny

ROOT = Path(__file__).parents[3]
TOKENS = np.random.default_rng(5).integers(0, 67, 90)


def python(code: str, **environment: str) -> None:
    """Run in a new process; what kills it is an error here."""
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, cwd=ROOT, check=True, timeout=300)


def test_a_model_says_what_it_is(tmp_path):
    tiny = Tiny(type="q8_0", metadata={"general.file_type": 7})
    with load_model(write_tiny(tmp_path / "tiny.gguf", tiny)) as model:
        assert (model.arch, model.n_vocab, model.n_ctx_train) == ("llama", tiny.n_vocab, tiny.n_ctx)
        assert model.n_params == sum(int(np.prod(shape)) for _, shape in tiny.shapes())
        assert model.n_bytes == sum(t.n_bytes for t in model.reader.tensors)
        assert "Q8_0" in model.description


def test_overrides_go_before_the_files_metadata(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with load_model(path, {"llama.context_length": 77}) as model:
        assert model.n_ctx_train == 77


def test_a_model_without_a_vocabulary_runs_token_ids(tmp_path):
    with load_model(write_tiny(tmp_path / "tiny.gguf", Tiny())) as model, Context(model) as context:
        assert context.prefill(TOKENS).shape == (67,)
        with pytest.raises(VocabError, match="this model has no vocabulary"):
            model.vocab.encode("text")


def test_reading_instead_of_mapping_gives_the_same_bits(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(type="f16"))
    with open_context(path) as context, Context(load_model(path, use_mmap=False), type_k="f32", type_v="f32") as other:
        np.testing.assert_array_equal(logits_of(context, TOKENS, 90), logits_of(other, TOKENS, 90))


# memory
def test_fault_16_a_context_beyond_all_memory_is_refused_before_anything_is_allocated(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(n_ctx=2**40))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ModelError, match=r"KV cache for 1099511627776 positions .* use a smaller context \(-c\)"):
        Context(load_model(path), n_ctx=0)
    assert time.process_time() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    with Context(load_model(path), n_ctx=100) as context:
        assert context.prefill([1]).shape == (67,)


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.system('exit 1') }}",
        "{% for i in range(10 ** 9) %}{% for j in range(10 ** 9) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 10 ** 9 }}",
        "{% if %}",
        "x" * (50 << 20),
    ],
    ids=["escape", "endless", "huge", "syntax", "50 MB"],
)
def test_fault_22_a_hostile_chat_template_is_text_until_it_is_rendered(tmp_path, template):
    """A model is completed without its template, so nothing of it may run or cost anything."""
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(metadata={"tokenizer.chat_template": template}))
    with open_context(path) as context:
        assert np.isfinite(context.prefill([1, 2, 3])).all()


def test_a_plan_that_fits_passes_and_one_byte_more_does_not(monkeypatch):
    monkeypatch.setattr("llamakit.core.engine.memory_plan.free_memory", lambda: 60)
    MemoryPlan(weights=10, kv_cache=20, buffers=30).check(Path("m.gguf"), 5)
    with pytest.raises(ModelError, match=r"m\.gguf: needs"):
        MemoryPlan(weights=10, kv_cache=21, buffers=30).check(Path("m.gguf"), 5)


def test_scores_of_an_indexer_are_in_the_plan():
    """Of the largest alone, since they take turns; and the bits of what is chosen."""
    x = Embed(Tokens(), Weight("token_embd.weight", (8, 32), GGMLType.F32))
    small, large = (ChosenKeys(x, x, x, 0, 5, n_ctx) for n_ctx in (100, 1000))
    both = ChosenKeys(small, large, x, 0, 5, 100)
    assert n_index_bytes(x, 512) == 0
    assert n_index_bytes(both, 512) == 4 * 512 * (1024 + 32)


def test_a_context_beyond_what_is_computed_exactly_is_told(tmp_path, monkeypatch, caplog):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    monkeypatch.setattr("llamakit.core.models.base.Decoder.n_exact", 100)
    open_context(path, n_ctx=100).close()
    assert not caplog.messages
    open_context(path, n_ctx=101).close()
    assert "texts of up to 100 tokens; the context has room for 101" in caplog.text


def test_the_system_says_what_is_free():
    assert free_memory() > 2**20


# the file
def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GGUFError, match="nowhere"):
        load_model(tmp_path / "nowhere.gguf")


FAULT_38 = """
import os, sys
import numpy as np
from tests.running import open_context, logits_of
tokens = np.arange(60)
with open_context({path!r}, n_ubatch=64) as context:
    wanted = logits_of(context, tokens, 1)
    os.truncate({path!r}, 0)
    np.testing.assert_array_equal(logits_of(context, tokens, 1), wanted)
    np.testing.assert_array_equal(logits_of(context, tokens, 60), wanted)
"""


@pytest.mark.parametrize("type", ["f32", "f16", "bf16", "q8_0"])
def test_fault_38_a_file_cut_short_while_open_harms_nobody(tmp_path, type):
    """A context has its own copy of the weights: no page of the file is read again."""
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(type=type, is_tied=True))
    python(FAULT_38.format(path=str(path)))


def test_fault_39_a_file_replaced_while_open_changes_nothing(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    with load_model(path) as model, Context(model, type_k="f32", type_v="f32") as context:
        wanted = logits_of(context, TOKENS, 90)
        os.replace(write_tiny(tmp_path / "other.gguf", Tiny(seed=1)), path)
        np.testing.assert_array_equal(logits_of(context, TOKENS, 90), wanted)
        with Context(model, type_k="f32", type_v="f32") as second:  # the old file, still mapped
            np.testing.assert_array_equal(logits_of(second, TOKENS, 90), wanted)
    with open_context(path) as context:
        assert np.abs(logits_of(context, TOKENS, 90) - wanted).max() > 0.1


# the processor
def test_an_idle_context_uses_no_cpu(tmp_path):
    with open_context(write_tiny(tmp_path / "tiny.gguf", Tiny()), n_threads=3) as context:
        context.prefill(TOKENS)
        time.sleep(0.05)  # workers look for work for a moment
        start = time.process_time()
        time.sleep(0.4)
        assert time.process_time() - start < 0.02
        context.step(1)  # they wake again


ARCHITECTURES = {
    "llama": Tiny(type="q8_0"),
    "mixture": Tiny(n_expert=4, n_expert_used=2, type="q8_0"),
    "qwen2": Tiny("qwen2", type="q8_0"),
    "qwen3": Tiny("qwen3", type="q8_0"),
    "gemma3": Tiny("gemma3", n_layer=7, window=20, type="q8_0"),
}


def logits_of_all(folder: Path) -> dict[str, np.ndarray]:
    """By architecture; `folder` holds the files, or will."""
    found = {}
    for name, tiny in ARCHITECTURES.items():
        path = folder / f"{name}.gguf"
        if not path.exists():
            write_tiny(path, tiny)
        with open_context(path, type_k="f16", type_v="f16") as context:
            found[name] = np.concatenate([logits_of(context, TOKENS, 90), logits_of(context, TOKENS[:20], 1)])
    return found


AVX2 = """
from pathlib import Path
import numpy as np
from llamakit.core.simd.target import host_target
from tests.core.engine.test_load import logits_of_all
assert not host_target().has_avx512
np.savez({folder!r} + "/avx2.npz", **logits_of_all(Path({folder!r})))
"""


@pytest.mark.skipif(not host_target().has_avx512, reason="needs a processor with AVX-512")
def test_avx2_gives_the_bits_of_avx512(tmp_path):
    wanted = logits_of_all(tmp_path)
    python(AVX2.format(folder=str(tmp_path)), NUMBA_CPU_NAME="haswell")
    with np.load(tmp_path / "avx2.npz") as got:
        for name in ARCHITECTURES:
            np.testing.assert_array_equal(got[name], wanted[name], err_msg=name)
