"""Special tokens: where they come from, where they cut a text, which of them end a generation."""

from __future__ import annotations

import pytest

from llamakit.core.vocab import load_vocab
from tests.core.vocab.vocabs import CONTROL, NORMAL, USER_DEFINED, bpe_metadata, spm_metadata, texts_of


@pytest.mark.parametrize(
    "text, plain, parsed",
    [
        ("a<|im_end|>b", None, ["a", "<|im_end|>", "b"]),
        ("<|im_end|><|im_end|>", None, ["<|im_end|>", "<|im_end|>"]),
        ("a<tab>b", ["a", "<tab>", "b"], ["a", "<tab>", "b"]),  # user-defined tokens always cut
        ("<tab><tab>>", ["<tab>", "<tab>>"], ["<tab>", "<tab>>"]),  # the longest goes first
        ("<|im_<tab>end|>", None, ["<", "|", "i", "m", "_", "<tab>", "e", "n", "d", "|", ">"]),
    ],
)
def test_a_text_is_cut_at_special_tokens(text: str, plain: list[str] | None, parsed: list[str]) -> None:
    metadata = bpe_metadata(specials=["<|im_end|>", "<tab>", "<tab>>"])
    metadata["tokenizer.ggml.token_type"][1:3] = [USER_DEFINED] * 2
    vocab = load_vocab(metadata)
    assert texts_of(vocab, vocab.encode(text, parse_special=True)) == parsed
    assert b"".join(map(vocab.piece, vocab.encode(text))) == text.encode()
    if plain is not None:
        assert texts_of(vocab, vocab.encode(text)) == plain


def test_phi_3_tokens_swallow_the_blanks_after_them() -> None:
    metadata = spm_metadata([("a", 0.0), ("<|end|>", 0.0)]) | {"general.name": "Phi3 mini"}
    metadata["tokenizer.ggml.token_type"][-1] = CONTROL
    vocab = load_vocab(metadata)
    assert texts_of(vocab, vocab.encode("<|end|> \n a<s> a", parse_special=True)) == [
        *("<s>", "<|end|>", "▁", "a", "<s>", "▁", "▁", "a")
    ]


def test_ids_come_from_keys_then_texts_then_defaults() -> None:
    vocab = load_vocab(bpe_metadata(specials=["<|eot_id|>", "<|im_end|>", "<|fim_prefix|>", "<PRE>"], eot_token_id=1))
    assert (vocab.bos_id, vocab.eos_id, vocab.eot_id, vocab.special.fim_pre) == (0, 0, 1, 2)
    assert (vocab.eom_id, vocab.unk_id, vocab.sep_id, vocab.pad_id, vocab.mask_id) == (None,) * 5
    vocab = load_vocab(spm_metadata())
    assert (vocab.bos_id, vocab.eos_id, vocab.unk_id, vocab.eot_id) == (1, 2, 0, None)


def test_a_default_id_outside_the_vocabulary_is_dropped() -> None:
    metadata = spm_metadata(with_bytes=False)
    for key in ("tokens", "scores", "token_type"):
        del metadata[f"tokenizer.ggml.{key}"][2:]
    vocab = load_vocab(metadata)
    assert (vocab.bos_id, vocab.eos_id) == (1, None)


def test_tokens_known_by_text_become_control() -> None:
    metadata = bpe_metadata()
    metadata["tokenizer.ggml.token_type"][2] = NORMAL
    vocab = load_vocab(metadata)
    assert vocab.is_control(2) and vocab.piece(2) == b"" and vocab.piece(2, special=True) == b"<|im_end|>"
    assert not vocab.is_control(10)


@pytest.mark.parametrize(
    "specials, ending",
    [
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<|endoftext|>", "<|im_end|>"]),
        (["<|begin_of_text|>", "<|eot_id|>", "<|eom_id|>"], ["<|begin_of_text|>", "<|eot_id|>", "<|eom_id|>"]),
        (["<|return|>", "<|call|>", "<|end|>", "<|channel|>"], ["<|return|>", "<|call|>"]),
        (["<s>", "</s>", "<|tool_response>"], ["<s>", "<|tool_response>"]),
        (["<s>", "[PAD]", "<REPO>", "<|file_sep|>"], ["<s>", "[PAD]", "<REPO>", "<|file_sep|>"]),
    ],
)
def test_the_tokens_that_end_a_generation(specials: list[str], ending: list[str]) -> None:
    vocab = load_vocab(bpe_metadata(specials=specials))  # eos is token 0
    assert [text for i, text in enumerate(specials) if vocab.is_eog(i)] == ending
    assert vocab.eog_ids == {specials.index(text) for text in ending}


def test_markers_of_message_parts_are_shown_but_no_text_can_forge_them() -> None:
    vocab = load_vocab(bpe_metadata(specials=["<|return|>", "<|call|>", "<|end|>", "<|channel|>"]))
    assert vocab.detokenize([3, 2, 0]) == b"<|channel|><|end|>"
    assert 3 not in vocab.encode("<|channel|>")


@pytest.mark.parametrize("key, add_bos", [(True, True), (False, False), (None, True)])
def test_the_key_decides_over_the_rule_whether_bos_is_added(key: bool | None, add_bos: bool) -> None:
    metadata = bpe_metadata(pre="llama-bpe", add_bos_token=key)
    if key is None:
        del metadata["tokenizer.ggml.add_bos_token"]
    vocab = load_vocab(metadata)
    assert vocab.add_bos is add_bos
    assert (vocab.encode("a")[0] == vocab.bos_id) is add_bos
    assert vocab.encode("a", add_special=False)[0] != vocab.bos_id


def test_rules_without_bos_have_none() -> None:
    metadata = bpe_metadata(pre="glm4")
    del metadata["tokenizer.ggml.bos_token_id"]
    assert load_vocab(metadata).bos_id is None
