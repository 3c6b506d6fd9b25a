"""Completions in the shapes of chats, for handlers that complete the prompt of a formatter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def as_chat(answer: Mapping[str, Any], tool: str | None = None) -> dict[str, Any]:
    """A completion as a message; of a tool that was to be called, as a call with the text as its arguments."""
    (choice,) = answer["choices"]
    message: dict[str, Any] = {"role": "assistant", "content": choice["text"]}
    if tool is not None:
        message |= {"content": None, **call(tool, choice["text"], call_id(tool, answer))}
    told = {
        "index": 0,
        "message": message,
        "logprobs": as_chat_logprobs(choice["logprobs"]),
        "finish_reason": reason(choice["finish_reason"], tool),
    }
    return {**answer, "id": f"chat{answer['id']}", "object": "chat.completion", "choices": [told]}


def as_chunks(chunks: Iterator[dict[str, Any]], tool: str | None = None) -> Iterator[dict[str, Any]]:
    """The same of a stream: who speaks, what is said, why it ended."""
    is_first = True
    for chunk in chunks:
        (choice,) = chunk["choices"]
        logprobs = as_chat_logprobs(choice["logprobs"])
        if is_first:
            yield as_chunk(chunk, {"role": "assistant"})
            is_first = False
        if choice["finish_reason"] is not None:
            yield as_chunk(chunk, {}, logprobs, reason(choice["finish_reason"], tool))
        elif tool is None:
            yield as_chunk(chunk, {"content": choice["text"]}, logprobs)
        else:
            said = call(tool, choice["text"], call_id(tool, chunk))
            said["tool_calls"][0]["index"] = 0
            yield as_chunk(chunk, said, logprobs)


def as_chunk(
    chunk: Mapping[str, Any], delta: dict[str, Any], logprobs: Any = None, finish_reason: str | None = None
) -> dict[str, Any]:
    told = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
    return {**chunk, "id": f"chat{chunk['id']}", "object": "chat.completion.chunk", "choices": [told]}


def call(tool: str, arguments: str, id: str) -> dict[str, Any]:
    """In today's fields and in the older ones."""
    function = {"name": tool, "arguments": arguments}
    return {"function_call": function, "tool_calls": [{"id": id, "type": "function", "function": dict(function)}]}


def call_id(tool: str, answer: Mapping[str, Any]) -> str:
    return f"call__0_{tool}_{answer['id']}"


def reason(finish_reason: str, tool: str | None) -> str:
    return "tool_calls" if tool is not None and finish_reason == "stop" else finish_reason


def as_chat_logprobs(logprobs: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Of a completion's lists side by side, an entry for each token; bytes are not told."""
    if logprobs is None:
        return None
    scores = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
    content = [
        {**scored(token, logprob), "top_logprobs": [scored(*pair) for pair in (likeliest or {}).items()]}
        for token, logprob, likeliest in scores
    ]
    return {"content": content, "refusal": None}


def scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "bytes": None, "logprob": logprob}
