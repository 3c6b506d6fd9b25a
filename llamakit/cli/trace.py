"""`llamakit trace`: values of a model while it computes a prompt."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.look import LookOptions
from llamakit.cli.options.named_model import NamedModelOptions
from llamakit.cli.options.prompt import PromptOptions, read_prompt
from llamakit.cli.options.shared import OUTPUT, option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.tools.look.trace import Guess, Seen

WIDE = 12  # characters of a token in a table


def trace(
    *,
    source: NamedModelOptions,
    prompting: PromptOptions,
    looking: LookOptions,
    values: Annotated[
        list[str], option("--values", help="Names of values, with * and ?; may be repeated.", show_default="blk.*.out")
    ] = [],
    names: Annotated[bool, option("--names", help="List the names that this model's values have, and end.")] = False,
    lens: Annotated[
        bool, option("--logit-lens", help="What each layer would say if it were the last, after each token.")
    ] = False,
    output: Annotated[
        str | None, option("-o", "--output", panel=OUTPUT, help="Write the values to a NumPy file (.npz).")
    ] = None,
    json: Annotated[bool, option("--json", panel=OUTPUT, help="Print JSON.")] = False,
    verbose: o.Verbose = False,
) -> None:
    """Look into a model while it computes a prompt (-p or -f).

    A table tells the size of each value that --values names; -o writes the numbers themselves. Names are those of the
    tensors that make values (blk.3.attn_q, output_norm), and q, k, v, attn_heads, attn_weights, ffn_inp, out of each
    layer; llama.cpp's (l_out-3, blk.*.attn_out) are understood.
    """
    from llamakit.tools.look import trace as t

    with progress() as report:
        params = looking.params(source.path(report))
        if names:
            return print_names(t.value_names(params), json)
        text = read_prompt(prompting)
        prompt = text if isinstance(text, str) else text.decode("utf-8", errors="replace")
        if lens:
            if values or output:
                raise InvalidArgument("--logit-lens looks at what layers give: it takes no --values and no --output")
            pieces, guesses = t.lens(params, prompt, report=report)
        else:
            seen = t.trace_prompt(params, prompt, values or [t.LAYERS], report)
    if lens:
        lines = [lens_json(pieces, guesses)] if json else lens_table(pieces, guesses)
    else:
        if output is not None:
            t.write(seen, output)
        lines = [sizes_json(seen)] if json else sizes_table(seen)
    sys.stdout.writelines(f"{line}\n" for line in lines)


def print_names(names: list[str], json: bool) -> None:
    print(json_module.dumps(names) if json else "\n".join(names))


def sizes_table(seen: Seen) -> Iterator[str]:
    from llamakit.tools.look.trace import size_of

    width = max(len(name) for name in seen.values)
    yield f"{'value':{width}}  {'shape':>16}  {'rms':>10}  {'mean':>10}  {'min':>10}  {'max':>10}"
    for name, value in seen.values.items():
        size = size_of(value)
        shape = " x ".join(map(str, value.shape))
        numbers = "  ".join(f"{number:10.4g}" for number in (size.rms, size.mean, size.least, size.largest))
        yield f"{name:{width}}  {shape:>16}  {numbers}"


def sizes_json(seen: Seen) -> str:
    from dataclasses import asdict

    from llamakit.tools.look.trace import size_of

    values = {name: {"shape": value.shape, **asdict(size_of(value))} for name, value in seen.values.items()}
    return json_module.dumps({"tokens": seen.tokens, "pieces": seen.pieces, "values": values})


def lens_table(pieces: list[str], guesses: dict[str, list[list[Guess]]]) -> Iterator[str]:
    """A column for each token of the prompt, a row for each layer: the likeliest next token."""
    width = max(len(name) for name in guesses)
    yield f"{'':{width}}  " + " ".join(f"{clipped(piece):{WIDE}}" for piece in pieces)
    for name, row in guesses.items():
        cells = (f"{clipped(best[0].text)} {best[0].probability:.2f}" for best in row)
        yield f"{name:{width}}  " + " ".join(f"{cell:{WIDE}}" for cell in cells)


def lens_json(pieces: list[str], guesses: dict[str, list[list[Guess]]]) -> str:
    from dataclasses import asdict

    layers = {name: [[asdict(guess) for guess in best] for best in row] for name, row in guesses.items()}
    return json_module.dumps({"pieces": pieces, "layers": layers})


def clipped(text: str) -> str:
    """A token's text for a table: visible, and not too long."""
    shown = text.replace(" ", "_") if text.strip() else repr(text)[1:-1].replace(" ", "_")
    shown = "".join(c if c.isprintable() else "?" for c in shown)
    return shown if len(shown) <= WIDE - 5 else shown[: WIDE - 6] + "…"
