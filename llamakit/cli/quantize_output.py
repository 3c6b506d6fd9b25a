"""What `llamakit quantize` prints: llama-quantize's lines on stderr, the sizes or JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable

from llamakit.cli.console import is_terminal
from llamakit.core.gguf.types import GGMLType
from llamakit.tools.imatrix_file import Imatrix
from llamakit.tools.quantize.plan import Plan, PlannedTensor

MIB = 1 << 20
CLEAR_LINE = "\r\x1b[K"  # of a progress bar, which draws itself anew


def ggml_name(type_: GGMLType) -> str:
    """As ggml writes it: q4_K, iq4_nl."""
    return type_.name.lower().replace("_k", "_K")


class Printer:
    """Counts tensors as they are done; `log` None leaves only what goes to stdout."""

    def __init__(self, log: Callable[[str], None] | None, *, is_json: bool) -> None:
        self.log, self.is_json = log, is_json
        self.clear = CLEAR_LINE if is_terminal(sys.stderr) else ""
        self.n_done, self.n_tensors = 0, 0

    def imatrix(self, path: str, whole: Imatrix, used: Imatrix | None) -> None:
        if whole.datasets:
            self._say(f"imatrix datasets={list(whole.datasets)}")
        self._say(
            f"loaded {len(whole.entries)} importance matrix entries from {path} computed on {whole.n_chunks} chunks"
        )
        n_unseen = sum(not entry.counts.all() for entry in whole.entries.values())
        if n_unseen:
            self._say(f"WARNING: {n_unseen} entries hold matrices that saw no input; all their columns weigh the same")
        n_used = len(used.entries) if used else 0
        if n_used < len(whole.entries):
            self._say(f"have {n_used} importance matrix entries")

    def start(self, plan: Plan, model: str, output: str | None, n_threads: int | None) -> None:
        self.n_tensors = len(plan.tensors)
        what = f"quantizing '{model}' to '{output}'" if output else f"calculating quantization size for '{model}'"
        using = f" using {n_threads} threads" if n_threads else ""
        self._say(f"{what} as {plan.file_type.name}{using}")

    def planned(self, tensor: PlannedTensor) -> None:
        """A tensor of a dry run."""
        if tensor.is_copied:
            self._tensor(tensor, f"size = {tensor.n_bytes / MIB:8.3f} MiB")
        else:
            self._tensor(tensor, f"{sizes(tensor)} ({ggml_name(tensor.type)})")

    def done(self, tensor: PlannedTensor) -> None:
        if tensor.is_copied:
            self._tensor(tensor, f"size = {tensor.n_bytes / MIB:8.3f} MiB")
        else:
            self._tensor(tensor, f"converting to {ggml_name(tensor.type)} .. {sizes(tensor)}")

    def end(self, plan: Plan, seconds: float, *, is_dry: bool) -> None:
        fallbacks = Counter(f"{ggml_name(t.replaces)} -> {ggml_name(t.type)}" for t in plan.fallbacks if t.replaces)
        if fallbacks:
            each = ", ".join(f"{n} {what}" for what, n in fallbacks.most_common())
            n = len(plan.fallbacks)
            self._say(f"WARNING: {n} of {len(plan.tensors)} tensor(s) required fallback quantization: {each}")
        if plan.unweighted:
            n, first = len(plan.unweighted), plan.unweighted[0]
            self._say(f"WARNING: did not find weights for {n} tensor(s), such as {first}")
        if plan.needing_imatrix:
            self._say(
                f"WARNING: this needs an importance matrix (--imatrix), for {plan.needing_imatrix[0]} to begin with"
            )
        if self.is_json:
            types = {tensor.name: tensor.type.name.lower() for tensor in plan.tensors}
            print(json.dumps({"tensors": types, "bytes": plan.n_bytes, "bpw": plan.bpw}))
            return
        source_bpw = 8 * plan.source_bytes / max(1, plan.n_values)
        print(f"model size  = {plan.source_bytes / MIB:8.2f} MiB ({source_bpw:.2f} BPW)")
        print(f"quant size  = {plan.n_bytes / MIB:8.2f} MiB ({plan.bpw:.2f} BPW)")
        if not is_dry:
            print(f"\nquantize time = {1e3 * seconds:8.2f} ms")

    def _tensor(self, tensor: PlannedTensor, what: str) -> None:
        self.n_done += 1
        shape = (*tensor.source.shape, 1, 1, 1)[:4]
        self._say(
            f"[{self.n_done:4d}/{self.n_tensors:4d}] {tensor.name:<36} - [{', '.join(f'{dim:6d}' for dim in shape)}], "
            f"type = {ggml_name(tensor.source.type):>6}, {what}"
        )

    def _say(self, message: str) -> None:
        if self.log is not None:
            self.log(self.clear + message)


def sizes(tensor: PlannedTensor) -> str:
    return f"size = {tensor.source.n_bytes / MIB:8.2f} MiB -> {tensor.n_bytes / MIB:8.2f} MiB"
