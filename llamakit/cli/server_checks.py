"""What `llamakit server`'s options cannot be, said before a model is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llamakit.cli.parsing.reader import InvalidArgument

if TYPE_CHECKING:
    from llamakit.cli.options.context import ContextOptions
    from llamakit.cli.options.server import EndOptions, ServingOptions, WebOptions

PREFIX = re.compile(r"(/[^/\s{}?#]+)*")
GRPC_PORT = 4317


def check_web(web: WebOptions) -> None:
    """Raises InvalidArgument."""
    if not PREFIX.fullmatch(web.api_prefix):
        raise InvalidArgument(f"--api-prefix {web.api_prefix}: must be as /a or /a/b, with no / at its end")
    check_folder("--path", web.path)
    check_least("--payload-limit", web.payload_limit, 1)
    check_least("--timeout", web.timeout, 1)
    if (web.ssl_key_file is None) != (web.ssl_cert_file is None):
        raise InvalidArgument("HTTPS needs both --ssl-key-file and --ssl-cert-file")


def check_serving(serving: ServingOptions, context: ContextOptions) -> None:
    """Raises InvalidArgument."""
    check_folder("--slot-save-path", serving.slot_save_path)
    check_least("--max-batch-prefill-tokens", serving.max_batch_prefill_tokens, 1)
    check_least("--sse-ping-interval", serving.sse_ping_interval, -1)
    limits = {"--max-input-tokens": serving.max_input_tokens, "--max-total-tokens": serving.max_total_tokens}
    for name, n in limits.items():
        if n is not None and 0 < (context.ctx_size or 0) < n:
            raise InvalidArgument(f"{name} {n}: the context has {context.ctx_size} tokens (-c)")


def check_end(ending: EndOptions) -> None:
    """Raises InvalidArgument."""
    if not ending.grace >= 0:  # nan is not either
        raise InvalidArgument(f"--graceful-termination-timeout: must be at least 0, not {ending.grace:g}")
    if ending.otlp_endpoint is not None:
        check_endpoint(ending.otlp_endpoint)


def check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_web, port = parts.scheme in ("http", "https") and bool(parts.hostname), parts.port
    except ValueError:
        is_web, port = False, None
    if not is_web:
        raise InvalidArgument(f"--otlp-endpoint {url}: must be a URL as http://localhost:4318")
    if port == GRPC_PORT:
        raise InvalidArgument(
            f"--otlp-endpoint {url}: port {GRPC_PORT} is that of OTLP over gRPC; traces are sent over HTTP, for which "
            "collectors listen at port 4318"
        )


def check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InvalidArgument(f"{name}: must be at least {least}, not {value}")


def check_folder(name: str, path: str | None) -> None:
    if path is not None and not Path(path).is_dir():
        raise InvalidArgument(f"{name} {path}: there is no such folder")
