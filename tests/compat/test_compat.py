"""Programs written for llama-cpp-python, with one line more."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

import llamakit.compat  # noqa: F401
from llamakit.api.tokenizers import LlamaHFTokenizer
from llamakit.errors import LlamakitError
from tests.api.model import TINY
from tests.api.test_completion import forced
from tests.tiny import write_tiny

import llama_cpp  # isort: skip
from llama_cpp.llama_chat_format import ChatFormatterResponse, Jinja2ChatFormatter, register_chat_format  # isort: skip
from llama_cpp.llama_grammar import LlamaGrammar  # isort: skip

MESSAGES = [{"role": "user", "content": "the cat?"}]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))


@pytest.fixture(scope="module")
def llm(path):
    with llama_cpp.Llama(model_path=path, n_ctx=256, seed=1337, verbose=False) as llm:
        yield llm


def test_one_line_is_enough(path):
    code = """
import llamakit.compat
from llama_cpp import Llama, LlamaGrammar, LlamaRAMCache, LogitsProcessorList, StoppingCriteriaList
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding
from llama_cpp.llama_types import ChatCompletionRequestMessage
from llama_cpp.llama_tokenizer import LlamaHFTokenizer
import llama_cpp, sys
llm = Llama(sys.argv[1], n_ctx=64, f16_kv=True, n_parts=-1, type_k=llama_cpp.GGML_TYPE_Q8_0,
            rope_scaling_type=llama_cpp.LLAMA_ROPE_SCALING_TYPE_NONE, verbose=False)
print(llm("the cat", max_tokens=3)["choices"][0]["finish_reason"])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("length", "stop")


def test_programs_find_that_it_is_installed():
    assert importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("llama_cpp.llama_types")
    assert importlib.util.find_spec("llama_cpp.no_such_part") is None


def test_unknown_options_are_warned_of(path):
    with pytest.warns(UserWarning, match="no option n_wonders"):
        llama_cpp.Llama(path, n_wonders=3, verbose=False).close()


