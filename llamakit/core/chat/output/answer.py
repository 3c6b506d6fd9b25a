"""The grammar of an answer of a certain form, a schema's or a grammar's, where the model may think before it."""

from __future__ import annotations

from llamakit.core.chat.output.constraint import Constraint, whole_message
from llamakit.core.chat.output.format import Format
from llamakit.core.chat.output.grammar_writer import GrammarWriter, text
from llamakit.core.grammar.prune import prune
from llamakit.core.grammar.rules import Rules

# How the part with the answer begins, in formats of parts with headers.
ANSWER_HEADERS = {"gpt-oss": "<|channel|>final<|message|>", "muse-glimmer": " to=user<|message|>"}


def answer_constraint(form: Format, rules: Rules, starts_thinking: bool) -> Constraint:
    """The message is what `rules` say, after any thoughts; `starts_thinking`: the prompt has begun them."""
    writer = GrammarWriter((), is_parallel=False)
    answer = writer.embed(rules)
    header = (text(ANSWER_HEADERS[form.name]),) if form.turn is not None else ()
    root = whole_message(writer, form, [(*header, answer)], starts_thinking)
    writer.rules.root = root.rule
    return Constraint(prune(writer.rules), None)
