"""Chat templates: whether they can be read. None is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from llamakit.core.gguf.values import Value
from llamakit.tools.gguf_verify.finding import Finding, Level

GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")  # marks what a model is trained on; prints nothing
MOST_CHARS = 1 << 20


def check_templates(path: Path, metadata: Mapping[str, Value]) -> Iterator[Finding]:
    """Templates that are no text, or no Jinja: the model runs, but nobody can chat with it."""
    keys = [key for key in metadata if key == "tokenizer.chat_template" or key.startswith("tokenizer.chat_template.")]
    for key in keys:
        template = metadata[key]
        fault = fault_of(template) if isinstance(template, str) else "must be a text"
        if fault:
            yield Finding(Level.WARNING, path, fault, key=key)


def fault_of(template: str) -> str:
    """What is wrong with the syntax of a template; "" if nothing is."""
    from jinja2 import Environment, TemplateSyntaxError

    if len(template) > MOST_CHARS:
        return f"has {len(template)} characters, more than {MOST_CHARS}"
    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(GENERATION.sub("", template))
    except TemplateSyntaxError as error:
        return f"is no Jinja template: line {error.lineno}: {error.message}"
    except RecursionError:
        return "is nested too deep"
    return ""
