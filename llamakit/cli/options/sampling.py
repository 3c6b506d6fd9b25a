"""The options of the sampler chain, for every command that generates text: a group (see `parsing/groups.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from llamakit.cli.options.prompt import unescape
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument, warn

if TYPE_CHECKING:
    from llamakit.core.sampling.params import SamplingParams

PANEL = "Sampling"
PARSED = ("samplers", "sampler_seq", "logit_bias", "dry_sequence_breakers")  # texts that become something else
BIAS = re.compile(r"(\d+)([+-])(inf|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)")


def sampling(*names: str, help: str, default: object = None, env: str | None = None) -> Any:
    """An option of this panel; `default` is what holds where neither the user nor the model says more."""
    ending = "" if default is None else f"  [default: {default}]"
    return option(*names, panel=PANEL, help=help + ending, env=env, show_default=False)


@dataclass(frozen=True)
class SamplingOptions:
    """What the command line says of sampling; None where it says nothing. Named as the fields of SamplingParams."""

    samplers: Annotated[
        str | None,
        sampling("--samplers", help="Stages in their order, names with ; between.", default="see --sampler-seq"),
    ] = None
    sampler_seq: Annotated[
        str | None,
        sampling(
            "--sampler-seq",
            "--sampling-seq",
            help="The same in letters: e penalties, d DRY, s top-n-sigma, k top-k, f tail-free, y typical, p top-p, "
            "m min-p, x XTC, t temperature, i infill, a adaptive-p.",
            default="edskypmxt",
        ),
    ] = None
    seed: Annotated[int | None, sampling("-s", "--seed", help="Seed; -1: a random one.", default=-1)] = None
    temperature: Annotated[
        float | None,
        sampling("--temp", "--temperature", env="TEMPERATURE", help="Temperature; 0: greedy.", default=0.8),
    ] = None
    dynatemp_range: Annotated[
        float | None,
        sampling("--dynatemp-range", help="Temperature moves so far with the entropy; 0: not.", default=0.0),
    ] = None
    dynatemp_exponent: Annotated[
        float | None, sampling("--dynatemp-exp", help="Exponent of that entropy.", default=1.0)
    ] = None
    top_k: Annotated[
        int | None, sampling("--top-k", env="TOP_K", help="Keep the k most likely; 0: all.", default=40)
    ] = None
    top_p: Annotated[
        float | None, sampling("--top-p", env="TOP_P", help="Keep the smallest set above p; 1: off.", default=0.95)
    ] = None
    min_p: Annotated[
        float | None,
        sampling("--min-p", env="MIN_P", help="Keep what has p times the best's share; 0: off.", default=0.05),
    ] = None
    typical_p: Annotated[
        float | None,
        sampling("--typical", "--typical-p", help="Keep the most typical up to p; 1: off.", default=1.0),
    ] = None
    tfs_z: Annotated[float | None, sampling("--tfs", help="Tail-free sampling; 1: off.", default=1.0)] = None
    top_n_sigma: Annotated[
        float | None,
        sampling(
            "--top-nsigma", "--top-n-sigma", help="Keep logits n deviations below the best; -1: off.", default=-1.0
        ),
    ] = None
    xtc_probability: Annotated[
        float | None,
        sampling("--xtc-probability", help="Chance to drop the likeliest but one; 0: off.", default=0.0),
    ] = None
    xtc_threshold: Annotated[
        float | None, sampling("--xtc-threshold", help="Probability of those that XTC drops.", default=0.1)
    ] = None
    repeat_penalty: Annotated[
        float | None,
        sampling("--repeat-penalty", env="REPEAT_PENALTY", help="Repetition penalty; 1: off.", default=1.0),
    ] = None
    repeat_last_n: Annotated[
        int | None, sampling("--repeat-last-n", help="Tokens the penalties look at; 0: off, -1: all.", default=64)
    ] = None
    presence_penalty: Annotated[
        float | None,
        sampling("--presence-penalty", env="PRESENCE_PENALTY", help="Presence penalty; 0: off.", default=0.0),
    ] = None
    frequency_penalty: Annotated[
        float | None,
        sampling("--frequency-penalty", env="FREQUENCY_PENALTY", help="Frequency penalty; 0: off.", default=0.0),
    ] = None
    penalize_nl: Annotated[
        bool | None, sampling("--penalize-nl/--no-penalize-nl", help="Penalize newlines as well.", default="on")
    ] = None
    dry_multiplier: Annotated[
        float | None, sampling("--dry-multiplier", help="Penalty of repeated sequences (DRY); 0: off.", default=0.0)
    ] = None
    dry_base: Annotated[
        float | None, sampling("--dry-base", help="Growth of that penalty with the length.", default=1.75)
    ] = None
    dry_allowed_length: Annotated[
        int | None, sampling("--dry-allowed-length", help="Longest repetition without it.", default=2)
    ] = None
    dry_penalty_last_n: Annotated[
        int | None, sampling("--dry-penalty-last-n", help="Tokens DRY looks at; 0: off, -1: all.", default=64)
    ] = None
    dry_sequence_breakers: Annotated[
        list[str],
        sampling(
            "--dry-sequence-breaker",
            help="Text that no repetition spans; replaces the default ones, repeat for more; none: no breakers.",
            default=r"\n : \" *",
        ),
    ] = field(default_factory=list)
    mirostat: Annotated[
        int | None, sampling("--mirostat", help="Mirostat in place of the other stages: 1 or 2.", default=0)
    ] = None
    mirostat_eta: Annotated[
        float | None, sampling("--mirostat-lr", help="Mirostat's learning rate, eta.", default=0.1)
    ] = None
    mirostat_tau: Annotated[
        float | None, sampling("--mirostat-ent", help="Mirostat's target surprise, tau.", default=5.0)
    ] = None
    adaptive_target: Annotated[
        float | None,
        sampling("--adaptive-target", help="Probability that adaptive-p aims at; below 0: off.", default=-1.0),
    ] = None
    adaptive_decay: Annotated[
        float | None, sampling("--adaptive-decay", help="How long adaptive-p remembers, 0 to 0.99.", default=0.9)
    ] = None
    logit_bias: Annotated[
        list[str],
        sampling("-l", "--logit-bias", help="Token id, + or -, and a number: 15043+1, 2-inf; repeat for more."),
    ] = field(default_factory=list)
    ignore_eos: Annotated[bool | None, sampling("--ignore-eos", help="Never end the text by itself.")] = None


def sampling_params(options: SamplingOptions, base: SamplingParams | None = None) -> SamplingParams:
    """What the options say; where they say nothing, `base` (a model's defaults, or llama.cpp's).

    Raises InvalidArgument or UsageError. Unknown stages are named on stderr and left out.
    """
    from llamakit.core.sampling.order import with_tail_free
    from llamakit.core.sampling.params import SamplingParams

    said: dict[str, Any] = {f.name: getattr(options, f.name) for f in fields(options) if f.name not in PARSED}
    said = {name: value for name, value in said.items() if value is not None}
    if options.samplers is not None or options.sampler_seq is not None:
        said["samplers"] = parse_order(options.samplers, options.sampler_seq)
    base = base or SamplingParams()
    if options.logit_bias:  # on top of the tokens that a model suppresses
        said["logit_bias"] = {**base.logit_bias, **parse_biases(options.logit_bias)}
    if options.dry_sequence_breakers:
        said["dry_sequence_breakers"] = parse_breakers(options.dry_sequence_breakers)
    params = replace(base, **said)
    if options.tfs_z is not None and "samplers" not in said:
        params = replace(params, samplers=with_tail_free(params.samplers))
    return params


def sampling_of(options: SamplingOptions, metadata: Mapping[str, Any]) -> SamplingParams:
    """What the options say, and where they say nothing the model's file, and then llama.cpp."""
    from llamakit.core.sampling.model_defaults import defaults_of

    return sampling_params(options, defaults_of(metadata))


