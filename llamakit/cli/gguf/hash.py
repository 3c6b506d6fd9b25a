"""`llamakit gguf hash FILE`: checksums of the tensors, to print or to hold against a manifest."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit.cli.console import progress
from llamakit.cli.options.shared import Verbose


def hash_(
    file: Annotated[str, typer.Argument(help="GGUF file; of a split, each shard is hashed by itself.")],
    xxh64: Annotated[bool, typer.Option("--xxh64", help="XXH64, the fastest (the default).")] = False,
    sha1: Annotated[bool, typer.Option("--sha1", help="SHA-1.")] = False,
    sha256: Annotated[bool, typer.Option("--sha256", help="SHA-256.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="All three.")] = False,
    no_layer: Annotated[bool, typer.Option("--no-layer", help="Of the whole file only, not of each tensor.")] = False,
    uuid: Annotated[bool, typer.Option("--uuid", help="UUIDv5 of the whole file.")] = False,
    check: Annotated[
        str | None, typer.Option("-c", "--check", metavar="MANIFEST", help="Compare with what was printed earlier.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Hash the tensors of a GGUF file, one by one and together; changed metadata does not matter.

    With --check the exit code is 0 for success, 1 for a mismatch, 3 when the manifest does not know the file, 4 when
    it holds no hash, 5 when it cannot be read.
    """
    from llamakit.core.gguf.file import GGUFFile
    from llamakit.tools.gguf_hash.hashes import hash_file
    from llamakit.tools.gguf_hash.manifest import judge, read_manifest

    wanted = {"xxh64": xxh64 or all_, "sha1": sha1 or all_, "sha256": sha256 or all_, "uuid": uuid}
    algorithms = [name for name, is_wanted in wanted.items() if is_wanted]
    manifest = None if check is None else read_manifest(check)
    if manifest is not None:
        print("  ".join(["manifest", manifest.path, *manifest.algorithms]))
        algorithms = algorithms or manifest.algorithms[:1]
    compared = []
    with GGUFFile(file, use_mmap=False) as opened, progress() as report:
        total, done = sum(tensor.n_bytes for tensor in opened.tensors), 0

        def advance(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            if report:
                report("hashing", done, total)

        for entry in hash_file(opened, file, algorithms or ["xxh64"], per_tensor=not no_layer, report=advance):
            if manifest is None:
                print(entry)
            else:
                compared.append((entry, manifest.compare(entry)))
                print(f"{entry}  -  {compared[-1][1].value}")
    if manifest is not None:
        verdict = judge(compared)
        print(f"\nVerification results for {manifest.path} - {verdict}")
        raise typer.Exit(verdict.exit_code)
