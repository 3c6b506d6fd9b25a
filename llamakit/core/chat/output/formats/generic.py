"""Any model with tools whose template knows none."""

from __future__ import annotations

from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.generic_calls import GenericCalls

FORMAT = Format("generic", GenericCalls(), is_lazy=False)
