"""No calls: reasoning and content."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format

FORMAT = Format("content-only")
