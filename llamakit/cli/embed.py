"""`llamakit embed`: vectors of texts, as llama-embedding prints them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.prompt import PromptOptions, read_prompt, unescape
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamakit.tools.embed import Embedded

FORMATS = ("", "array", "json", "json+", "raw")
FIRST, EDGE = 16, 3  # numbers shown of each of several vectors; of a token's, at both ends


def embed(
    *,
    source: NamedModelOptions,
    prompting: PromptOptions,
    pooling: Annotated[
        str | None,
        option("--pooling", env="POOLING", help="none, mean, cls, last or rank.", show_default="the model's own"),
    ] = None,
    attention: Annotated[
        str | None, option("--attention", help="causal or non-causal.", show_default="the model's own")
    ] = None,
    normalize: Annotated[
        int,
        option("--embd-normalize", help="-1: none, 0: largest is 32760, 1: sum of magnitudes, 2: length, p: p-norm."),
    ] = 2,
    output_format: Annotated[
        str,
        option(
            "--embd-output-format", panel=OUTPUT, help="Empty: for reading; array, json, json+ (with cosines), raw."
        ),
    ] = "",
    separator: Annotated[str, option("--embd-separator", panel=OUTPUT, help="What lies between two texts.")] = "\\n",
    cls_separator: Annotated[
        str, option("--cls-separator", panel=OUTPUT, help="What lies between query and document, for rank.")
    ] = "\\t",
    ctx_size: Annotated[
        int,
        option("-c", "--ctx-size", env="CTX_SIZE", help="Most tokens of a text.", show_default="the longest text's"),
    ] = 0,
    batch_size: o.BatchSize = 2048,
    ubatch_size: o.UbatchSize = 512,
    threads: o.Threads = -1,
    override_kv: o.OverrideKv = [],
    mmap: o.UseMmap = True,
    verbose: o.Verbose = False,
) -> None:
    """Turn texts into vectors: -p or -f, a text a line.

    Several texts are followed by a table of cosines: how alike they are. A text has the same bits alone or among
    others, so the sizes of batches (-b, -ub) are accepted and change nothing.
    """
    from llamakit.tools import embed as t

    if output_format not in FORMATS:
        raise InvalidArgument(f"--embd-output-format: {output_format!r} is not {', '.join(FORMATS[1:])}, or empty")
    if attention not in (None, "causal", "non-causal"):
        raise InvalidArgument(f"--attention: {attention!r} is not causal or non-causal")
    if normalize < -1:
        raise InvalidArgument(f"--embd-normalize: {normalize} is not -1, 0, 1, 2 or a larger power")
    if ctx_size < 0:
        raise InvalidArgument(f"--ctx-size: {ctx_size} is not a number of tokens")
    separator = unescape(separator)
    text = read_prompt(prompting)
    text = text if isinstance(text, str) else text.decode("utf-8", errors="replace")
    texts = text.split(separator) if separator else [text]
    with progress() as report:
        made = t.embed(
            t.EmbedParams(
                model=source.path(report),
                n_ctx=ctx_size,
                n_threads=threads if threads > 0 else None,
                pooling=pooling,
                norm=normalize,
                is_causal=None if attention is None else attention == "causal",
                pair_separator=unescape(cls_separator),
                overrides=o.parse_overrides(override_kv),
                use_mmap=mmap,
            ),
            texts,
            report,
        )
    precision = 0 if normalize == 0 else 7
    if output_format == "raw":
        lines: Iterable[str] = (" ".join(f"{x:.{precision}f}" for x in vector) for vector in made.vectors)
    elif output_format:
        lines = as_json(made, output_format, precision)
    else:
        lines = for_reading(made, texts, precision)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def as_json(made: Embedded, output_format: str, precision: int) -> Iterator[str]:
    """Arrays, or OpenAI's list, with the table of cosines where that is wanted."""
    from llamakit.tools.embed import cosines

    arrays = ["[" + ",".join(f"{x:.{precision}f}" for x in vector) + "]" for vector in made.vectors]
    if output_format == "array":
        yield "[" + ",".join(arrays) + "]"
        return
    yield '{\n  "object": "list",\n  "data": ['
    for i, array in enumerate(arrays):
        end = "," if i + 1 < len(arrays) else ""
        yield f'    {{\n      "object": "embedding",\n      "index": {i},\n      "embedding": {array}\n    }}{end}'
    has_table = output_format == "json+" and len(arrays) > 1
    yield "  ]," if has_table else "  ]"
    if has_table:
        rows = ["    [" + ", ".join(f"{x:6.2f}" for x in row) + " ]" for row in cosines(made.vectors)]
        yield '  "cosineSimilarity": [\n' + ",\n".join(rows) + "\n  ]"
    yield "}"


def for_reading(made: Embedded, texts: list[str], precision: int) -> Iterator[str]:
    """The first numbers of each vector, then the cosines; of one text's vector all numbers."""
    from llamakit.core.engine.pooling import Pooling
    from llamakit.tools.embed import cosines

    shown = "{:6.0f} " if precision == 0 else "{:9.6f} "

    def numbers(vector: Iterable[float]) -> str:
        return "".join(map(shown.format, vector))

    yield ""
    if made.pooling is Pooling.RANK:
        for i, scores in enumerate(made.vectors):
            for k, score in enumerate(scores):
                label = made.labels[k] if k < len(made.labels) and made.labels[k] else str(k)
                yield f"rerank score {i}: {score:8.3f}" + (f" [{label}]" if len(scores) > 1 else "")
        return
    if made.pooling is Pooling.NONE:
        for i, vector in enumerate(made.vectors):
            yield f"embedding {i}: {numbers(vector[:EDGE])} ... {numbers(vector[-EDGE:])}"
        return
    is_one = len(texts) == 1
    for i, vector in enumerate(made.vectors):
        yield f"embedding {i}: {numbers(vector if is_one else vector[:FIRST])}"
    if is_one:
        return
    yield "\ncosine similarity matrix:\n"
    yield "".join(f"{text[:6]:>6} " for text in texts)
    for text, row in zip(texts, cosines(made.vectors), strict=True):
        yield "".join(f"{x:6.2f} " for x in row) + text[:10]
