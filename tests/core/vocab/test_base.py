"""What every vocabulary does, and what importing one costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llamakit.core.vocab import load_vocab
from llamakit.errors import VocabError
from tests.core.vocab.vocabs import UNUSED, USER_DEFINED, bpe_metadata, engine, spm_metadata


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


def test_the_token_of_a_newline() -> None:
    assert load_vocab(spm_metadata()).newline_id == 4 + 10
    vocab = load_vocab(bpe_metadata())
    assert vocab.newline_id == vocab.ids["Ċ"]
    assert load_vocab(bpe_metadata(drop="Ċ", padding_token_id=2)).newline_id == 2


def test_tokens_that_are_never_to_be_sampled() -> None:
    assert load_vocab(bpe_metadata(suppress_tokens=[3, -1, 7, 1 << 40])).suppressed_ids == {3, 7}
    for value in ("3", [1.0], [True]):
        with pytest.raises(VocabError, match="suppress_tokens"):
            load_vocab(bpe_metadata(suppress_tokens=value))


def test_spaces_are_cleaned_up_where_one_asks_for_it() -> None:
    vocab = load_vocab(bpe_metadata(pre="gpt-2"))
    ids = vocab.encode("a , b 's")
    assert vocab.detokenize(ids) == vocab.detokenize(ids, clean_up_spaces=True) == b"a, b's"
    assert vocab.detokenize(ids, clean_up_spaces=False) == b"a , b 's"


def test_a_second_bos_is_kept_and_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    vocab = load_vocab(spm_metadata())
    assert vocab.encode("<s>a", parse_special=True)[:2] == [1, 1]
    assert "there are two" in caplog.text
    caplog.clear()
    vocab.encode("<s>a", add_special=False, parse_special=True)
    vocab.encode("a")
    assert not caplog.text


def test_gemma_4_always_begins_with_bos(caplog: pytest.LogCaptureFixture) -> None:
    metadata = bpe_metadata(model="gemma4", pre="whatever", add_bos_token=False)
    assert load_vocab(metadata).encode("a")[0] == 0
    assert "need it: added" in caplog.text
    del metadata["tokenizer.ggml.bos_token_id"], metadata["tokenizer.ggml.eos_token_id"]
    assert (load_vocab(metadata).bos_id, load_vocab(metadata).eos_id) == (None, None)


def test_gemma_4_keeps_text_as_it_is_and_newlines_whole() -> None:
    texts = ["<pad>", *[f"<0x{byte:02X}>" for byte in range(256)], "▁", "a", "▁a", "\n", "\n\n", "\n\n\n", "é"]
    metadata = bpe_metadata(model="gemma4", merges=["▁ a", "\n \n"])
    metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"] = texts, [3, *[6] * 256, *[1] * 7]
    vocab = load_vocab(metadata)
    for name in ("own", "library"):
        with engine(name):
            ids = vocab.encode("a a\n\n\né\n\n\n\nü", add_special=False)
            assert [vocab.texts[i] for i in ids] == [*("a", "▁a", "\n\n\n", "é", "\n\n", "\n\n", "<0xC3>", "<0xBC>")]
    assert vocab.detokenize(ids) == "a a\n\n\né\n\n\n\nü".encode()
