"""The sampling options: llama.cpp's spellings, and what becomes of them."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

import pytest
import typer

from llamakit.cli.options.sampling import SamplingOptions, sampling_params
from llamakit.cli.parsing.call import read_and_call
from llamakit.cli.parsing.reader import InvalidArgument
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError


def read(*args: str, base: SamplingParams | None = None) -> SamplingParams:
    got: list[SamplingParams] = []

    def command(*, sampling: SamplingOptions) -> None:
        got.append(sampling_params(sampling, base))

    command.__annotations__ = {"sampling": SamplingOptions, "return": None}
    read_and_call("test", command, args)
    return got[0]


def test_nothing_said_leaves_the_defaults():
    assert read() == SamplingParams()


@pytest.mark.parametrize(
    "line, options",
    [
        ("-s 7", {"seed": 7}),
        ("--seed -1", {"seed": -1}),
        ("--temp 0.5", {"temperature": 0.5}),
        ("--temperature 0", {"temperature": 0}),
        ("--top-k 3 --top_p 0.5 --min-p 0", {"top_k": 3, "top_p": 0.5, "min_p": 0}),
        ("--typical 0.3", {"typical_p": 0.3}),
        ("--typical-p 0.3", {"typical_p": 0.3}),
        ("--top-nsigma 1", {"top_n_sigma": 1}),
        ("--top-n-sigma 1.5", {"top_n_sigma": 1.5}),
        ("--xtc-probability 0.5 --xtc-threshold 0.2", {"xtc_probability": 0.5, "xtc_threshold": 0.2}),
        ("--repeat-penalty 1.1 --repeat-last-n -1", {"repeat_penalty": 1.1, "repeat_last_n": -1}),
        ("--presence-penalty 1 --frequency-penalty 2", {"presence_penalty": 1, "frequency_penalty": 2}),
        ("--no-penalize-nl", {"penalize_nl": False}),
        ("--penalize-nl", {"penalize_nl": True}),
        ("--dry-multiplier 0.8 --dry-base 2", {"dry_multiplier": 0.8, "dry_base": 2}),
        ("--dry-allowed-length 4 --dry-penalty-last-n -1", {"dry_allowed_length": 4, "dry_penalty_last_n": -1}),
        (r"--dry-sequence-breaker \n --dry-sequence-breaker ab", {"dry_sequence_breakers": ("\n", "ab")}),
        ("--dry-sequence-breaker none", {"dry_sequence_breakers": ()}),
        ("--dry-sequence-breaker a --dry-sequence-breaker none --dry-sequence-breaker b",
         {"dry_sequence_breakers": ("b",)}),
        ("--dynatemp-range 0.5 --dynatemp-exp 2", {"dynatemp_range": 0.5, "dynatemp_exponent": 2}),
        ("--mirostat 2 --mirostat-lr 0.2 --mirostat-ent 3",
         {"mirostat": 2, "mirostat_eta": 0.2, "mirostat_tau": 3}),
        ("--adaptive-target 0.3 --adaptive-decay 0.5", {"adaptive_target": 0.3, "adaptive_decay": 0.5}),
        ("-l 15043+1 -l 2-inf --logit-bias 7-.5", {"logit_bias": {15043: 1.0, 2: -math.inf, 7: -0.5}}),
        ("-l 1+2,3-4e1", {"logit_bias": {1: 2.0, 3: -40.0}}),
        ("--ignore-eos", {"ignore_eos": True}),
        ("--samplers top_k;temp", {"samplers": ("top_k", "temperature")}),
        ("--sampling-seq kt", {"samplers": ("top_k", "temperature")}),
        ("--sampler-seq kfypmt",
         {"samplers": ("top_k", "tfs_z", "typ_p", "top_p", "min_p", "temperature")}),
        ("--tfs 0.5 --samplers top_k", {"tfs_z": 0.5, "samplers": ("top_k",)}),
    ],
)  # fmt: skip
def test_options_become_parameters(line, options):
    assert read(*line.split()) == SamplingParams(**options)


def test_tail_free_sampling_takes_its_old_place():
    params = read("--tfs", "0.5")
    assert params.samplers == tuple("penalties dry top_n_sigma top_k tfs_z typ_p top_p min_p xtc temperature".split())


def test_a_models_defaults_hold_where_the_user_says_nothing():
    base = SamplingParams(top_k=20, temperature=0.6, samplers=("top_k", "temperature"))
    assert read("--temp", "0.8", base=base) == replace(base, temperature=0.8)
    assert read("--sampling-seq", "t", base=base) == replace(base, samplers=("temperature",))


@pytest.mark.parametrize("args", [("--samplers", "top_k;top_q;zz;temp"), ("--sampling-seq", "kqt")])
def test_unknown_stages_are_told_and_skipped(args, capsys):
    assert read(*args).samplers == ("top_k", "temperature")
    assert re.search(rf"warn: {args[0].replace('sampling', 'sampler')}: 'top_q', 'zz' unknown|: 'q' unknown",
                     capsys.readouterr().err)  # fmt: skip


@pytest.mark.parametrize("text", ["5", "5=1", "a+1", "5+", "5+inf+1", "-5+1", "5+nan", ""])
def test_a_bias_needs_an_id_a_sign_and_a_number(text):
    with pytest.raises(InvalidArgument, match=r"--logit-bias: .* is not a token id"):
        read("--logit-bias", text)


def test_values_that_make_no_sense_are_refused():
    for args in (["--mirostat", "3"], ["--repeat-penalty", "0"], ["-l", "5+inf"]):
        with pytest.raises(UsageError):
            read(*args)


def test_every_parameter_has_an_option_and_the_help_tells_its_default(capsys):
    names = {field.name for field in fields(SamplingOptions)}
    for_requests = {
        "frequency_is_share",
        "watermark_gamma",
        "watermark_delta",
        "keeps_others",
    }  # of text-generation-inference's API
    assert {field.name for field in fields(SamplingParams)} - names == {"min_keep"} | for_requests
    assert names - {field.name for field in fields(SamplingParams)} == {"sampler_seq"}

    def command(*, sampling: SamplingOptions) -> None: ...

    command.__annotations__ = {"sampling": SamplingOptions, "return": None}
    with pytest.raises(typer.Exit):
        read_and_call("test", command, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    defaults = SamplingParams()
    for option, name in [("--temp", "temperature"), ("--top-k", "top_k"), ("--top-p", "top_p"), ("--min-p", "min_p"),
                         ("--typical", "typical_p"), ("--tfs", "tfs_z"), ("--top-nsigma", "top_n_sigma"),
                         ("--xtc-probability", "xtc_probability"), ("--xtc-threshold", "xtc_threshold"),
                         ("--repeat-penalty", "repeat_penalty"), ("--repeat-last-n", "repeat_last_n"),
                         ("--dry-base", "dry_base"), ("--dry-allowed-length", "dry_allowed_length"),
                         ("--dry-penalty-last-n", "dry_penalty_last_n"), ("--mirostat-lr", "mirostat_eta"),
                         ("--mirostat-ent", "mirostat_tau"), ("--adaptive-decay", "adaptive_decay")]:  # fmt: skip
        told = re.search(rf"{option}[ ,].*?\[default: (\S+)\]", text)
        assert told and float(told[1]) == getattr(defaults, name), option
