"""MiniMax M3: a tag for every value, each with the token of the namespace before it."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format, Thinking
from llamakit.core.chat.output.minimax_calls import MARK, MiniMaxCalls

FORMAT = Format("minimax-m3", MiniMaxCalls(), Thinking("<mm:think>", "</mm:think>"), signs=(MARK,))
