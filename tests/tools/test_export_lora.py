"""Merged models compute what the model with its adapters does, and the rest of the file is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from llamakit.cli.app import run
from llamakit.core.engine.adapters import EMBEDDING, load_adapter
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.quants import dequantize
from llamakit.errors import ModelError, UsageError
from llamakit.tools.export_lora import merge

from ..adapters import write_adapter
from ..running import logits_of, open_context
from ..tiny import Tiny, write_tiny

CHANGED = ("blk.0.attn_q.weight", "blk.1.ffn_down.weight")
TOKENS = np.random.default_rng(1).integers(0, Tiny().n_vocab, 24)


def exported(path, adapters, output, **options):
    with GGUFReader(path) as reader:
        return list(merge(reader, adapters, output, **options))


def test_a_merged_model_computes_what_the_adapter_does(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    names = (EMBEDDING, *CHANGED)
    one = load_adapter(write_adapter(tmp_path / "one.gguf", path, names, rank=4, alpha=8.0))
    two = load_adapter(write_adapter(tmp_path / "two.gguf", path, CHANGED[:1], rank=2, alpha=0.0, seed=1))
    adapters = [(one, 1.0), (two, -0.5)]
    exported(path, adapters, tmp_path / "merged.gguf")
    with open_context(path) as context, open_context(tmp_path / "merged.gguf") as merged:
        plain = logits_of(context, TOKENS, 24)
        context.set_adapters(adapters)
        want, got = logits_of(context, TOKENS, 24), logits_of(merged, TOKENS, 24)
    np.testing.assert_allclose(got, want, atol=3e-5)
    assert np.abs(want - plain).max() > 1


TYPES = {"f16": (False, ["F16", "F16", "Q8_0"]), "base": (True, ["Q8_0", "Q4_0", "Q8_0"])}


@pytest.mark.parametrize(("keeps_types", "types"), TYPES.values(), ids=TYPES)
def test_only_what_changes_gets_another_type(tmp_path, keeps_types, types):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny(type="q8_0", types={"ffn_down": "q4_0"}, metadata={"a.key": "kept"}))
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, CHANGED, rank=4, alpha=40.0))
    steps = exported(path, [(adapter, 1.0)], tmp_path / "merged.gguf", keeps_types=keeps_types)
    assert {step.tensor.name for step in steps if step.n_merged} == set(CHANGED)
    with GGUFReader(path) as old, GGUFReader(tmp_path / "merged.gguf") as new:
        assert [new.tensor(name).type.name for name in (*CHANGED, "blk.0.attn_v.weight")] == types
        assert new.metadata["a.key"] == "kept"
        for tensor in old.tensors:
            before, after = (dequantize(f.tensor(tensor.name).data, f.tensor(tensor.name).type) for f in (old, new))
            if tensor.name in CHANGED:
                want = before + adapter.factor(tensor.name) * adapter.pairs[tensor.name].product()
                tolerance = {"F16": 1e-3, "Q8_0": 0.01, "Q4_0": 0.15}[new.tensor(tensor.name).type.name]
                np.testing.assert_allclose(after, want, atol=tolerance)
                assert np.abs(want - before).max() > 4 * tolerance
            else:
                np.testing.assert_array_equal(after, before)


def test_experts_are_merged_each_with_its_own_pair(tmp_path):
    name = "blk.0.ffn_up_exps.weight"
    path = write_tiny(tmp_path / "moe.gguf", Tiny(n_expert=3, n_expert_used=2))
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, (name,), rank=2, alpha=2.0))
    exported(path, [(adapter, 2.0)], tmp_path / "merged.gguf")
    pair = adapter.pairs[name]
    with GGUFReader(path) as old, GGUFReader(tmp_path / "merged.gguf") as new:
        for i in range(3):
            want = old.tensor(name).data[i] + 2 * (pair.b[i] @ pair.a[i])
            np.testing.assert_allclose(new.tensor(name).data[i], want, atol=1e-5)


def test_nothing_is_written_for_an_adapter_that_does_not_fit(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    other = write_tiny(tmp_path / "other.gguf", Tiny(n_embd=32))
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", other, CHANGED, rank=4, alpha=8.0))
    with pytest.raises(ModelError, match=r"is it another base model\?"):
        exported(path, [(adapter, 1.0)], tmp_path / "merged.gguf")
    assert not (tmp_path / "merged.gguf").exists()


def test_a_file_that_is_read_is_not_overwritten(tmp_path):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    adapter = load_adapter(write_adapter(tmp_path / "a.gguf", path, CHANGED, rank=4, alpha=8.0))
    for output in (path, tmp_path / "a.gguf"):
        before = output.read_bytes()
        with pytest.raises(UsageError, match="is being read"):
            exported(path, [(adapter, 1.0)], output)
        assert output.read_bytes() == before


def test_the_command_says_what_it_merged(tmp_path, capsys):
    path = write_tiny(tmp_path / "tiny.gguf", Tiny())
    adapter = write_adapter(tmp_path / "a.gguf", path, CHANGED, rank=4, alpha=8.0)
    output = tmp_path / "merged.gguf"
    assert run(["export-lora", "-m", str(path), "--lora-scaled", str(adapter), "0.5", "-o", str(output)]) == 0
    assert capsys.readouterr().out.startswith(f"{output}: 2 tensors merged, 19 copied")
    assert run(["export-lora", "-m", str(path)]) == 1
    assert "--lora" in capsys.readouterr().err