@cache  # a command may ask again once it knows the model's defaults: what is unknown is told once
def parse_order(samplers: str | None, sampler_seq: str | None) -> tuple[str, ...]:
    """The stages that --samplers names, or else those of --sampler-seq."""
    from llamakit.core.sampling.order import order_of_letters, order_of_names

    if samplers is not None:
        option, (order, unknown) = "--samplers", order_of_names(samplers.split(";"))
    else:
        option, (order, unknown) = "--sampler-seq", order_of_letters(sampler_seq or "")
    if unknown:
        warn(f"{option}: {', '.join(map(repr, unknown))} unknown, left out")
    return order


def parse_biases(texts: list[str]) -> dict[int, float]:
    """["15043+1", "2-inf"] -> {15043: 1.0, 2: -inf}. Raises InvalidArgument for anything else."""
    biases: dict[int, float] = {}
    for text in texts:
        for part in text.split(","):
            match = BIAS.fullmatch(part.strip())
            if match is None:
                raise InvalidArgument(f"--logit-bias: {part!r} is not a token id, + or -, and a number")
            biases[int(match[1])] = float(match[2] + match[3])
    return biases


def parse_breakers(texts: list[str]) -> tuple[str, ...]:
    r"""The texts behind the last "none", with their \n, \t and the like read."""
    first = max((i + 1 for i, text in enumerate(texts) if text == "none"), default=0)
    return tuple(map(unescape, texts[first:]))
