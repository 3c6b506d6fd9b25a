"""What every vocabulary does, and what importing one costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import UNUSED, USER_DEFINED, bpe_metadata, spm_metadata


@pytest.mark.parametrize("kind", ["morse", "", 7, [], None])
def test_an_unknown_kind_is_an_error_that_names_the_known_ones(kind: object) -> None:
    with pytest.raises(VocabError, match=r"is not supported; supported are gpt2, .*llama, bert, t5"):
        load_vocab({"tokenizer.ggml.model": kind})


def test_the_piece_of_a_token_depends_on_its_type() -> None:
    metadata = spm_metadata([("▁a", 0.0), ("▁b", 0.0), ("▁c", 0.0)])
    metadata["tokenizer.ggml.token_type"][-2:] = [USER_DEFINED, UNUSED]
    vocab = load_vocab(metadata)
    assert vocab.n_tokens == 263
    assert [vocab.piece(token) for token in (0, 1, 4 + 65, 260, 261, 262)] == [
        b"",
        b"",
        b"A",
        b" a",
        "▁b".encode(),
        b"",
    ]
    assert [vocab.piece(token, special=True) for token in (0, 1, 262)] == [b"<unk>", b"<s>", b""]


@pytest.mark.parametrize("token", [-1, 263, 1 << 40])
def test_an_id_outside_the_vocabulary_is_an_error(token: int) -> None:
    vocab = load_vocab(spm_metadata([("a", 0.0)] * 3))
    for use in (vocab.piece, vocab.is_control, lambda i: vocab.detokenize([1, i])):
        with pytest.raises(VocabError, match="not in the vocabulary of 263 tokens"):
            use(token)
    assert not vocab.is_eog(token)


def test_bos_and_eos_are_put_around_a_text() -> None:
    vocab = load_vocab(bpe_metadata(add_bos_token=True, add_eos_token=True, eos_token_id=2))
    ids = vocab.encode("a")
    assert (ids[0], ids[-1], len(ids)) == (0, 2, 3)
    assert vocab.detokenize(ids, special=True) == b"<|endoftext|>a<|im_end|>"
    assert vocab.detokenize(ids, special=True, remove_special=True) == b"a"


def test_importing_a_vocabulary_brings_in_no_library() -> None:
    heavy = {"tokenizers", "sentencepiece", "numba", "numpy"}
    code = f"import sys, llamakit.core.vocab; print(*({heavy!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
