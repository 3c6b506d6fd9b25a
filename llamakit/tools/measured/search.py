"""The search: importance, errors, measurements, the mix, and what it is worth on text that none of this has seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model
from llamakit.core.gguf.types import GGMLType
from llamakit.errors import UsageError
from llamakit.tools.imatrix import Collector
from llamakit.tools.imatrix import Settings as ImatrixSettings
from llamakit.tools.imatrix_file import Imatrix, read_imatrix, write_gguf
from llamakit.tools.measured.candidates import TYPES, Candidate, Choices, find_choices
from llamakit.tools.measured.estimate import damage_of, reference_type
from llamakit.tools.measured.knapsack import Knapsack, Solution
from llamakit.tools.measured.notebook import Notebook, notebook_path
from llamakit.tools.measured.ruler import Damage, Ruler, swap
from llamakit.tools.measured.standard import Mix, nearest, standard_mixes
from llamakit.tools.quantize.file_types import FileType
from llamakit.tools.quantize.plan import Options

Ints = npt.NDArray[np.int32]
Report = Callable[[str, int, int], None]  # stage, done, total

MOST_BYTES = 1 << 62
ERROR_OF_4_BITS = 0.006  # the share of energy that types of 4.5 bits lose; each bit less is four times as much
HELD_OUT = 5  # one part in so many of the text is kept for the end
ROUNDS = 3  # of measuring what the best mix relies on most


@dataclass(frozen=True)
class Settings:
    """How much is computed. A measurement takes `n_tokens` in windows of `n_ctx`."""

    n_tokens: int = 512
    n_ctx: int = 256
    n_imatrix_chunks: int = 32
    n_held_out: int = 4096  # tokens
    n_threads: int | None = None
    types: Sequence[GGMLType] = TYPES


@dataclass(frozen=True)
class Target:
    """How large the file may be: bytes in all, or bits a weight of all tensors together."""

    n_bytes: int | None = None
    bpw: float | None = None

    def budget(self, n_header: int, n_weights: int) -> int:
        """Bytes for tensors."""
        if self.n_bytes is not None:
            return self.n_bytes - n_header
        assert self.bpw is not None
        return int(self.bpw * n_weights / 8)


@dataclass(frozen=True)
class Tried:
    """A mix and what it did on the held-out text."""

    mix: Mix
    held_out: Damage


@dataclass(frozen=True)
class Outcome:
    """What was found."""

    mix: Mix
    choices: Sequence[Choices]
    damages: Mapping[str, float]  # expected, by tensor
    calibration: Damage  # of the whole mix, on the windows that measured single tensors
    held_out: Damage
    rivals: Sequence[Tried]  # standard mixes of about the size
    standard: Sequence[tuple[FileType, Mix]]
    frontier: Sequence[tuple[int, float]]  # bytes, expected damage of the best mix
    imatrix: Imatrix
    n_weights: int
    n_measured: int

    @property
    def additivity(self) -> float:
        """The damage of all changes together over the sum of each alone; 1 if they simply add."""
        return self.calibration.kld / self.mix.damage if self.mix.damage else 1.0


class Search:
    """A source model, a text, and everything measured of them. Close it, or use `with`."""

    def __init__(
        self,
        model: Model,
        text: str,
        options: Options,
        settings: Settings = Settings(),
        *,
        is_cached: bool = True,
        report: Report | None = None,
    ) -> None:
        """Raises UsageError when the text is too short."""
        self.model, self.options, self.settings = model, options, settings
        self.report: Report = report or (lambda stage, done, total: None)
        self.seen, self.held_out = divide(model.vocab.encode(text), settings)
        self.notebook = Notebook()
        if is_cached:
            conditions = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), settings.n_tokens,
                          settings.n_ctx, settings.n_imatrix_chunks, digest(options.imatrix)]  # fmt: skip
            self.notebook = Notebook.open(notebook_path(model.reader, conditions))
        self.imatrix = options.imatrix or self._find_imatrix()
        self.options = replace(options, imatrix=self.imatrix)
        self.choices = self._find_choices()
        n_seq = max(1, settings.n_tokens // settings.n_ctx)
        self.context = Context(
            model, n_ctx=n_seq * settings.n_ctx, n_batch=settings.n_tokens, n_ubatch=settings.n_tokens,
            n_threads=settings.n_threads, n_seq_max=n_seq,
        )  # fmt: skip
        self.ruler = Ruler(self.context, self._windows(self.seen, n_seq), n_seq)
        n_held_out = max(1, settings.n_held_out // settings.n_ctx)
        self.far_ruler = Ruler(self.context, self._windows(self.held_out, n_held_out), n_seq)
        self.n_measured = 0

    def _find_imatrix(self) -> Imatrix:
        """The one computed by an earlier search under the same conditions, or a new one."""
        path = self.notebook.path and self.notebook.path.with_suffix(".imatrix.gguf")
        if path is not None and path.exists():
            return read_imatrix(path)
        imatrix = self._compute_imatrix()
        if path is not None:
            self.notebook.save()  # makes the folder
            write_gguf(path, imatrix)
        return imatrix

    def _compute_imatrix(self) -> Imatrix:
        """From the text itself, the output head included."""
        n_ctx = 2 * self.settings.n_ctx
        n = min(self.settings.n_imatrix_chunks, len(self.seen) // n_ctx)
        settings = ImatrixSettings(
            n_ctx=n_ctx, n_threads=self.settings.n_threads, process_output=True, with_perplexity=False
        )
        with Collector(self.model, settings) as collector:
            tokens = cut_evenly(self.seen, n, n_ctx).reshape(-1).tolist()
            for i, _ in enumerate(collector.compute(collector.windows(tokens))):
                self.report("importance", i + 1, n)
            return collector.imatrix(["calibration text"])

    def _find_choices(self) -> list[Choices]:
        found, n = [], len(self.model.reader.tensors)
        for choices in find_choices(self.model.reader, self.options, self.notebook.errors, self.settings.types):
            found.append(choices)
            self.notebook.errors[choices.name] = {c.type: c.error for c in choices.candidates}
            self.report("rounding errors", len(found), n)
        self.notebook.save()
        return found

    def _windows(self, tokens: Ints, n: int) -> Ints:
        windows = cut_evenly(tokens, n, self.settings.n_ctx)
        if self.model.vocab.add_bos and self.model.vocab.bos_id is not None:
            windows[:, 0] = self.model.vocab.bos_id
        return windows

    # measuring
    def run(self, target: Target) -> Outcome:
        """Find the best mix for a target. Raises UsageError when the target is out of reach."""
        n_weights = sum(c.tensor.n_values for c in self.choices)
        budget = target.budget(self.n_header_bytes(), n_weights)
        self._check_reach(budget, target)
        error = ERROR_OF_4_BITS * 4 ** (4.5 - 8 * budget / n_weights)
        first = [(c, t) for c in self.choices if (t := reference_type(c, error, self._measured(c))) is not None]
        self._measure(first, "damage by tensor")
        for i in range(ROUNDS):
            doubtful = self._doubtful(self._solve(budget))
            self._measure(doubtful[: max(12, len(self.choices) // 5)], f"refining, round {i + 1} of {ROUNDS}")
        return self._outcome(self._knapsack(), budget, n_weights)

    def _measured(self, choices: Choices) -> Mapping[GGMLType, float]:
        return self.notebook.damages.get(choices.name, {})

    def _measure(self, changes: Sequence[tuple[Choices, GGMLType]], stage: str) -> None:
        for i, (choices, type_) in enumerate(changes):
            swap(self.context, choices, type_)
            self.notebook.note(choices.name, type_, self.ruler.measure().kld)
            swap(self.context, choices, choices.tensor.type)
            self.n_measured += 1
            self.report(stage, i + 1, len(changes))

    def _damage(self, choices: Choices, candidate: Candidate) -> float:
        return damage_of(choices, candidate, self._measured(choices))

    def _knapsack(self) -> Knapsack:
        groups = [[(k.n_bytes, self._damage(c, k)) for k in c.candidates] for c in self.choices]
        return Knapsack(groups, MOST_BYTES)

    def _solve(self, budget: int) -> list[Candidate]:
        solution = self._knapsack().solve(budget)
        assert solution is not None
        return self._candidates(solution)

    def _candidates(self, solution: Solution) -> list[Candidate]:
        return [c.candidates[i] for c, i in zip(self.choices, solution.chosen, strict=True)]

    def _doubtful(self, mix: Sequence[Candidate]) -> list[tuple[Choices, GGMLType]]:
        """What the mix relies on without having been measured, the largest damage first."""
        guessed = [
            (self._damage(c, k), c, k.type)
            for c, k in zip(self.choices, mix, strict=True)
            if k.error > 0 and k.type not in self._measured(c)
        ]
        return [(c, type_) for _, c, type_ in sorted(guessed, key=lambda each: -each[0])]

    # the end
    def _outcome(self, knapsack: Knapsack, budget: int, n_weights: int) -> Outcome:
        solution = knapsack.solve(budget)
        assert solution is not None
        chosen = self._candidates(solution)
        types = {c.name: k.type for c, k in zip(self.choices, chosen, strict=True)}
        mix = Mix("measured", types, solution.n_bytes, solution.damage)
        standard = list(standard_mixes(self.model.reader, self.options, self.choices, self.notebook))
        rivals = nearest(standard, solution.n_bytes)
        self._apply(mix, "checking the mix")
        calibration, held_out = self.ruler.measure(), self.far_ruler.measure()
        tried = []
        for rival in rivals:
            self._apply(rival, f"checking {rival.name}")
            tried.append(Tried(rival, self.far_ruler.measure()))
        self._apply(Mix("source", {c.name: c.tensor.type for c in self.choices}, 0, 0.0), "restoring")
        return Outcome(
            mix=mix,
            choices=self.choices,
            damages={c.name: self._damage(c, k) for c, k in zip(self.choices, chosen, strict=True)},
            calibration=calibration,
            held_out=held_out,
            rivals=tried,
            standard=standard,
            frontier=knapsack.frontier(),
            imatrix=self.imatrix,
            n_weights=n_weights,
            n_measured=self.n_measured,
        )

    def _apply(self, mix: Mix, stage: str) -> None:
        free = [c for c in self.choices if len(c.candidates) > 1]
        for i, choices in enumerate(free):
            swap(self.context, choices, mix.types[choices.name])
            self.report(stage, i + 1, len(free))

    def n_header_bytes(self) -> int:
        """Bytes of the new file before its tensors, with room for the keys that quantizing adds."""
        return max(file.data_offset for file in self.model.reader.files) + 4096

    def _check_reach(self, budget: int, target: Target) -> None:
        least = sum(min(k.n_bytes for k in c.candidates) for c in self.choices)
        if budget < least:
            wanted = f"{target.bpw} bits a weight" if target.bpw else f"{target.n_bytes} bytes"
            raise UsageError(
                f"{wanted} is too small for {self.model.path}: with the smallest types it takes "
                f"{(least + self.n_header_bytes()) / 1e6:.1f} MB"
            )

    def close(self) -> None:
        self.context.close()

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def divide(tokens: Sequence[int], settings: Settings) -> tuple[Ints, Ints]:
    """What is measured on, and the end of the text, which is kept for the check."""
    least = HELD_OUT * max(settings.n_tokens, 4 * settings.n_ctx)
    if len(tokens) < least:
        raise UsageError(f"the calibration text has {len(tokens)} tokens; at least {least} are needed")
    ids = np.array(tokens, np.int32)
    border = len(ids) - len(ids) // HELD_OUT
    return ids[:border], ids[border:]


def cut_evenly(tokens: Ints, n: int, n_ctx: int) -> Ints:
    """Windows spread over the whole text, (n, n_ctx), fewer where there is no room for n; none overlap."""
    n = max(1, min(n, len(tokens) // n_ctx))
    room = len(tokens) - n_ctx
    starts = (np.arange(n) * room // max(1, n - 1)) if n > 1 else np.array([room // 2])
    return np.stack([tokens[s : s + n_ctx] for s in starts]).astype(np.int32)


def digest(imatrix: Imatrix | None) -> bytes:
    """What tells importance matrices apart."""
    if imatrix is None:
        return b""
    parts: Iterable[bytes] = (name.encode() + e.sums.tobytes() for name, e in sorted(imatrix.entries.items()))
    return hashlib.sha256(b"".join(parts)).digest()
