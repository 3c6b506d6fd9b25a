"""`llamakit cvector`: control vectors from positive and negative prompts."""

from __future__ import annotations

from typing import Annotated

from llamakit.cli.console import progress
from llamakit.cli.options import shared as o
from llamakit.cli.options.prompt import unescape
from llamakit.cli.options.shared import option
from llamakit.cli.parsing.reader import InvalidArgument

METHODS = ("pca", "mean")


def cvector(
    model: Annotated[str | None, option("-m", "--model", env="MODEL", help="GGUF file of the model.")] = None,
    positive_file: Annotated[
        str | None, option("--positive-file", help=r"Prompts to steer to, one a line; \n and the like are read.")
    ] = None,
    negative_file: Annotated[str | None, option("--negative-file", help="Prompts to steer away from, as many.")] = None,
    outfile: Annotated[
        str, option("-o", "--outfile", "--output", "--output-file", help="File to write.")
    ] = "control_vector.gguf",
    method: Annotated[str, option("--method", help="pca (the main direction of all tokens) or mean.")] = "pca",
    pca_iter: Annotated[int, option("--pca-iter", help="Most steps to find a direction.")] = 1000,
    pca_batch: Annotated[int, option("--pca-batch", help="No effect: all rows are looked at together.")] = 100,
    threads: o.Threads = -1,
    arch_file: o.ArchFile = [],
    verbose: o.Verbose = False,
) -> None:
    """Make a control vector: what tells positive prompts from negative ones, layer by layer."""
    for name, value in (("-m", model), ("--positive-file", positive_file), ("--negative-file", negative_file)):
        if value is None:
            raise InvalidArgument(f"{name} is missing")
    assert model and positive_file and negative_file
    if method not in METHODS:
        raise InvalidArgument(f"--method {method}: it can be {' or '.join(METHODS)}")
    positive, negative = lines_of(positive_file), lines_of(negative_file)
    if len(positive) != len(negative) or not positive:
        raise InvalidArgument(f"{positive_file} has {len(positive)} prompts, {negative_file} {len(negative)}: no pairs")

    o.add_arch_files(arch_file)
    from llamakit.core.gguf.metadata import Metadata
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.tools import cvector as c

    with GGUFReader(model) as reader:
        arch = Metadata.of_model(reader.metadata, model).arch
    with progress() as report:
        pairs = list(zip(positive, negative, strict=True))
        layers = c.differences(model, pairs, threads if threads > 0 else None, report)
    c.write_vector(outfile, arch, list(c.directions(layers, method, pca_iter)))
    print(f"{outfile}: {len(layers)} layers, from {len(pairs)} pairs of prompts, {len(layers[0])} tokens")


def lines_of(path: str) -> list[str]:
    """The prompts of a file, without empty lines. Raises InvalidArgument where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return [unescape(line.rstrip("\r\n")) for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: cannot be read: {error}") from None
