"""`llamakit gguf set FILE KEY VALUE`: metadata changed, in the file or in a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.console import log, progress
from llamakit.cli.options.shared import Verbose
from llamakit.cli.parsing.reader import InvalidArgument, warn

if TYPE_CHECKING:
    from llamakit.core.gguf.file import FileMetadata, GGUFFile
    from llamakit.tools.gguf_set.changes import Change

SHORTHANDS = "Shorthands"


def set_(
    file: Annotated[str, typer.Argument(help="GGUF file; of a split the first shard.")],
    key: Annotated[str | None, typer.Argument(help="Key to set.")] = None,
    value: Annotated[
        str | None,
        typer.Argument(help="New value: a number, true, false, a text, a JSON array. After `--` if negative."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Write a copy; needed unless one number changes.")
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Type of the value: u8 i32 f32 bool str [u32] ...", show_default="as it is"),
    ] = None,
    force: Annotated[
        bool, typer.Option("-y", "--force", "--yes", help="Write; without it, only say what would be.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, whatever else is said.")] = False,
    remove_metadata: Annotated[
        list[str], typer.Option("--remove-metadata", metavar="KEY", help="Remove a key; repeat for more.")
    ] = [],
    general_name: Annotated[
        str | None, typer.Option("--general-name", help="Set general.name.", rich_help_panel=SHORTHANDS)
    ] = None,
    general_description: Annotated[
        str | None, typer.Option("--general-description", help="Set general.description.", rich_help_panel=SHORTHANDS)
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option("--chat-template", help="Chat template, or a JSON list of them.", rich_help_panel=SHORTHANDS),
    ] = None,
    chat_template_config: Annotated[
        str | None,
        typer.Option("--chat-template-config", help="tokenizer_config.json with them.", rich_help_panel=SHORTHANDS),
    ] = None,
    chat_template_file: Annotated[
        str | None, typer.Option("--chat-template-file", help="Jinja file with it.", rich_help_panel=SHORTHANDS)
    ] = None,
    pre_tokenizer: Annotated[
        str | None, typer.Option("--pre-tokenizer", help="Set tokenizer.ggml.pre.", rich_help_panel=SHORTHANDS)
    ] = None,
    special_token: Annotated[
        list[str],
        typer.Option(
            "--special-token", metavar="ROLE=TEXT", help="Special token by text: eos=</s>.", rich_help_panel=SHORTHANDS
        ),
    ] = [],
    special_token_by_id: Annotated[
        list[str],
        typer.Option(
            "--special-token-by-id", metavar="ROLE=ID", help="Special token by id: eos=2.", rich_help_panel=SHORTHANDS
        ),
    ] = [],
    verbose: Verbose = False,
) -> None:
    """Change the metadata of a GGUF file. Nothing is written without --force.

    One number is changed in the file itself, in one write that is there or not, whatever happens; all else goes to a
    copy, which gets its name when it is whole. What would break the model is refused.
    """
    from llamakit.core.gguf.reader import GGUFReader
    from llamakit.errors import UsageError
    from llamakit.tools.gguf_set import changes as changing
    from llamakit.tools.gguf_set.check import check_changes

    with GGUFReader(file) as reader:
        opened, metadata = reader.files[0], reader.metadata
        if not opened.path.samefile(file):
            raise UsageError(f"{file} is a shard without metadata; it is in the first, {opened.path}")
        wanted = [changing.remove_key(metadata, name) for name in remove_metadata]
        texts = {
            "general.name": general_name,
            "general.description": general_description,
            "tokenizer.ggml.pre": pre_tokenizer,
        }
        wanted += [changing.set_text(name, text) for name, text in texts.items() if text is not None]
        wanted += template_changes(metadata, chat_template, chat_template_config, chat_template_file)
        wanted += token_changes(metadata, special_token, special_token_by_id)
        if key is not None:
            if value is None:
                raise InvalidArgument(f"the key {key} needs a VALUE")
            wanted.append(changing.set_key(metadata, key, value, type_))
        if not wanted:
            raise InvalidArgument("nothing is to be changed; give a KEY and a VALUE, or see --help")
        if twice := {change.key for change in wanted if sum(other.key == change.key for other in wanted) > 1}:
            raise InvalidArgument(f"{twice.pop()} is to be changed in two ways")
        needed = [change for change in wanted if change.is_needed(metadata)]
        for finding in check_changes(reader, needed):
            warn(str(finding).removeprefix("warning: "))
        for change in wanted:
            print(describe(metadata, change, change in needed))
        write(opened, needed, output, is_real=force and not dry_run)


def write(file: GGUFFile, changes: list[Change], output: str | None, *, is_real: bool) -> None:
    """Do it, or say what is missing."""
    from llamakit.errors import UsageError
    from llamakit.tools.gguf_set.write import fits_in_place, refuse_itself, write_copy, write_in_place

    if output is None and not changes:
        return
    if output is not None:
        refuse_itself(file, output)
    needs_copy = output is None and not fits_in_place(file, changes)
    if not is_real:
        log("dry run: nothing is written without --force" + (" and a copy named with -o" if needs_copy else ""))
    elif needs_copy:
        raise UsageError("more changes than one number in its place: name a copy to write with -o")
    elif output is None:
        write_in_place(file, changes[0])
    else:
        total = sum(tensor.n_bytes for tensor in file.tensors)
        with progress() as report:
            for n_written in write_copy(file, changes, output):
                if report:
                    report("copying", n_written, total)


def describe(metadata: FileMetadata, change: Change, is_needed: bool) -> str:
    """One line: the key, its old value and its new one."""
    from llamakit.tools.gguf_set.changes import shown
    from llamakit.tools.inspect import brief

    old = (
        f"{brief(metadata[change.key])} ({shown(metadata.field(change.key).types)})"
        if change.key in metadata
        else "none"
    )
    new = "removed" if change.types is None else f"{brief(change.value)} ({shown(change.types)})"
    return f"{change.key}: {old} -> {new}" if is_needed else f"{change.key}: is {old} already"


def template_changes(metadata: FileMetadata, text: str | None, config: str | None, file: str | None) -> list[Change]:
    from llamakit.tools.gguf_set import tokenizer

    if sum(given is not None for given in (text, config, file)) > 1:
        raise InvalidArgument("only one of --chat-template, --chat-template-config, --chat-template-file can be given")
    if text is not None:
        return list(tokenizer.template_changes(metadata, tokenizer.parse_template(text)))
    if config is not None:
        return list(tokenizer.template_changes(metadata, tokenizer.template_of_config(config)))
    if file is not None:
        return list(tokenizer.template_changes(metadata, tokenizer.read_text(file)))
    return []


def token_changes(metadata: FileMetadata, by_text: list[str], by_id: list[str]) -> list[Change]:
    from llamakit.tools.gguf_set import tokenizer

    changes = []
    for given in by_text:
        role, equals, text = given.partition("=")
        if not equals:
            raise InvalidArgument(f"--special-token: {given!r} is not ROLE=TEXT, such as eos=</s>")
        change, ids = tokenizer.special_token(metadata, role, text)
        if len(ids) > 1:
            all_ids = ", ".join(map(str, ids))
            warn(f"tokens {all_ids} are all {text!r}; {ids[0]} is taken, --special-token-by-id takes another")
        changes.append(change)
    for given in by_id:
        role, _, number = given.partition("=")
        if not number.isdecimal():
            raise InvalidArgument(f"--special-token-by-id: {given!r} is not ROLE=ID, such as eos=2")
        changes.append(tokenizer.special_token_by_id(metadata, role, int(number)))
    return changes
