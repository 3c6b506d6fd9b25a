"""The fields of the sampler chain: SamplingParams as a request's body spells them.

A hard limit is llama-server's own: beyond it the request is refused. Beyond a soft one llama-server takes the limit in
its place; with `is_strict` that is refused too, for the APIs that do not know such mercy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llamakit.core.sampling.order import STAGE_NAMES, order_of_letters, order_of_names, with_tail_free
from llamakit.core.sampling.params import FASTEST, MOST_TOKENS, RANDOM_SEED, SamplingParams
from llamakit.server.generation.field import Anything, Body, FieldError, Flag, Number, Texts, Whole, wrong_type
from llamakit.server.generation.logit_bias import LOGIT_BIAS, read_logit_bias

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

LARGEST_SEED = 2**64 - 1  # beyond 32 bits a seed is folded
SMALLEST_PENALTY = 1e-6

SAMPLER_FIELDS: tuple[Whole | Number | Flag, ...] = (
    Number("temperature", "How random the text is; 0: always the likeliest token.", least=0, is_hard=False),
    Number("dynatemp_range", "The temperature moves so far both ways with the entropy; 0: not.",
           least=0, is_hard=False),
    Number("dynatemp_exponent", "The exponent of that entropy.", least=0),
    Whole("top_k", "Keep the k likeliest tokens; 0: all.", least=0, most=MOST_TOKENS, is_hard=False),
    Number("top_p", "Keep the smallest set of tokens with this probability; 1: all.", least=0, most=1, is_hard=False),
    Number("min_p", "Keep tokens of at least this share of the likeliest one's probability; 0: all.",
           least=0, most=1, is_hard=False),
    Number("typical_p", "Keep the most typical tokens up to this probability; 1: all.",
           least=0, most=1, is_hard=False),
    Number("tfs_z", "Tail-free sampling; 1: off.", least=0, most=1, is_hard=False),
    Number("top_n_sigma", "Keep tokens within n standard deviations of the best logit; below 0: all."),
    Number("xtc_probability", "Chance that XTC leaves out the likeliest tokens.", least=0, most=1, is_hard=False),
    Number("xtc_threshold", "Probability from which XTC leaves tokens out; above 0.5: off.",
           least=0, most=1, is_hard=False),
    Whole("min_keep", "Samplers leave at least so many tokens.", least=0, most=MOST_TOKENS),
    Number("repeat_penalty", "Penalty of tokens that were there before; 1: none.", least=SMALLEST_PENALTY),
    Whole("repeat_last_n", "How many of the last tokens the penalties look at; 0: none.", least=0),
    Number("presence_penalty", "Taken from the logit of each token that was there; 0: none."),
    Number("frequency_penalty", "Taken from a token's logit as often as it was there; 0: none."),
    Flag("penalize_nl", "Whether the penalties are for newlines too."),
    Number("dry_multiplier", "Strength of the penalty of repeated sequences (DRY); 0: off.",
           least=0, is_hard=False),
    Number("dry_base", "How that grows with the length; below 1: the default."),
    Whole("dry_allowed_length", "The longest repetition without it.", least=0),
    Whole("dry_penalty_last_n", "How many of the last tokens DRY looks at; 0: none.", least=0),
    Whole("mirostat", "Mirostat in place of the samplers: version 1 or 2; 0: not.", least=0, most=2, is_hard=False),
    Number("mirostat_tau", "The surprise that Mirostat aims at.", least=0, most=FASTEST, is_hard=False),
    Number("mirostat_eta", "How fast Mirostat learns.", least=0, most=FASTEST, is_hard=False),
    Number("adaptive_target", "The probability that adaptive-p aims at; below 0: off.", most=1, is_hard=False),
    Number("adaptive_decay", "How long adaptive-p remembers.", least=0, most=0.99),
    Flag("ignore_eos", "Never end the text by itself."),
)  # fmt: skip
SEED = Whole("seed", "Seed of the random numbers; -1: a random one.", least=-1, most=LARGEST_SEED)
SAMPLERS = Anything("samplers", "The samplers in their order: a list of names, or a text of letters.",
                    types=("array", "string"), items={"enum": list(STAGE_NAMES)})  # fmt: skip
BREAKERS = Texts("dry_sequence_breakers", "Texts that no repetition spans.")
SAMPLING_FIELDS = (*SAMPLER_FIELDS, SEED, SAMPLERS, BREAKERS, LOGIT_BIAS)


def read_sampling(body: Body, base: SamplingParams, vocab: Vocab, *, is_strict: bool = False) -> SamplingParams:
    """The fields of SamplingParams alone; where the body says nothing, those of `base`."""
    said: dict[str, Any] = {f.name: v for f in SAMPLER_FIELDS if (v := f.read(body, is_strict)) is not None}
    for name in ("repeat_last_n", "dry_allowed_length", "dry_penalty_last_n"):
        if name in said:
            said[name] = min(said[name], MOST_TOKENS)  # more than any text has
    if said.get("dry_base", 1) < 1:
        del said["dry_base"]
    if (seed := SEED.read(body)) is not None:
        said["seed"] = seed if seed <= RANDOM_SEED else seed % RANDOM_SEED
    if (samplers := read_samplers(body)) is not None:
        said["samplers"] = samplers
    elif "tfs_z" in said:
        said["samplers"] = with_tail_free(base.samplers)
    if (breakers := BREAKERS.read(body)) is not None:
        if not breakers:
            raise FieldError(BREAKERS.name, "must be a non-empty array of strings")
        said["dry_sequence_breakers"] = breakers
    if (biases := read_logit_bias(body, vocab)) is not None:
        said["logit_bias"] = {**base.logit_bias, **biases}
    return replace(base, **said)


def read_samplers(body: Body) -> tuple[str, ...] | None:
    if (found := SAMPLERS.find(body)) is None:
        return None
    name, value = found
    if isinstance(value, str):
        order, unknown = order_of_letters(value)
    elif isinstance(value, list) and all(isinstance(text, str) for text in value):
        order, unknown = order_of_names(value)
    else:
        raise wrong_type(name, "a list of names or a text of letters", value)
    if unknown:
        raise FieldError(name, f"there is no sampler {unknown[0][:40]!r}")
    return tuple(dict.fromkeys(order))