def test_models_that_cannot_be_opened_are_value_errors(path, tmp_path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF and nothing else")
    for options, words in (
        ({"model_path": str(tmp_path / "missing.gguf")}, "Model path does not exist: .*missing.gguf"),
        ({"model_path": str(damaged)}, "Failed to load model from file: .*damaged.gguf"),
        ({"model_path": path, "kv_overrides": {"x": [1]}}, "Unknown value type for x"),
        ({"model_path": path, "tensor_split": [1.0] * 100}, "tensor_split"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            llama_cpp.Llama(**options, verbose=False)
        assert isinstance(caught.value, LlamakitError)


def test_processors_criteria_and_grammars(llm):
    processors = llama_cpp.LogitsProcessorList(forced("one two"))
    assert llm("the", max_tokens=30, logits_processor=processors)["choices"][0]["text"] == "one two"
    enough = llama_cpp.StoppingCriteriaList([lambda tokens, logits: len(tokens) >= 8])
    answer = llm("the", max_tokens=30, stopping_criteria=enough)
    assert answer["usage"]["total_tokens"] == 8 and answer["choices"][0]["finish_reason"] == "stop"
    grammar = LlamaGrammar.from_string('root ::= "true" | "false"')
    assert llm("the", max_tokens=9, grammar=grammar)["choices"][0]["text"] in ("true", "false")


def test_no_end_before_some_tokens(llm):
    end = llm.token_eos()

    def tempting(_, logits):
        logits[end] = 100
        return logits

    at_once = llm("the", max_tokens=9, logits_processor=[tempting])
    late = llm("the", max_tokens=9, logits_processor=[tempting, llama_cpp.MinTokensLogitsProcessor(4, end)])
    assert at_once["usage"]["completion_tokens"] == 0 and late["usage"]["completion_tokens"] == 4


def test_what_programs_look_up_in_structures_is_there(llm):
    assert llm.context_params.n_ctx == 256 and llm.context_params.embeddings is False
    assert llm.model_params.vocab_only is False


def test_states_and_seeds(llm):
    llm.set_seed(1337)
    state = llm.save_state()
    numbers = [llm("the", max_tokens=4, temperature=1.0)["choices"][0]["text"] for _ in range(2)]
    llm.load_state(state)
    assert [llm("the", max_tokens=4, temperature=1.0)["choices"][0]["text"] for _ in range(2)] == numbers
    assert len(set(numbers)) == 2


def test_formats_and_templates_of_ones_own(path):
    @register_chat_format("plain")
    def plain(messages, **options):
        return ChatFormatterResponse(prompt=messages[-1]["content"], stop="!")

    with llama_cpp.Llama(path, n_ctx=256, chat_format="plain", verbose=False) as llm:
        answer = llm.create_chat_completion(MESSAGES, max_tokens=30, logits_processor=forced("yes! no"))
        assert answer["choices"][0]["message"]["content"] == "yes" and answer["object"] == "chat.completion"
        chunks = list(llm.create_chat_completion(MESSAGES, stream=True, max_tokens=30, logits_processor=forced("yes!")))
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "yes"
    made = Jinja2ChatFormatter("{% for m in messages %}[{{ m.content }}]{% endfor %}", eos_token="</s>")(
        messages=MESSAGES
    )
    assert made.prompt == "[the cat?]" and made.stop == ["</s>"]


def test_a_tokenizer_of_hugging_faces_serves():
    from tokenizers import Tokenizer, models

    tokenizer = LlamaHFTokenizer(Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]")))
    assert tokenizer.tokenize(b"b") == [1]
    assert tokenizer.detokenize([0]) == b"a"


def test_guesses_repeat_what_followed():
    guess = llama_cpp.LlamaPromptLookupDecoding(max_ngram_size=3, num_pred_tokens=2)
    assert guess(np.array([1, 2, 3, 4, 5, 1, 2, 3])).tolist() == [4, 5]
    assert guess(np.array([1, 2, 3])).tolist() == []


def test_what_programs_look_up_below_the_names(path):
    with llama_cpp.Llama(path, n_ctx=64, seed=5, n_threads=1, logits_all=True, verbose=False) as llm:
        llm.eval([1, 70, 71])
        assert llm._input_ids.tolist() == [1, 70, 71] and llm._scores.shape == (3, llm.n_vocab())
        assert llm._seed == 5 and llm._logits_all and llm._token_eos == llm.token_eos() and llm.n_threads == 1
        assert llm._token_nl == llm.token_nl() and llm.lora_path is None
        logprobs = llama_cpp.Llama.logits_to_logprobs(llm._scores)
        np.testing.assert_allclose(np.exp(logprobs).sum(axis=-1), 1, rtol=1e-4)
        assert llm._model.detokenize(llm._model.tokenize(b"the cat", True, True)) == b"the cat"
        llm._batch.set_batch([72], n_past=3, logits_all=False)
        llm._ctx.decode(llm._batch)
        assert llm._ctx.get_logits_ith(-1)[:3] == llm._ctx.logits_of(0)[:3].tolist()
    assert llama_cpp.Llama.longest_token_prefix([1, 2, 3], [1, 2, 4]) == 2


def test_schemas_of_grammars_are_closed_as_llama_cpps_are():
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
    assert LlamaGrammar.from_json_schema(schema).matches('{"a": 1}')
    assert not LlamaGrammar.from_json_schema(schema).matches('{"a": 1, "b": 2}')
    json = LlamaGrammar.from_string(llama_cpp.llama_grammar.JSON_GBNF)
    assert json.matches('{"a": [1.5e3, {"b": null}]}') and not json.matches("[1]")


def test_what_is_printed_can_be_thrown_away(capfd):
    from llama_cpp._logger import logger, set_verbose
    from llama_cpp._utils import suppress_stdout_stderr

    print("before")
    with suppress_stdout_stderr(disable=False):
        print("meanwhile")
        subprocess.run([sys.executable, "-c", "print('from below')"], check=True)
    with suppress_stdout_stderr(disable=True):
        print("after")
    assert capfd.readouterr().out == "before\nafter\n"
    level = logger.level
    try:
        set_verbose(False)
        assert not logger.isEnabledFor(30)
    finally:
        logger.setLevel(level)
