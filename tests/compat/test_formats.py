"""llama-cpp-python's chat formats as functions."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import llamakit.compat  # noqa: F401
from llamakit.errors import UsageError
from tests.api.model import TINY
from tests.tiny import write_tiny

from llama_cpp import llama_chat_format  # isort: skip
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding  # isort: skip

ROLES = ("system", "user", "assistant", "user")
MESSAGES = [
    {"role": role, "content": said} for role, said in zip(ROLES, ("Be brief", "Hi", "Yes?", "Bye"), strict=True)
]
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
CONFIG = {"chat_template": TEMPLATE, "bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    import llama_cpp

    path = str(write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY))
    with llama_cpp.Llama(model_path=path, n_ctx=256, verbose=False) as llm:
        yield llm


@pytest.mark.parametrize("name", [name for name in dir(llama_chat_format) if name.split("_")[0] == "format"])
def test_every_format_writes_all_messages_and_opens_an_answer(name):
    response = getattr(llama_chat_format, name)(messages=MESSAGES)
    places = [response.prompt.find(message["content"]) for message in MESSAGES]
    assert -1 not in places and places == sorted(places)
    assert not response.prompt.endswith("Bye") and not response.added_special


def test_some_formats_as_their_models_know_them():
    assert llama_chat_format.format_chatml(messages=MESSAGES[1:2]) == llama_chat_format.ChatFormatterResponse(
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"
    )
    assert (
        llama_chat_format.format_mistral_instruct(messages=MESSAGES[1:]).prompt
        == "[INST] Hi [/INST]Yes?</s>[INST] Bye [/INST]"
    )
    assert (
        llama_chat_format.format(messages=MESSAGES[1:]).prompt == "USER: Hi\nASSISTANT: Yes?</s>\nUSER: Bye\nASSISTANT:"
    )


def test_a_tokenizers_configuration_is_a_format():
    formatter = llama_chat_format.hf_tokenizer_config_to_chat_formatter(CONFIG)
    response = formatter(messages=MESSAGES[1:2])
    assert (response.prompt, response.stop) == ("<s>[user]Hi</s>[assistant]</s>", ["</s>", "<s>"])
    plain = llama_chat_format.hf_tokenizer_config_to_chat_formatter(CONFIG, add_generation_prompt=False)
    assert plain(messages=MESSAGES[1:2]).prompt == "<s>[user]Hi</s>"
    with pytest.raises(UsageError, match="eos_token is no text"):
        llama_chat_format.hf_tokenizer_config_to_chat_formatter({**CONFIG, "eos_token": None})


def test_a_tokenizers_configuration_is_a_handler(llm):
    handler = llama_chat_format.hf_tokenizer_config_to_chat_completion_handler(CONFIG)
    answer = handler(llama=llm, messages=MESSAGES[1:2], max_tokens=3, temperature=0)
    assert answer["object"] == "chat.completion" and answer["usage"]["completion_tokens"] <= 3


def test_transformers_tokenizers_write_prompts(monkeypatch):
    tokenizer = SimpleNamespace(
        eos_token="</s>", apply_chat_template=lambda messages, tokenize: f"{len(messages)} {tokenize}"
    )
    made = SimpleNamespace(AutoTokenizer=SimpleNamespace(from_pretrained=lambda name: tokenizer))
    monkeypatch.setitem(sys.modules, "transformers", made)
    response = llama_chat_format.hf_autotokenizer_to_chat_formatter("org/name")(messages=MESSAGES)
    assert (response.prompt, response.stop) == ("4 False", "</s>")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match="needs the package transformers"):
        llama_chat_format.hf_autotokenizer_to_chat_formatter("org/name")


def test_handlers_are_found_by_name(llm):
    registry = llama_chat_format.LlamaChatCompletionHandlerRegistry()
    registry.register_chat_completion_handler("mine", lambda **options: sorted(options))
    try:
        assert llama_chat_format.get_chat_completion_handler("mine")(a=1) == ["a"]
    finally:
        registry.unregister_chat_handler("mine")
    with pytest.raises(llama_chat_format.LlamaChatCompletionHandlerNotFoundException):
        registry.get_chat_completion_handler_by_name("mine")
    options = {"messages": MESSAGES, "max_tokens": 4, "temperature": 0}
    by_name = llama_chat_format.get_chat_completion_handler("alpaca")(llama=llm, **options)
    llm.chat_format, before = "alpaca", llm.chat_format
    try:
        assert by_name["choices"] == llm.create_chat_completion(**options)["choices"]
    finally:
        llm.chat_format, llm._template = before, None


def test_the_format_of_a_template_is_guessed():
    chatml = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    guess = llama_chat_format.guess_chat_format_from_gguf_metadata
    assert guess({"tokenizer.chat_template": chatml}) == "chatml"
    assert guess({"tokenizer.chat_template": "{{ messages }}"}) is None is guess({})


def test_prompt_lookup_finds_what_followed():
    find = LlamaPromptLookupDecoding.find_candidate_pred_tokens
    assert find(np.array([1, 2, 3, 1, 2, 3, 1, 2, 3]), 3, 2).tolist() == [1, 2]
    assert find(np.array([1, 2, 3, 4]), 3, 2).tolist() == []
    assert LlamaPromptLookupDecoding(2, 3)(np.array([5, 6, 7, 8, 5, 6], np.intc)).tolist() == [7, 8, 5]


def test_handlers_that_read_images_have_names_and_refuse_to_be_made():
    from llama_cpp.llama_chat_format import Llava15ChatHandler, MoondreamChatHandler

    assert issubclass(MoondreamChatHandler, Llava15ChatHandler)
    with pytest.raises(UsageError, match="MoondreamChatHandler: llamakit reads no images"):
        MoondreamChatHandler(clip_model_path="mmproj.gguf")
    with pytest.raises(UsageError, match="reads no images"):
        MoondreamChatHandler.from_pretrained(repo_id="a/b", filename="*mmproj*")
