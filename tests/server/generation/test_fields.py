"""llama-server's request fields: names, types, limits, and what they become."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.sampling.params import LARGEST, SamplingParams
from llamakit.core.vocab.base import read_vocab
from llamakit.server.generation.field import INT32_MAX, FieldError
from llamakit.server.generation.fields import ALL_FIELDS, NAMES, Defaults, completion_schema, read_fields

from ...core.vocab.vocabs import spm_metadata

VOCAB = read_vocab(spm_metadata())
DEFAULTS = Defaults(replace(SamplingParams(), top_k=7, seed=3), n_predict=99, stop=("END",), n_cmpl_max=4, n_adapters=2)


def fields(**body):
    return read_fields(body, DEFAULTS, VOCAB)


def test_what_is_absent_or_null_is_as_the_command_line_says():
    asked = fields()
    assert asked.sampling == DEFAULTS.sampling
    assert (asked.n_predict, asked.stop, asked.lora, asked.constraint, asked.n_cmpl) == (99, ("END",), None, None, 1)
    assert fields(**dict.fromkeys(NAMES)) == asked


@pytest.mark.parametrize(
    "body, name, value",
    [
        ({"n_predict": 5}, "n_predict", 5),
        ({"max_tokens": 5}, "n_predict", 5),
        ({"max_completion_tokens": 6, "max_tokens": 5}, "n_predict", 6),
        ({"n_predict": None, "max_tokens": 5}, "n_predict", 5),
        ({"n_predict": 0}, "n_predict", 0),
        ({"n_predict": 5.0}, "n_predict", 5),
        ({"n": 4}, "n_cmpl", 4),
        ({"logprobs": 3}, "n_probs", 3),
        ({"slot_id": 1}, "id_slot", 1),
        ({"stop": "a"}, "stop", ("a",)),
        ({"stop": ["a", "", "b"]}, "stop", ("a", "b")),
        ({"stop": [""]}, "stop", ("END",)),
        ({"lora": []}, "lora", ()),
        ({"lora": [{"id": 1, "scale": 0.5}, {"id": 0}]}, "lora", ((1, 0.5), (0, 0.0))),
        ({"response_fields": ["a/b"]}, "response_fields", ("a/b",)),
    ],
)
def test_a_field_is_known_by_all_its_names(body, name, value):
    assert getattr(fields(**body), name) == value


@pytest.mark.parametrize(
    "body, name, value",
    [
        ({"temperature": -1}, "temperature", 0),
        ({"temperature": 1e308}, "temperature", 3.4e38),
        ({"top_p": 2}, "top_p", 1),
        ({"top_k": -5}, "top_k", 0),
        ({"top_k": INT32_MAX}, "top_k", 1 << 24),
        ({"min_p": -0.5}, "min_p", 0),
        ({"mirostat": 9}, "mirostat", 2),
        ({"adaptive_target": 7}, "adaptive_target", 1),
        ({"repeat_last_n": INT32_MAX}, "repeat_last_n", 1 << 24),
        ({"dry_base": 0.5}, "dry_base", 1.75),
        ({"seed": -1}, "seed", -1),
        ({"seed": 2**32 - 2}, "seed", 2**32 - 2),
        ({"seed": 2**63}, "seed", 2**63 % (2**32 - 1)),
        ({"samplers": ["top-k", "temp"]}, "samplers", ("top_k", "temperature")),
        ({"samplers": "kt"}, "samplers", ("top_k", "temperature")),
        ({"samplers": ["typ_p", "typical_p"]}, "samplers", ("typ_p",)),
        ({"dry_sequence_breakers": ["x"]}, "dry_sequence_breakers", ("x",)),
        ({"logit_bias": [[5, 1.5], [6, False]]}, "logit_bias", {5: 1.5, 6: -math.inf}),
        ({"logit_bias": {"5": 1}}, "logit_bias", {5: 1.0}),
        ({"ignore_eos": True}, "ignore_eos", True),
    ],
)
def test_a_sampling_field_becomes_a_parameter_within_its_limits(body, name, value):
    assert getattr(fields(**body).sampling, name) == value


def test_tail_free_sampling_is_in_the_chain_once_it_is_asked_for():
    assert "tfs_z" not in fields().sampling.samplers
    assert "tfs_z" in fields(tfs_z=0.9).sampling.samplers


def test_a_bias_of_a_text_is_one_of_all_its_tokens():
    ids = VOCAB.encode("Hello you", add_special=False)
    assert len(ids) > 1
    for form in ([["Hello you", -2]], {"Hello you": -2}):
        assert fields(logit_bias=form).sampling.logit_bias == dict.fromkeys(ids, -2.0)


HARD = "Value must be between"


@pytest.mark.parametrize(
    "body, message",
    [
        ({"n_predict": -2}, f"Field 'n_predict': {HARD} -1 <= value <= 2147483647, but got -2"),
        ({"max_tokens": 2**63}, f"Field 'max_tokens': {HARD} -1 <= value <= 2147483647, but got 9223372036854775808"),
        ({"n_keep": -2}, f"Field 'n_keep': {HARD} -1 <= value <= 2147483647, but got -2"),
        ({"n_discard": -1}, f"Field 'n_discard': {HARD} 0 <= value <= 2147483647, but got -1"),
        ({"n_cmpl": 5}, f"Field 'n_cmpl': {HARD} 1 <= value <= 4, but got 5"),
        ({"n": 10**9}, f"Field 'n': {HARD} 1 <= value <= 4, but got 1000000000"),
        ({"repeat_last_n": -1}, f"Field 'repeat_last_n': {HARD} 0 <= value <= 2147483647, but got -1"),
        ({"adaptive_decay": 1}, f"Field 'adaptive_decay': {HARD} 0.000000 <= value <= 0.990000, but got 1.000000"),
        ({"n_probs": 10**6}, f"Field 'n_probs': {HARD} 0 <= value <= {VOCAB.n_tokens}, but got 1000000"),
        ({"seed": 2**80}, f"Field 'seed': {HARD} -1 <= value <= {2**64 - 1}, but got {2**80}"),
        ({"temperature": math.nan}, "Field 'temperature': must be a number, but is NaN"),
        ({"temperature": "hot"}, "Field 'temperature': must be a number, but is a text"),
        ({"n_predict": 10**400}, "Field 'n_predict': Value must be"),
        (
            {"presence_penalty": 10**400},
            "Field 'presence_penalty': Value must be between -3.4e+38 <= value <= 3.4e+38, but got more than 1e308",
        ),
        ({"top_k": 1.5}, "Field 'top_k': must be a whole number, but is a number"),
        ({"top_k": True}, "Field 'top_k': must be a whole number, but is a boolean"),
        ({"stream": 1}, "Field 'stream': must be true or false, but is a number"),
        ({"stop": 5}, "Field 'stop': must be a text or a list of texts"),
        ({"stop": ["a"] * 10**5}, "Field 'stop': has 100000 texts"),
        ({"samplers": ["magic"]}, "Field 'samplers': there is no sampler 'magic'"),
        ({"samplers": {}}, "Field 'samplers': must be"),
        ({"dry_sequence_breakers": []}, "Field 'dry_sequence_breakers': must be a non-empty array"),
        ({"repeat_penalty": 0}, "Field 'repeat_penalty'"),
        ({"logit_bias": [[10**6, 1]]}, "Field 'logit_bias': there is no token 1000000"),
        ({"logit_bias": {"-3": True}}, "Field 'logit_bias'"),
        ({"logit_bias": [[5]]}, "Field 'logit_bias': [5] is no pair"),
        ({"logit_bias": [[5, "x"]]}, "Field 'logit_bias': 'x' is no bias"),
        ({"logit_bias": [[5, 10**400]]}, "Field 'logit_bias'"),
        ({"logit_bias": [[5, 1]] * 10**6}, "Field 'logit_bias': has 1000000 entries"),
        ({"logit_bias": 5}, "Field 'logit_bias': must be"),
        ({"lora": [{"id": 2, "scale": 1}]}, "Field 'lora.0.id': there is no adapter 2"),
        ({"lora": [{"id": 0, "scale": "x"}]}, "Field 'lora.0.scale': must be a number"),
        ({"lora": {}}, "Field 'lora': must be an array of objects with 'id' and 'scale' fields"),
        ({"grammar": "root ::= ("}, "Field 'grammar': "),
        ({"json_schema": {"type": "nothing"}}, "Field 'json_schema': "),
        ({"json_schema": "x"}, "Field 'json_schema': must be"),
        ({"grammar_lazy": True}, "Field 'grammar_triggers': no triggers set for lazy grammar!"),
    ],
)
def test_fault_71_a_value_that_makes_no_sense_is_refused_by_its_field(body, message):
    with pytest.raises(FieldError) as refused:
        fields(**body)
    assert message in str(refused.value)
    assert refused.value.param.split(".")[0] in message


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": -1}, {"temperature": 1e308}, {"top_p": 2}, {"top_k": -5}, {"typical_p": 2}, {"tfs_z": 1.5},
        {"dry_multiplier": -1}, {"mirostat_tau": -1}, {"mirostat_eta": -0.1}, {"dynatemp_range": -1},
    ],
)  # fmt: skip
def test_fault_71_strict_apis_refuse_what_llama_server_would_clamp(body):
    (name,) = body
    with pytest.raises(FieldError, match=f"Field '{name}': {HARD}"):
        read_fields(body, DEFAULTS, VOCAB, is_strict=True)
    assert 0 <= getattr(fields(**body).sampling, name) <= LARGEST


def test_penalties_and_biases_beyond_openais_mean_something():
    """llama-server's clients use them: it has no limits there; -1 is no limit of the time."""
    body = {"presence_penalty": 3, "frequency_penalty": -3, "logit_bias": {"5": 1000}, "t_max_predict_ms": -1}
    sampling = read_fields(body, DEFAULTS, VOCAB, is_strict=True).sampling
    assert (sampling.presence_penalty, sampling.frequency_penalty, sampling.logit_bias[5]) == (3, -3, 1000)


