"""Values of a prompt, the logit lens, and the first value in which two files differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError, UsageError
from llamakit.tools.look.diff import diff
from llamakit.tools.look.trace import LookParams, Seen, lens, trace_prompt, value_names, write

from ...core.vocab.vocabs import spm_metadata
from ...tiny import Tiny, write_tiny

KEYS = spm_metadata()
TINY = Tiny(n_vocab=len(KEYS["tokenizer.ggml.tokens"]), metadata=KEYS)
PROMPT = "hello world"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)


@pytest.fixture(scope="module")
def params(path):
    return LookParams(str(path), n_threads=1)


def copy_with(path, target, changed):
    """The file with other numbers in some tensors: `changed` by name."""
    with GGUFReader(path) as reader, GGUFWriter(target) as writer:
        for key, value in TINY.keys().items():
            writer.add(key, value)
        for tensor in reader.tensors:
            change = changed.get(tensor.name, lambda x: x)
            writer.add_tensor(tensor.name, change(np.array(tensor.data)))
    return str(target)


def test_values_of_a_prompt_come_with_its_tokens(params):
    seen = trace_prompt(params, PROMPT, ["blk.*.out", "blk.1.attn_weights"])
    n = len(seen.tokens)
    assert n == len(seen.pieces) > 2
    assert {name: value.shape for name, value in seen.values.items()} == {
        "blk.0.out": (n, 64),
        "blk.1.out": (n, 64),
        "blk.1.attn_weights": (4, n, n),
    }
    assert set(seen.values) <= set(value_names(params))


def test_the_lens_of_the_last_layer_says_what_the_model_says(params):
    output = trace_prompt(params, PROMPT, ["output"]).values["output"]
    pieces, guesses = lens(params, PROMPT, n_best=3)
    assert list(guesses) == ["blk.0.out", "blk.1.out"]
    assert [best[0].token for best in guesses["blk.1.out"]] == output.argmax(-1).tolist()
    assert [best[0].token for best in guesses["blk.0.out"]] != output.argmax(-1).tolist()
    assert all(len(best) == 3 and 0 < best[2].probability <= best[0].probability <= 1 for best in guesses["blk.0.out"])
    assert len(pieces) == len(output)


def test_a_file_differs_from_itself_in_nothing(params, path):
    made = diff(params, str(path), PROMPT, threshold=0)
    assert made.first is None and len(made.differences) > 20
    assert all(d.error == 0 for d in made.differences)


@pytest.mark.parametrize(
    "tensor, first",
    [
        ("token_embd.weight", "token_embd"),
        ("blk.0.attn_k.weight", "blk.0.attn_k"),
        ("blk.1.attn_output.weight", "blk.1.attn_output"),
        ("blk.1.ffn_norm.weight", "blk.1.ffn_norm"),
        ("output.weight", "output"),
    ],
)
def test_the_first_value_that_differs_is_that_of_the_tensor_that_does(params, path, tmp_path, tensor, first):
    other = copy_with(path, tmp_path / "other.gguf", {tensor: lambda x: x * np.float32(1.5)})
    made = diff(params, other, PROMPT)
    assert made.first is not None and made.first.name == first


def test_values_that_are_no_numbers_differ(params, path, tmp_path):
    def spoiled(x):
        x[3] = np.nan
        return x

    other = copy_with(path, tmp_path / "other.gguf", {"blk.1.ffn_norm.weight": spoiled})
    made = diff(params, other, PROMPT)
    assert made.first is not None and made.first.name == "blk.1.ffn_norm" and np.isnan(made.first.error)


def test_models_of_other_shapes_are_told_apart(params, tmp_path):
    shorter = write_tiny(tmp_path / "short.gguf", replace(TINY, n_layer=1))
    made = diff(params, str(shorter), PROMPT)
    assert "blk.1.out" in made.only_a and not made.only_b
    wider = write_tiny(tmp_path / "wide.gguf", replace(TINY, n_embd=96))
    with pytest.raises(UsageError, match="64 numbers in one model, 96 in the other"):
        diff(params, str(wider), PROMPT)


def test_an_archive_has_the_tokens_and_the_values(tmp_path):
    seen = Seen([1, 2], ["a", "b"], {"blk.0.out": np.ones((2, 3), np.float32)})
    write(seen, str(tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["tokens"].tolist() == [1, 2] and archive["blk.0.out"].shape == (2, 3)
    with pytest.raises(GGUFError):
        write(seen, str(tmp_path / "not there" / "x.npz"))
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_an_empty_prompt_is_refused(params):
    with pytest.raises(UsageError, match="empty"):
        trace_prompt(params, [], ["output"])
