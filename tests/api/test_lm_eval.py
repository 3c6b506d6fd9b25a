"""What lm-evaluation-harness asks of a model."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from llamakit.api.llama import Llama
from llamakit.api.lm_eval import encode_pair, generate_until, rolling, score_pairs, score_texts
from llamakit.core.sampling.logprobs import logprobs
from llamakit.errors import UsageError

PAIRS = [("the cat", " cat"), ("the ", "cat the"), ("", "the cat"), ("the cat the cat", " the")]


@pytest.fixture(scope="module")
def llm(path):
    with Llama(path, n_ctx=64, logits_all=True, verbose=False) as llm:
        yield llm


def test_continuations_are_as_likely_as_their_tokens(llm):
    found = score_pairs(llm, PAIRS)
    for (context, continuation), (total, is_likeliest) in zip(PAIRS, found, strict=True):
        tokens, n = encode_pair(llm, context, continuation)
        llm.reset()
        llm.eval(tokens)
        rows = llm.scores[-n - 1 : -1]
        expected = [logprobs(row, [token])[0] for row, token in zip(rows, tokens[-n:], strict=True)]
        assert total == pytest.approx(sum(expected), rel=1e-6)
        assert is_likeliest == all(int(np.argmax(row)) == token for row, token in zip(rows, tokens[-n:], strict=True))


def test_blanks_between_belong_to_the_continuation(llm):
    assert encode_pair(llm, "the ", "cat") == encode_pair(llm, "the", " cat")
    tokens, n = encode_pair(llm, "a" * 200, " cat")
    assert len(tokens) == 64 and 0 < n < 64


@pytest.mark.parametrize("n", [2, 8, 9, 30])
def test_every_token_of_a_text_counts_once_with_as_much_before_it_as_fits(n):
    tokens = list(range(n))
    windows = rolling(tokens, 8)
    assert [token for window, counted in windows for token in window[-counted:]] == tokens[1:]
    assert all(len(window) <= 8 and 0 < counted < len(window) for window, counted in windows)


def test_a_whole_text_is_as_likely_as_behind_its_beginning(llm):
    (total,) = score_texts(llm, ["the cat"])
    assert total == pytest.approx(score_pairs(llm, [("", "the cat")])[0][0], rel=1e-6)


def test_texts_go_on_until_one_of_those_that_end_them(llm):
    plain = generate_until(llm, [("the cat", {"max_gen_toks": 12}), ("the", {"max_gen_toks": 3})])
    assert plain[0] == llm("the cat", max_tokens=12, temperature=0)["choices"][0]["text"]
    end = plain[0][2:4]
    (cut,) = generate_until(llm, [("the cat", {"max_gen_toks": 12, "until": [end]})])
    assert cut == plain[0][: plain[0].index(end)]
    with pytest.raises(UsageError, match="max_gen_toks"):
        generate_until(llm, [("the", {"max_gen_toks": 64})])


HARNESS = """
import sys, types
registry, model = types.ModuleType("lm_eval.api.registry"), types.ModuleType("lm_eval.api.model")
model.LM = type("LM", (), {"__init__": lambda self: None})
known = {}
registry.register_model = lambda *names: lambda made: known.update(dict.fromkeys(names, made)) or made
sys.modules |= {"lm_eval": types.ModuleType("lm_eval"), "lm_eval.api": types.ModuleType("lm_eval.api"),
                "lm_eval.api.registry": registry, "lm_eval.api.model": model}
from llamakit.api.lm_eval import register
register()
lm = known["llamakit"](path=sys.argv[1], n_ctx=64)
ask = lambda *args: types.SimpleNamespace(args=args)
print(len(lm.loglikelihood([ask("the", " cat")])), len(lm.loglikelihood_rolling([ask("the cat")])),
      len(lm.generate_until([ask("the", {"max_gen_toks": 3})])),
      lm.apply_chat_template([{"role": "user", "content": "x"}]))
"""


def test_the_harness_finds_the_model_by_its_name(path):
    """The harness itself fetches its tasks: here only its registry is there."""
    done = subprocess.run([sys.executable, "-c", HARNESS, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 1 1 <|im_start|>user\nx")
