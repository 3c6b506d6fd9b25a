"""The shapes that `llama_cpp.llama_types` names, as programs and pydantic read them."""

from __future__ import annotations

import sys

import pytest

import llamakit.compat  # noqa: F401
from tests.api.model import TINY
from tests.tiny import write_tiny

import llama_cpp  # isort: skip
from llama_cpp import llama_types  # isort: skip

MESSAGES = [{"role": "user", "content": "the cat?"}]


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    path = write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf", TINY)
    with llama_cpp.Llama(str(path), n_ctx=256, seed=1337, embedding=True, logits_all=True, verbose=False) as llm:
        yield llm


@pytest.mark.parametrize(
    "shape, call",
    [
        ("CreateCompletionResponse", lambda llm: [llm("the cat", max_tokens=4, logprobs=2)]),
        ("CompletionChunk", lambda llm: llm("the cat", max_tokens=4, logprobs=2, stream=True)),
        (
            "CreateChatCompletionResponse",
            lambda llm: [llm.create_chat_completion(MESSAGES, max_tokens=4, logprobs=True, top_logprobs=2)],
        ),
        ("ChatCompletionChunk", lambda llm: llm.create_chat_completion(MESSAGES, max_tokens=4, stream=True)),
        ("CreateEmbeddingResponse", lambda llm: [llm.create_embedding(["the cat", "the"])]),
    ],
)
def test_answers_are_of_the_shapes_that_have_their_names(llm, shape, call):
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(getattr(llama_types, shape))  # which leaves out fields that it does not know
    for answer in call(llm):
        assert adapter.validate_python(answer, strict=True) == answer


@pytest.mark.parametrize(
    "shape, value, field",
    [
        ("ChatCompletionRequestMessage", {"role": "tool", "content": "7"}, "tool_call_id"),
        ("ChatCompletionTool", {"type": "function", "function": {"name": "f"}}, "parameters"),
        ("ChatCompletionRequestResponseFormat", {"type": "xml"}, "type"),
    ],
)
def test_requests_of_another_shape_are_told_apart(shape, value, field):
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(pydantic.ValidationError, match=field):
        pydantic.TypeAdapter(getattr(llama_types, shape)).validate_python(value)


@pytest.mark.parametrize(
    "name, needed, optional",
    [
        ("CompletionChoice", {"text", "index", "logprobs", "finish_reason"}, set()),
        ("ChatCompletionResponseMessage", {"content", "role"}, {"tool_calls", "function_call"}),
        ("ChatCompletionLogprobToken", {"token", "logprob", "bytes", "top_logprobs"}, set()),
        ("CompletionUsage", {"prompt_tokens", "completion_tokens", "total_tokens"}, set()),
        ("ChatCompletionToolFunction", {"name", "parameters"}, {"description"}),
    ],
)
def test_fields_are_told_by_name(name, needed, optional):
    from typing import get_type_hints

    shape = getattr(llama_types, name)
    assert set(get_type_hints(shape)) == needed | optional
    if sys.version_info >= (3, 11):
        hints = get_type_hints(shape, include_extras=True)
        assert {field for field, hint in hints.items() if "NotRequired" in str(hint)} == optional
