"""Groups of options as one parameter of a command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer

from llamakit.cli.options.shared import option
from llamakit.cli.parsing.call import read_and_call
from llamakit.cli.parsing.groups import flatten
from llamakit.cli.parsing.reader import InvalidArgument

called = []


@dataclass(frozen=True)
class Fruit:
    apples: Annotated[int, option("-a", "--apples", panel="Fruit", help="How many apples.")] = 3
    names: Annotated[list[str], option("--name", panel="Fruit", help="Their names.")] = field(default_factory=list)
    peel: Annotated[bool | None, option("--peel/--no-peel", panel="Fruit", help="Without the skin.")] = None


@dataclass(frozen=True)
class Cake:
    layers: Annotated[float | None, option("--layers", panel="Cake", help="How high.", env="LAYERS")] = None


def bake(
    oven: Annotated[str, typer.Argument(help="Where.")] = "home",
    *,
    fruit: Fruit,
    hot: Annotated[bool, option("--hot", help="Very hot.")] = False,
    cake: Cake,
) -> None:
    """Bake a cake."""
    called.append((oven, fruit, hot, cake))


@pytest.mark.parametrize(
    "args, want",
    [
        ([], ("home", Fruit(), False, Cake())),
        (["-a", "5", "--hot", "shop"], ("shop", Fruit(5), True, Cake())),
        (["--name", "x", "--name", "y", "--layers", "2.5"], ("home", Fruit(3, ["x", "y"]), False, Cake(2.5))),
        (["--peel"], ("home", Fruit(peel=True), False, Cake())),
        (["--no-peel"], ("home", Fruit(peel=False), False, Cake())),
    ],
)
def test_a_command_gets_its_groups_filled(args, want):
    called.clear()
    read_and_call("bake", bake, args)
    assert called == [want]


def test_variables_are_read_too(monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_LAYERS", "4")
    called.clear()
    read_and_call("bake", bake, [])
    assert called[0][3] == Cake(4.0)


def test_what_cannot_be_read_is_an_error():
    with pytest.raises(InvalidArgument, match="--apples"):
        read_and_call("bake", bake, ["--apples", "many"])


def test_help_lists_the_fields_by_panel(capsys):
    with pytest.raises(typer.Exit):
        read_and_call("bake", bake, ["--help"])
    text = capsys.readouterr().out
    assert "Bake a cake." in text
    order = ["Fruit:", "--apples", "How many apples.", "--name", "--no-peel", "--hot", "Cake:", "--layers"]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)
    assert "default: 3" in text


def test_a_command_without_groups_stays_as_it_is():
    def plain(n: int = 1) -> None: ...

    assert flatten(plain) is plain
