"""What a job says, as text that is certain: up to a stop text, and nothing that may be the beginning of one."""

from __future__ import annotations

from collections.abc import AsyncIterator

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Ended, SchedulerClosed
from llamakit.server.engine.stream import Stream
from llamakit.tools.chat.stop import StopTexts


class Answer:
    """The text of one job; `finish_reason` is there when it has ended."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.finish_reason: str | None = None

    async def texts(self) -> AsyncIterator[str]:
        """Pieces of text, none empty. Raises what went wrong, SchedulerClosed when the server ends."""
        stops = StopTexts(self.stream.generation.stop)
        async for piece in self.stream.pieces():
            if text := stops.push(piece.text):
                yield text
        end = self.stream.end
        if not isinstance(end, Ended):
            raise SchedulerClosed("the server ends")
        if text := stops.push(end.text) + stops.flush():
            yield text
        is_said = end.finish in (Finish.END_OF_TEXT, Finish.STOP_TEXT) or stops.is_found
        self.finish_reason = "stop" if is_said else "length"

    def usage(self) -> dict[str, object]:
        """Tokens, as OpenAI counts them."""
        n = self.stream.usage
        return {
            "prompt_tokens": n.n_prompt,
            "completion_tokens": n.n_drawn,
            "total_tokens": n.n_prompt + n.n_drawn,
            "prompt_tokens_details": {"cached_tokens": n.n_cached},
        }
