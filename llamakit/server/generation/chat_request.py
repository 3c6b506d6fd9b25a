"""A chat with all that the engine needs to know for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.request import Opening
from llamakit.server.engine.generation import Generation
from llamakit.server.generation.chat import Chat, budget_of, constraint_of, open_chat
from llamakit.server.generation.fields import CompletionFields
from llamakit.server.generation.message import ChatAnswer
from llamakit.server.generation.request import generation_of

if TYPE_CHECKING:
    from fastapi import Request

    from llamakit.server.models.served import Served


@dataclass(frozen=True)
class ChatRequest:
    served: Served
    chat: Chat
    opening: Opening
    fields: CompletionFields
    generation: Generation


def chat_request(served: Served, chat: Chat, fields: CompletionFields, **others: Any) -> ChatRequest:
    """Render, tokenize, make grammars; `others` are fields of Generation. Takes its time: not for the event loop."""
    opening = open_chat(served, chat)
    generation = generation_of(
        served,
        fields,
        opening.prompt.encode(served.vocab),
        constraint=constraint_of(served, chat, opening),
        budget=budget_of(served, chat, opening),
        show_special=opening.shows_special or served.settings.show_special,
        **others,
    )
    return ChatRequest(served, chat, opening, fields, generation)


def n_prompt_tokens(served: Served, chat: Chat) -> int:
    """How long the prompt of a chat is. Takes its time, too."""
    return len(open_chat(served, chat).prompt.encode(served.vocab))


@asynccontextmanager
async def chat_answers(request: Request, asked: ChatRequest) -> AsyncIterator[list[ChatAnswer]]:
    """As many answers as were asked for; see `respond.submitted`."""
    from llamakit.server.respond import submitted

    hidden, fields = asked.served.vocab.eog_ids, asked.fields
    async with submitted(request, asked.served, [asked.generation], fields.n_cmpl, hidden, fields=fields) as (
        (*answers,),
    ):
        yield [ChatAnswer(answer, asked.opening, asked.fields.stream) for answer in answers]
