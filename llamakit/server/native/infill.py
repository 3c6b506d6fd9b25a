"""/infill: what stands between a prefix and a suffix, for models with fill-in-the-middle tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from llamakit.server.errors import Refused
from llamakit.server.generation.field import Anything, Body, FieldError, Text
from llamakit.server.generation.fields import read_fields
from llamakit.server.generation.request import defaults_for
from llamakit.server.models.served import Served, served_for
from llamakit.server.native.completion import NAMES, Ask, respond
from llamakit.server.openai.fields import MODEL
from llamakit.server.respond import ignored, json_object

if TYPE_CHECKING:
    from llamakit.core.vocab.base import Vocab

PREFIX = Text("input_prefix", "What stands before the gap.")
SUFFIX = Text("input_suffix", "What stands behind it.")
PROMPT = Text("prompt", "How the gap's text begins: it follows the prefix.")
EXTRA = Anything(
    "input_extra",
    "Other files of the project.",
    types=("array",),
    items={
        "type": "object",
        "properties": {"text": {"type": "string"}, "filename": {"type": "string"}},
        "required": ["text"],
    },
)
INFILL_FIELDS = (PREFIX, SUFFIX, PROMPT, EXTRA)
INFILL_NAMES = NAMES | {field.name for field in INFILL_FIELDS}
PROJECT, FILE, OTHER_FILE = "myproject\n", "filename\n", "tmp"  # names that the models are not told
N_MARKS = 8  # room for BOS and the tokens that mark the parts
BETWEEN = "\n\n--- snippet ---\n\n"  # files, where the model has no token for it


@dataclass(frozen=True)
class Extra:
    text: str
    filename: str


async def infill(request: Request) -> Response:
    body = await json_object(request)
    served = await served_for(request, MODEL.read(body))
    return await respond(request, await run_in_threadpool(read, body, served))


def read(body: Body, served: Served) -> Ask:
    """Raises Refused for a model that has not the tokens, FieldError."""
    if names := missing(served.vocab):
        what = "".join(f"{name} token is missing. " for name in names)
        raise Refused(501, f"Infill is not supported by this model: {what}")
    prefix, suffix, prompt = PREFIX.read(body), SUFFIX.read(body), PROMPT.read(body) or ""
    for field, value in ((PREFIX, prefix), (SUFFIX, suffix)):
        if value is None:
            raise FieldError(field.name, f'"{field.name}" is required')
    fields = read_fields(body, defaults_for(served), served.vocab)
    n_new = max(fields.n_predict, 0)
    n_around = min(served.info.n_batch, max(0, served.info.n_ctx - n_new - N_MARKS))
    n_rest = served.info.n_ctx - served.info.n_batch - 2 * n_new
    gap = Gap(served.vocab, prefix or "", suffix or "", prompt, read_extra(body))
    tokens, dropped = gap.tokens(n_around, n_rest, served.settings.spm_infill)
    headers = ignored(sorted(body.keys() - INFILL_NAMES))
    if any(dropped.values()):
        headers["x-truncated-tokens"] = str(sum(dropped.values()))
    more = {"infill": {f"n_{part}_dropped": n for part, n in dropped.items()}}
    return Ask(served, fields, (tuple(tokens),), MODEL.read(body) or served.name, headers, more)


def missing(vocab: Vocab) -> list[str]:
    """The tokens that a model needs for it, and has not."""
    special = vocab.special
    needed = {"prefix": special.fim_pre, "suffix": special.fim_suf, "middle": special.fim_mid}
    return [name for name, token in needed.items() if token is None]


def can_infill(vocab: Vocab) -> bool:
    return not missing(vocab)


def read_extra(body: Body) -> list[Extra]:
    if (found := EXTRA.find(body)) is None:
        return []
    name, value = found
    if not isinstance(value, list) or not all(isinstance(chunk, dict) for chunk in value):
        raise FieldError(name, '"input_extra" must be an array of {"filename": string, "text": string}')
    extra = []
    for i, chunk in enumerate(value):
        if not isinstance(chunk.get("text"), str):
            raise FieldError(f"{name}.{i}.text", 'extra_context chunk must contain a "text" field with a string value')
        if not isinstance(filename := chunk.get("filename", OTHER_FILE), str):
            raise FieldError(f"{name}.{i}.filename", 'extra_context chunk\'s "filename" field must be a string')
        extra.append(Extra(chunk["text"], filename))
    return extra


@dataclass(frozen=True)
class Gap:
    """A gap and what is known around it."""

    vocab: Vocab
    prefix: str
    suffix: str
    prompt: str
    extra: Sequence[Extra]

    def tokens(self, n_around: int, n_rest: int, suffix_first: bool) -> tuple[list[int], dict[str, int]]:
        """The prompt, and how many tokens of each part were left out to make it fit.

        Prefix and suffix share n_around tokens, three to one; n_rest are for the other files. What is nearest to the
        gap is kept. The order is that of repositories in the models' training: files, prefix, suffix, middle.
        """
        special = self.vocab.special
        prompt = self.vocab.encode(self.prompt, add_special=False, parse_special=True)
        prefix, suffix, extra = self.plain(self.prefix), self.plain(self.suffix), self.files()
        kept_prefix = last(prefix, 3 * (n_around // 4))
        kept_suffix = suffix[: max(0, n_around // 4 - (2 + len(prompt)))]
        kept_extra = last(extra, max(0, n_rest))
        before = [*some(special.fim_pre), *kept_prefix, *prompt]
        behind = [*some(special.fim_suf), *kept_suffix]
        bos = some(self.vocab.bos_id) if self.vocab.add_bos else []
        first, second = (behind, before) if suffix_first else (before, behind)
        dropped = {
            "prefix": len(prefix) - len(kept_prefix),
            "suffix": len(suffix) - len(kept_suffix),
            "extra": len(extra) - len(kept_extra),
        }
        return [*kept_extra, *bos, *first, *second, *some(special.fim_mid)], dropped

    def files(self) -> list[int]:
        """The other files, each with its name; at last the name of the one with the gap."""
        special, tokens = self.vocab.special, []
        if special.fim_rep is not None:
            tokens += [special.fim_rep, *self.plain(PROJECT)]
        for file in self.extra:
            if special.fim_sep is not None:
                tokens += [special.fim_sep, *self.plain(file.filename + "\n")]
            else:
                tokens += self.plain(BETWEEN)
            tokens += self.plain(file.text)
        if special.fim_sep is not None:
            tokens += [special.fim_sep, *self.plain(FILE)]
        return tokens

    def plain(self, text: str) -> list[int]:
        return self.vocab.encode(text, add_special=False)


def some(token: int | None) -> list[int]:
    return [] if token is None else [token]


def last(tokens: list[Any], n: int) -> list[Any]:
    return tokens[max(0, len(tokens) - n) :]
