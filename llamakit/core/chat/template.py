"""Chat templates: Jinja texts that write the messages of a chat as one prompt."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llamakit.core.chat.errors import TemplateError
from llamakit.core.chat.literal import NO_SPECIALS, SpecialTexts
from llamakit.core.chat.message import Message, as_dicts, check_plain
from llamakit.core.chat.meter import LIMITS, LimitExceeded, Limits, Meter, metered

if TYPE_CHECKING:
    from jinja2 import Template

    from llamakit.core.chat.capabilities import Capabilities

_FILE = "<template>"  # Jinja's name for a template without a file
_ADVICE = "choose another one with --chat-template or --chat-template-file"
_MOST_CHARACTERS = 500  # of what a template says


class ChatTemplate:
    """A chat template. Compiled when it is first rendered; many threads may render it at once."""

    def __init__(
        self,
        text: str,
        *,
        bos_token: str = "",
        eos_token: str = "",
        add_bos: bool = False,
        add_eos: bool = False,
        name: str | None = None,
        tool_use: ChatTemplate | None = None,
        specials: SpecialTexts = NO_SPECIALS,
        limits: Limits = LIMITS,
    ) -> None:
        """`text` is the template, in Jinja.

        add_bos, add_eos: whether tokenizing puts these tokens around the prompt; `render` does not care, a chat's
        prompt is then made without them. name: what errors and reports call it. tool_use: what to use when tools are
        given. specials: special tokens, which nobody shall be able to say. limits: what one rendering may use up.
        """
        self.source, self.name, self.limits = text, name, limits
        self.bos_token, self.eos_token = bos_token, eos_token
        self.add_bos, self.add_eos = add_bos, add_eos
        self.specials, self._tool_use = specials, tool_use

    def with_tools(self) -> ChatTemplate:
        """The template for chats with tools."""
        return self._tool_use or self

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names that the template reads, with or without tools; rendering tells of one that cannot be read."""
        from jinja2 import TemplateError as JinjaError
        from jinja2 import meta

        from llamakit.core.chat.environment import safe_environment

        names: set[str] = set()
        for text in {self.source, self.with_tools().source}:
            try:
                names |= meta.find_undeclared_variables(safe_environment().parse(text))
            except (JinjaError, RecursionError):
                continue
        return frozenset(names - safe_environment().globals.keys())

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the template understands, found out by a dozen short renderings."""
        from llamakit.core.chat.capabilities import probe

        quick = ChatTemplate(
            self.source, bos_token=self.bos_token, eos_token=self.eos_token, limits=replace(self.limits, seconds=0.3)
        )
        return probe(quick)

    def render(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **kwargs: Any,
    ) -> str:
        """The prompt, as Hugging Face's apply_chat_template writes it.

        messages: OpenAI's; tools: OpenAI's function descriptions; add_generation_prompt opens the assistant's turn;
        kwargs are further variables of the template. Raises TemplateError if the template cannot be read, fails,
        refuses the messages or uses too much time or memory, and MessageError for messages that are no plain data.
        """
        if tools is not None:
            check_plain(tools, "tools")
        variables: dict[str, Any] = {
            "messages": as_dicts(messages),
            "tools": tools,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
            **kwargs,
        }
        template = self._compiled
        try:
            with metered(Meter(self.limits, variables, n_messages=len(variables["messages"]))):
                return template.render(variables)
        except Exception as error:
            raise self._failed(error) from error

    @cached_property
    def _compiled(self) -> Template:
        from llamakit.core.chat.environment import safe_environment

        if len(self.source) > self.limits.n_characters:
            raise TemplateError(
                f"{self._called} has {len(self.source)} characters, more than {self.limits.n_characters}: {_ADVICE}"
            )
        try:
            with metered(Meter(self.limits)):
                return safe_environment().from_string(self.source)
        except Exception as error:
            raise self._failed(error) from error

    @property
    def _called(self) -> str:
        return f"the chat template {self.name}" if self.name else "the chat template"

    def _failed(self, error: Exception) -> TemplateError:
        """What a user can make of an error: what failed, in which line, and what to do."""
        from jinja2 import TemplateSyntaxError
        from jinja2.exceptions import SecurityError

        from llamakit.core.chat.template_globals import RaisedException

        if isinstance(error, TemplateSyntaxError):
            return TemplateError(
                f"{self._called} is no Jinja template: line {error.lineno}: {error.message}; {_ADVICE}", error.lineno
            )
        line = line_of(error)
        where = f"line {line}: " if line else ""
        if isinstance(error, RaisedException):
            return TemplateError(f"{self._called} refuses these messages: {where}{shortened(error)}", line)
        if isinstance(error, LimitExceeded):
            return TemplateError(f"{self._called} was stopped: {where}{error}", line)
        if isinstance(error, SecurityError):
            return TemplateError(f"{self._called} does what no template may: {where}{error}", line)
        if isinstance(error, RecursionError):
            return TemplateError(f"{self._called} is nested too deep", line)
        is_jinja = type(error).__module__.startswith("jinja2")
        what = shortened(error) if is_jinja else f"{type(error).__name__}: {shortened(error)}"
        return TemplateError(f"{self._called} fails: {where}{what}; {_ADVICE}", line)


def shortened(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."


def line_of(error: BaseException) -> int | None:
    """The line of the template where it failed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    return lines[-1] if lines else None
