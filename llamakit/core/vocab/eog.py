"""Which tokens end a generation, and which types that knowledge changes."""

from __future__ import annotations

from llamakit.core.vocab.special import SpecialIds
from llamakit.core.vocab.tokens import TokenTable, TokenType

_TEXTS = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>"),
    *("<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>"),
    *("<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~["),
)
# Messages of these formats are made of several parts: <|end|> only closes one of them.
_PART_FORMATS = (
    {"<|return|>", "<|call|>", "<|end|>"},
    {"<|return|>", "<|calls|>", "<|end|>"},
    {"<|call|>", "<|flush|>", "<|end|>"},
    {"<|calls|>", "<|flush|>", "<|end|>"},
)
_PART_MARKERS = ("<|channel|>", "<|message|>", "<|start|>", "<|constrain|>")  # shown, so that a reader can tell parts


def end_of_generation(
    tokens: TokenTable, special: SpecialIds
) -> tuple[frozenset[int], frozenset[int], dict[int, TokenType]]:
    """(ids that end a generation, control tokens that are shown all the same, types that differ from the file's).

    llama.cpp makes the shown ones user-defined. Here they stay control tokens, so that a user's text cannot forge them.
    """
    ids = tokens.ids
    present = {text for text in _TEXTS if text in ids}
    overrides = {
        ids[text]: TokenType.CONTROL
        for text in present
        if tokens.types[ids[text]] not in (TokenType.CONTROL, TokenType.UNUSED)
    }
    by_role = (special.eos, special.eot, special.eom, special.fim_pad, special.fim_rep, special.fim_sep)
    eog = {ids[text] for text in present} | {i for i in by_role if i is not None}
    shown = {ids[text] for text in _PART_MARKERS if text in ids}
    if any(parts <= present for parts in _PART_FORMATS):
        eog.discard(ids["<|end|>"])
        shown.add(ids["<|end|>"])
    if ("<|tool_response>" in ids or "<|plamo:eos|>" in ids) and "</s>" in ids:
        eog.discard(ids["</s>"])
        overrides[ids["</s>"]] = TokenType.NORMAL
    return frozenset(eog), frozenset(shown), overrides
