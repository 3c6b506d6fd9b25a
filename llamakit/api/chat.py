"""Chat completions in OpenAI's shape: whole or as chunks, with tools, forms of answers and log-probabilities."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamakit.api import arguments
from llamakit.api.arguments import biases, listed, plain, shown, texts, whole_number
from llamakit.api.completion import Wanted
from llamakit.api.drawing import Processor
from llamakit.api.said import Sayer
from llamakit.core.chat.message import parse_messages, refuse_media
from llamakit.core.chat.output.output import Delta
from llamakit.core.chat.output.tools import parse_functions, parse_tool_choice, parse_tools
from llamakit.core.chat.prompt import GIVEN, SWITCHES
from llamakit.core.chat.request import AnswerForm, Chat, Opening, constraint_of, open_chat
from llamakit.core.engine.scheduler import ScoredPiece
from llamakit.core.grammar.grammar import Grammar
from llamakit.core.sampling.params import SamplingParams
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.llama import Llama
    from llamakit.core.chat.output.constraint import Constraint
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.engine.generate import Piece
    from llamakit.core.sampling.chain import Constraint as Matcher
    from llamakit.core.vocab.base import Vocab


def create_chat_completion(
    llama: Llama,
    template: ChatTemplate,
    /,
    messages: Sequence[Mapping[str, Any]],
    functions: Sequence[Mapping[str, Any]] | None = None,
    function_call: str | Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    temperature: float = 0.2,
    top_p: float = 0.95,
    top_k: int = 40,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    stream: bool = False,
    stop: str | Sequence[str] | None = None,
    seed: int | None = None,
    response_format: Mapping[str, Any] | None = None,
    max_tokens: int | None = None,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    repeat_penalty: float = 1.0,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_tau: float = 5.0,
    mirostat_eta: float = 0.1,
    model: str | None = None,
    logits_processor: Iterable[Processor] | None = None,
    grammar: Grammar | None = None,
    logit_bias: Mapping[int, float] | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
    **variables: Any,
) -> dict[str, Any] | Iterator[dict[str, Any]]:
    """The assistant's next message, by the template. `variables` are those that the template reads, and switches that
    every one may be told, as enable_thinking; another name is a TypeError.

    With tools the model may call them, and what it writes is held to their schemas; `response_format` is
    {"type": "json_object"}, with a "schema" or not, or OpenAI's {"type": "json_schema", ...}. Raises UsageError,
    MessageError, ToolError, GrammarError and TemplateError for what makes no sense, naming the place.
    """
    check_names(template, variables)
    is_legacy = tools is None and functions is not None
    if is_legacy:
        parsed, choice = parse_functions(objects("functions", functions), plain(function_call))
    else:
        parsed = parse_tools(objects("tools", tools))
        choice = parse_tool_choice(plain(tool_choice), parsed)
    said = parse_messages(objects("messages", messages))
    for i, message in enumerate(said):
        refuse_media(message, f"messages[{i}].content")
    n_predict = 0 if max_tokens is None else whole_number("max_tokens", max_tokens)
    n_top = 0 if top_logprobs is None else whole_number("top_logprobs", top_logprobs, least=0)
    chat = Chat(
        tuple(said), parsed, choice,
        False if is_legacy else None, answer_form(response_format, grammar), variables=variables,
    )  # fmt: skip
    opening = open_chat(template, chat)
    tokens = tuple(opening.prompt.encode(llama.vocab))
    room = llama.n_ctx() - len(tokens)
    if room <= 0:
        raise UsageError(f"Requested tokens ({len(tokens)}) exceed context window of {llama.n_ctx()}")
    params = llama.sampling_params(SamplingParams(
        top_k=top_k, top_p=top_p, min_p=min_p, typical_p=typical_p, temperature=temperature,
        repeat_penalty=repeat_penalty, frequency_penalty=frequency_penalty, presence_penalty=presence_penalty,
        tfs_z=tfs_z, mirostat=mirostat_mode, mirostat_tau=mirostat_tau, mirostat_eta=mirostat_eta,
        logit_bias=biases(logit_bias),
        seed=llama.next_seed() if seed is None else seed,
    ))  # fmt: skip
    wanted = Wanted(
        tokens, params, texts("stop", stop), min(n_predict, room) if n_predict > 0 else room,
        arguments.functions("logits_processor", logits_processor),
        constraint=matcher_of(constraint_of(template, chat, opening), llama.vocab),
        n_logprobs=n_top if logprobs else None, show_special=opening.shows_special, is_whole=not stream,
    )  # fmt: skip
    speech = Speech(llama, llama.say(wanted), opening, stream, is_legacy)
    base = {"id": f"chatcmpl-{uuid.uuid4()}", "created": int(time.time()), "model": model or llama.model_path}
    return chunks(speech, base) if stream else whole(speech, base)


def matcher_of(constraint: Constraint | None, vocab: Vocab) -> Matcher | None:
    """What holds one text to a grammar."""
    if constraint is None:
        return None
    grammar = Grammar(constraint.rules)
    if constraint.triggers is None:
        return grammar.matcher(vocab)
    return grammar.lazy_matcher(vocab, constraint.triggers)


def check_names(template: ChatTemplate, variables: Mapping[str, Any]) -> None:
    """Raise TypeError, as for any function, for a name that is neither an argument nor the template's."""
    for name in variables:
        if name in GIVEN or name not in template.variables | SWITCHES:
            raise TypeError(
                f"create_chat_completion() got an unexpected keyword argument {name!r}; the template does not read it"
            )


