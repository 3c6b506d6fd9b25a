"""A response as the Responses API tells it: its items, and itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llamakit.core.engine.generate import Piece
from llamakit.core.engine.scheduler import ScoredPiece
from llamakit.core.engine.scheduler.job import Usage
from llamakit.server.generation.blocks import Block, Kind
from llamakit.server.generation.field import Body
from llamakit.server.generation.scores import entries
from llamakit.server.models.served import Served
from llamakit.server.openai.objects import new_id

ECHOED: dict[str, Any] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True, "temperature": None,
    "tool_choice": "auto", "tools": [], "top_p": None, "truncation": "disabled", "user": None,
}  # fmt: skip
PREFIXES = {Kind.THOUGHT: "rs_", Kind.TEXT: "msg_", Kind.CALL: "fc_"}


@dataclass
class ResponseWriter:
    """The objects of one response; ids stay the same whenever an item is told."""

    served: Served
    body: Body
    id: str = field(default_factory=lambda: new_id("resp_", 48))
    created: int = field(default_factory=lambda: int(time.time()))
    item_ids: dict[int, str] = field(default_factory=dict)

    def item_id(self, block: Block) -> str:
        if block.index not in self.item_ids:
            self.item_ids[block.index] = new_id(PREFIXES[block.kind], 48)
        return self.item_ids[block.index]

    def part(self, block: Block, is_done: bool) -> dict[str, Any]:
        """The one part that a message or a thought has."""
        text = block.text if is_done else ""
        if block.kind is Kind.THOUGHT:
            return {"type": "reasoning_text", "text": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": [],
            "logprobs": self.scores(block.pieces if is_done else ()),
        }

    def item(self, block: Block, is_done: bool, status: str | None = None) -> dict[str, Any]:
        told: dict[str, Any] = {
            "id": self.item_id(block),
            "status": status or ("completed" if is_done else "in_progress"),
        }
        content = [self.part(block, is_done)] if is_done else []
        if block.kind is Kind.THOUGHT:
            return {**told, "type": "reasoning", "summary": [], "content": content, "encrypted_content": ""}
        if block.kind is Kind.TEXT:
            return {**told, "type": "message", "role": "assistant", "content": content}
        arguments = block.text if is_done else ""
        return {**told, "type": "function_call", "call_id": block.id, "name": block.name, "arguments": arguments}

    def response(
        self, status: str, blocks: Sequence[Block] = (), usage: Usage | None = None, error: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        is_whole = status == "completed"
        told = {name: self.body.get(name, value) for name, value in ECHOED.items()}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": int(time.time()) if is_whole else None,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self.served.name,
            "output": [self.item(block, True, status if block is blocks[-1] else None) for block in blocks],
            "previous_response_id": None,
            "reasoning": self.body.get("reasoning") or {"effort": None, "summary": None},
            "store": False,
            "text": self.body.get("text") or {"format": {"type": "text"}},
            **told,
            "usage": None if usage is None else counts(usage, blocks),
        }

    def scores(self, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        return entries(self.served.vocab, [piece for piece in pieces if isinstance(piece, ScoredPiece)])


def counts(usage: Usage, blocks: Sequence[Block]) -> dict[str, Any]:
    n_thought = sum(len(block.pieces) for block in blocks if block.kind is Kind.THOUGHT)
    return {
        "input_tokens": usage.n_prompt,
        "input_tokens_details": {"cached_tokens": usage.n_cached},
        "output_tokens": usage.n_drawn,
        "output_tokens_details": {"reasoning_tokens": n_thought},
        "total_tokens": usage.n_prompt + usage.n_drawn,
    }
