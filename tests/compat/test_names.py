"""Texts and functions that programs import by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import llamakit.compat  # noqa: F401
from llamakit.core.chat.template import ChatTemplate
from llamakit.errors import LlamakitError
from tests.api.model import TINY
from tests.tiny import write_tiny

from llama_cpp import Llama, LlamaGrammar, llama_chat_format, llama_grammar  # isort: skip

GRAMMARS = Path(__file__).parents[2] / "grammars"
MESSAGES = [{"role": "user", "content": " Hello "}, {"role": "assistant", "content": "Hi."}]


@pytest.mark.parametrize("name", ["ARITHMETIC", "C", "CHESS", "JAPANESE", "JSON_ARR", "LIST"])
def test_sample_grammars_are_those_of_the_repository(name):
    text = getattr(llama_grammar, f"{name}_GBNF")
    file = GRAMMARS / f"{name.lower().replace('arr', 'array')}.gbnf"
    lines = [line for line in file.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert text.strip().splitlines() == lines
    LlamaGrammar.from_string(text)


def test_a_grammar_keeps_the_text_that_it_is_made_of():
    text = 'root ::= "yes" | "no"'
    for grammar in (LlamaGrammar(_grammar=text), LlamaGrammar.from_string(text, verbose=False)):
        assert grammar.matches("no") and not grammar.matches("maybe")
        assert (grammar._grammar, grammar._root) == (text, llama_grammar.LLAMA_GRAMMAR_DEFAULT_ROOT)
    assert LlamaGrammar.from_json_schema('{"type": "integer"}').matches("12")
    with pytest.raises(LlamakitError, match="from_string"):
        LlamaGrammar()
    with pytest.raises(LlamakitError, match="from_json_schema"):
        llama_grammar.json_schema_to_gbnf("{}")


@pytest.mark.parametrize(
    "name, bos, eos, prompt",
    [
        ("CHATML", "<s>", "<|im_end|>", "<|im_start|>user\n Hello <|im_end|>\n<|im_start|>assistant\nHi.<|im_end|>\n"),
        ("MISTRAL_INSTRUCT", "<s>", "</s>", "<s>[INST]  Hello  [/INST]Hi.</s> "),
        ("MIXTRAL_INSTRUCT", "<s>", "</s>", "<s>[INST]  Hello  [/INST]Hi.</s>"),
        (
            "LLAMA3_INSTRUCT",
            "<b>",
            "<e>",
            "<b><|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHi.<|eot_id|>",
        ),
    ],
)
def test_templates_of_models_write_their_prompts(name, bos, eos, prompt):
    template = ChatTemplate(getattr(llama_chat_format, f"{name}_CHAT_TEMPLATE"), bos_token=bos, eos_token=eos)
    assert template.render(MESSAGES, add_generation_prompt=False) == prompt
    if hasattr(llama_chat_format, f"{name}_BOS_TOKEN"):
        assert getattr(llama_chat_format, f"{name}_BOS_TOKEN") == bos
        assert getattr(llama_chat_format, f"{name}_EOS_TOKEN") == eos


@pytest.mark.parametrize(
    "name, chat_format",
    [
        ("functionary_chat_handler", "functionary"),
        ("functionary_v1_v2_chat_handler", "functionary-v2"),
        ("chatml_function_calling", "chatml-function-calling"),
    ],
)
def test_handlers_chat_in_the_format_of_their_name(tmp_path, name, chat_format):
    path = str(write_tiny(tmp_path / "tiny.gguf", TINY))
    handler = getattr(llama_chat_format, name)
    options = {"messages": MESSAGES[:1], "max_tokens": 6, "temperature": 0.0}
    with Llama(path, n_ctx=256, chat_format=chat_format, verbose=False) as llm:
        by_format = llm.create_chat_completion(**options)
        by_name = handler(llm, **options)
    assert by_name["choices"] == by_format["choices"] and by_name["usage"] == by_format["usage"]