def test_a_grammar_goes_before_a_schema_and_an_empty_one_is_none():
    assert fields(grammar="", json_schema=None).constraint is None
    assert fields(grammar='root ::= "a"', json_schema={"type": "nothing"}).constraint is not None
    assert fields(json_schema={}).constraint.triggers is None
    with pytest.raises(FieldError, match="at most 1048576"):
        fields(grammar='root ::= "' + "a" * (1 << 20) + '"')
    named = fields(json_schema={"properties": {"x": {"type": "integer"}}, "type": "object"}).constraint
    assert [Grammar(named.rules).matches(text) for text in ('{"x": 1}', '{"x": 1, "y": 2}')] == [True, False]


def test_a_lazy_grammar_wakes_at_its_triggers():
    triggers = [{"type": 1, "value": "Hello you"}, {"type": 2, "value": "a+"}, {"type": 3, "value": ".*b"}]
    triggers.append({"type": 0, "value": "</s>", "token": 2})
    asked = fields(grammar='root ::= "a"', grammar_lazy=True, grammar_triggers=triggers)
    woken = asked.constraint.triggers
    assert (woken.words, woken.patterns, woken.full_patterns) == (("Hello you",), ("a+",), (".*b",))
    assert woken.tokens == {2}
    assert asked.grammar.settings()["grammar_triggers"] == triggers


def test_a_trigger_word_that_is_one_token_must_be_preserved():
    body = {"grammar": 'root ::= "a"', "grammar_lazy": True, "grammar_triggers": [{"type": 1, "value": "</s>"}]}
    with pytest.raises(FieldError, match="should be marked as preserved token: </s>"):
        fields(**body)
    assert fields(**body, preserved_tokens=["</s>"]).constraint.triggers.tokens == {2}


def test_the_schema_tells_every_name_and_its_limits():
    schema = json.loads(json.dumps(completion_schema(DEFAULTS)))
    assert set(schema["properties"]) == NAMES
    assert schema["properties"]["n"]["maximum"] == 4
    assert schema["properties"]["n_predict"]["minimum"] == -1
    assert all(field.about for field in ALL_FIELDS)