def objects(name: str, value: Any) -> list[Any]:
    """A list whose mappings, of any kind, are dictionaries."""
    return [plain(each) for each in listed(name, value, "objects")]


def answer_form(response_format: Mapping[str, Any] | None, grammar: Grammar | None) -> AnswerForm | None:
    """Objects have the properties that their schema names, and no others unless it speaks of them."""
    if grammar is not None and not isinstance(grammar, Grammar):
        raise UsageError(
            f"grammar is {shown(grammar)}; it must be a LlamaGrammar, as LlamaGrammar.from_string makes one"
        )
    if response_format is not None and not isinstance(response_format, Mapping):
        raise UsageError(f"response_format is {shown(response_format)}; it must be an object with a type")
    if response_format is not None and "type" not in response_format:
        raise UsageError("response_format.type: is missing; it must be text, json_object or json_schema")
    if response_format is None or response_format["type"] == "text":
        return None if grammar is None else AnswerForm("grammar", rules=grammar.rules)
    if grammar is not None:
        raise UsageError("response_format: cannot be used beside a grammar")
    kind = response_format["type"]
    if kind == "json_object":
        schema = response_format.get("schema")
        return AnswerForm("response_format.schema", {} if schema is None else schema)
    if kind == "json_schema":
        inner = response_format.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else response_format.get("schema")
        if schema is None:
            raise UsageError("response_format.json_schema.schema: is missing")
        return AnswerForm("response_format.json_schema.schema", schema)
    raise UsageError(f"response_format.type: must be text, json_object or json_schema, not {kind!r}")


@dataclass
class Speech:
    """A message being said."""

    llama: Llama
    sayer: Sayer
    opening: Opening
    is_streamed: bool
    is_legacy: bool  # calls are told as function_call

    def __post_init__(self) -> None:
        self.parser = self.opening.reader(self.is_streamed)
        self.last: tuple[Piece, ...] = ()  # tokens that no delta came after

    def deltas(self) -> Iterator[tuple[Delta, tuple[Piece, ...]]]:
        """Pieces of the message, each with the tokens since the last one."""
        for part in self.sayer.parts():
            self.last += part.pieces
            for delta in self.parser.push(part.text):
                yield delta, self.taken()
        for delta in self.parser.finish():
            yield delta, self.taken()

    def taken(self) -> tuple[Piece, ...]:
        pieces, self.last = self.last, ()
        return pieces

    @property
    def finish_reason(self) -> str | None:
        if self.sayer.finish_reason == "stop" and self.parser.message.tool_calls:
            return "function_call" if self.is_legacy else "tool_calls"
        return self.sayer.finish_reason

    def logprobs(self, pieces: Iterable[Piece]) -> dict[str, Any] | None:
        """As OpenAI's chats have them; None where none were asked for."""
        if self.sayer.request.n_logprobs is None:
            return None
        content = [
            {
                **self.scored(piece.token, piece.logprob),
                "top_logprobs": [self.scored(*pair) for pair in piece.likeliest],
            }
            for piece in pieces
            if isinstance(piece, ScoredPiece)
        ]
        return {"content": content, "refusal": None}

    def scored(self, token: int, logprob: float) -> dict[str, Any]:
        data = self.llama.vocab.piece(token, special=True)
        return {"token": data.decode("utf-8", "replace"), "bytes": list(data), "logprob": logprob}


def whole(speech: Speech, base: dict[str, Any]) -> dict[str, Any]:
    pieces = [piece for _, taken in speech.deltas() for piece in taken]
    message = speech.parser.message.as_json()
    calls = message.get("tool_calls")
    if calls:
        message["function_call"] = calls[0]["function"]
        if speech.is_legacy:
            del message["tool_calls"]
    n_prompt, n = len(speech.sayer.request.tokens), speech.sayer.n_tokens
    choice = {
        "index": 0,
        "message": message,
        "logprobs": speech.logprobs([*pieces, *speech.last]),
        "finish_reason": speech.finish_reason,
    }
    usage = {"prompt_tokens": n_prompt, "completion_tokens": n, "total_tokens": n_prompt + n}
    return {**base, "object": "chat.completion", "choices": [choice], "usage": usage}


def chunks(speech: Speech, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], pieces: Iterable[Piece] = (), finish_reason: str | None = None) -> dict[str, Any]:
        logprobs = speech.logprobs(pieces) if delta else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**base, "object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant"})
    for delta, pieces in speech.deltas():
        told = delta.as_json()
        if speech.is_legacy and delta.tool_call is not None:
            told = {"function_call": told["tool_calls"][0]["function"]}
        yield chunk(told, pieces)
    yield chunk({}, finish_reason=speech.finish_reason)
