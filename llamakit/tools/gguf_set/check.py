"""Would the model still be sound? Asked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.values import Value
from llamakit.errors import UsageError
from llamakit.tools.gguf_set.changes import Change, changed
from llamakit.tools.gguf_verify.finding import Finding, Level
from llamakit.tools.gguf_verify.run import check_architecture, check_metadata


def check_changes(reader: GGUFReader, changes: Sequence[Change]) -> list[Finding]:
    """Warnings that the changed metadata gives and today's does not.

    Raises UsageError when `gguf verify` would find an error that it does not find today.
    """
    known = {(finding.key, finding.message) for finding in findings(reader, reader.metadata)}
    new = [f for f in findings(reader, changed(reader.metadata, changes)) if (f.key, f.message) not in known]
    errors = [finding for finding in new if finding.level is Level.ERROR]
    if errors:
        text = str(errors[0]).removeprefix("error: ")
        raise UsageError(f"{reader.path}: not changed, because the model would be broken: {text}")
    return [finding for finding in new if finding.level is Level.WARNING]


def findings(reader: GGUFReader, metadata: Mapping[str, Value]) -> list[Finding]:
    n_rows = reader.tensor("token_embd.weight").shape[-1] if "token_embd.weight" in reader else None
    types = {tensor.type for tensor in reader.tensors}
    return [
        *check_metadata(reader.path, metadata, types, n_rows),
        *check_architecture(reader, metadata),
    ]
