"""What one request of TGI's API may ask for, in its launcher's names: a group (see `parsing/groups.py`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.server.tgi.limits import GenerateLimits

PANEL = "Limits of /generate"


def limit(*names: str, help: str, **more: Any) -> Any:
    return option(*names, help=help, panel=PANEL, **more)


@dataclass(frozen=True)
class GenerateOptions:
    """Named as the fields of GenerateLimits."""

    max_best_of: Annotated[int, limit("--max-best-of", help="Most texts of which best_of chooses one.")] = 2
    max_stop_sequences: Annotated[int, limit("--max-stop-sequences", help="Most stop texts.")] = 4
    max_top_n_tokens: Annotated[int, limit("--max-top-n-tokens", help="Most likely tokens told for a place.")] = 5
    max_client_batch_size: Annotated[
        int, limit("--max-client-batch-size", help="Most prompts in a request, as /info tells it.")
    ] = 4
    validation_workers: Annotated[
        int, limit("--validation-workers", help="As /info tells it: requests are read in threads, as many as needed.")
    ] = 2
    has_grammar: Annotated[
        bool,
        limit("--grammar-support/--disable-grammar-support", help="Take the parameter grammar."),
    ] = True
    watermark_gamma: Annotated[
        float, limit("--watermark-gamma", help="Share of the tokens that a watermark makes likelier.")
    ] = 0.5
    watermark_delta: Annotated[float, limit("--watermark-delta", help="What it adds to their logits.")] = 2.0


def generate_limits(
    options: GenerateOptions, max_input_tokens: int | None, max_total_tokens: int | None
) -> GenerateLimits:
    """Raises InvalidArgument for limits that leave no room."""
    from llamakit.server.tgi.limits import GenerateLimits

    leasts = {
        "max_best_of": 1, "max_stop_sequences": 0, "max_top_n_tokens": 0, "max_client_batch_size": 1,
        "validation_workers": 1,
    }  # fmt: skip
    for name, least in leasts.items():
        if getattr(options, name) < least:
            raise InvalidArgument(f"--{name.replace('_', '-')}: must be at least {least}")
    if not 0 < options.watermark_gamma < 1:
        raise InvalidArgument("--watermark-gamma: must be between 0 and 1")
    if not isfinite(options.watermark_delta):
        raise InvalidArgument("--watermark-delta: must be a finite number")
    for name, n in (("--max-input-tokens", max_input_tokens), ("--max-total-tokens", max_total_tokens)):
        if n is not None and n < 1:
            raise InvalidArgument(f"{name}: must be at least 1")
    if max_input_tokens is not None and max_total_tokens is not None and max_input_tokens >= max_total_tokens:
        raise InvalidArgument("--max-input-tokens: must be less than --max-total-tokens")
    return GenerateLimits(max_input_tokens=max_input_tokens, max_total_tokens=max_total_tokens, **asdict(options))
