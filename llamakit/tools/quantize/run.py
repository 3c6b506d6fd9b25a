"""A plan carried out: pieces of tensors packed by several threads, each writing where its bytes belong."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.gguf.split_writer import SplitWriter, shard_paths
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.core.kernels.calls import n_cores
from llamakit.core.quants.packing import prepare
from llamakit.errors import UsageError
from llamakit.tools.quantize.file_types import FileType
from llamakit.tools.quantize.metadata import add_metadata
from llamakit.tools.quantize.pieces import Buffers, Piece, buffer_bytes, pieces_of, work_on
from llamakit.tools.quantize.plan import Options, Plan, PlannedTensor, check, make_plan

Report = Callable[[str, int, int], None]  # stage, done, total (0: not known)

AHEAD = 4  # pieces waiting for each thread: enough that none is ever idle


@dataclass(frozen=True, slots=True)
class Step:
    """A piece that is in the new file."""

    tensor: PlannedTensor
    source_bytes: int
    is_last: bool  # of its tensor


def quantize_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    file_type: FileType,
    options: Options | None = None,
    n_threads: int | None = None,
) -> Plan:
    """Write `source` anew as `file_type`; returns what was done.

    `options.types` gives types by tensor name; `n_threads` None means all cores. The file takes its name when it is
    whole: whatever happens before, one that was there stays as it was. Raises UsageError, LlamakitError for wishes
    that cannot be, GGUFError for files that cannot be read or written and weights that are not finite.
    """
    with GGUFReader(source) as reader:
        plan = make_plan(reader, file_type, options or Options())
        for _ in carry_out(plan, reader, output, n_threads):
            pass
        return plan


def carry_out(
    plan: Plan, reader: GGUFReader, output: str | os.PathLike[str], n_threads: int | None = None
) -> Iterator[Step]:
    """Write the new file, step by step in the order of its tensors; whoever stops asking discards it."""
    check(plan)
    refuse_inputs(plan, reader, output)
    n_threads = n_threads or n_cores()
    with open_output(plan, reader, output) as writers, closing(run(plan, writers, n_threads)) as steps:
        yield from steps


def run(plan: Plan, writers: list[GGUFWriter], n_threads: int) -> Generator[Step, None, None]:
    """Work on all pieces, `writers[i]` being that of tensor i."""
    pieces = (
        piece for tensor, writer in zip(plan.tensors, writers, strict=True) for piece in pieces_of(tensor, writer)
    )
    size = max((buffer_bytes(tensor) for tensor in plan.tensors), default=0)
    buffers: Buffers = SimpleQueue()
    for _ in range(n_threads):
        buffers.put(np.empty(size, np.uint8))
    pool = ThreadPoolExecutor(n_threads)
    try:
        waiting: deque[tuple[Piece, Future[None]]] = deque()
        for piece in pieces:
            waiting.append((piece, pool.submit(work_on, piece, buffers)))
            if len(waiting) > AHEAD * n_threads:
                yield finish(*waiting.popleft())
        while waiting:
            yield finish(*waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def finish(piece: Piece, future: Future[None]) -> Step:
    future.result()
    return Step(piece.tensor, piece.source_bytes, piece.is_last)


def load_kernels(plan: Plan, report: Report | None = None) -> None:
    """Have the kernels of a plan at hand, which takes a while where they were never compiled before."""
    done = 0

    def count(name: str) -> None:
        nonlocal done
        done += 1
        if report is not None:
            report("compiling kernels", done, 0)

    for is_weighted in (False, True):
        tensors = [t for t in plan.tensors if not t.is_copied and (t.importance is not None) == is_weighted]
        if tensors:
            prepare({tensor.type for tensor in tensors}, is_weighted, count)


def output_paths(plan: Plan, reader: GGUFReader, output: str | os.PathLike[str]) -> list[str]:
    """The files that will be written: shards where the source has some and they are kept, named after `output`."""
    if is_split(plan, reader):
        return shard_paths(prefix_of(output), len(reader.files))
    return [os.fspath(output)]


def is_split(plan: Plan, reader: GGUFReader) -> bool:
    return plan.options.keep_split and len(reader.files) > 1


def prefix_of(output: str | os.PathLike[str]) -> str:
    return os.fspath(output).removesuffix(".gguf")


def refuse_inputs(plan: Plan, reader: GGUFReader, output: str | os.PathLike[str]) -> None:
    """Raise UsageError when a file that is read would be written, under any of its names."""
    inputs = [file.path for file in reader.files]
    if plan.options.imatrix_path:
        inputs.append(Path(plan.options.imatrix_path))
    for path in output_paths(plan, reader, output):
        for written in (path, os.path.realpath(path) + ".partial"):
            for read in inputs:
                if os.path.exists(written) and os.path.exists(read) and os.path.samefile(written, read):
                    raise UsageError(f"{path} would overwrite {read}, which is being read; choose another output")


@contextmanager
def open_output(plan: Plan, reader: GGUFReader, output: str | os.PathLike[str]) -> Iterator[list[GGUFWriter]]:
    """The writer of each tensor, with all metadata given and all tensors declared; closed together or discarded."""
    if not is_split(plan, reader):
        with GGUFWriter(output) as writer:
            add_metadata(writer, reader, plan)
            yield declared(plan, [writer] * len(plan.tensors))
        return
    shard_of = {tensor.name: i for i, file in enumerate(reader.files) for tensor in file.tensors}
    with SplitWriter(prefix_of(output), len(reader.files), alignment=reader.alignment) as split:
        add_metadata(split.shards[0], reader, plan)
        split.add_split_keys(len(plan.tensors))
        yield declared(plan, [split.shards[shard_of[tensor.source.name]] for tensor in plan.tensors])


def declared(plan: Plan, writers: list[GGUFWriter]) -> list[GGUFWriter]:
    for tensor, writer in zip(plan.tensors, writers, strict=True):
        writer.declare_tensor(tensor.name, tensor.source.shape, tensor.type)
    return writers
