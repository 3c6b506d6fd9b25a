"""Jinja's code generator, with calls to the meter in the code it writes.

Filters, methods and most operators go through the environment anyway. What Jinja compiles to plain Python goes through
it here too: entering a block (so each turn of a loop), `~`, slices, comparisons, and the displays of lists, tuples and
dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame


class MeteredCode(CodeGenerator):
    """Writes `environment.METHOD(...)`, methods of `SafeEnvironment`, around what costs time or memory."""

    def blockvisit(self, nodes: Iterable[nodes.Node], frame: Frame) -> None:
        nodes = list(nodes)
        self.writeline(f"environment.enter({n_characters(nodes)})")
        super().blockvisit(nodes, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        if node.test is not None:  # evaluated for items that never enter the block
            node.test = nodes.And(call("turn"), node.test)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenate(context, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.slice(")
        self.visit(node.node, frame)
        for bound in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            self.visit(bound if bound is not None else nodes.Const(None), frame)
        self.write(")")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(" if all(is_quick(node.expr, op) for op in node.ops) else "environment.compared(")
        super().visit_Compare(node, frame)
        self.write(")")

    def signature(
        self,
        node: nodes.Call | nodes.Filter | nodes.Test,
        frame: Frame,
        extra_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if node.dyn_args is not None:
            node.dyn_args = call("arguments", node.dyn_args)
        super().signature(node, frame, extra_kwargs)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self.write("environment.made(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self.write("environment.made(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        is_value = node.ctx == "load"  # not the target of an assignment
        self.write("environment.made(" if is_value else "")
        super().visit_Tuple(node, frame)
        self.write(")" if is_value else "")


def n_characters(body: Iterable[nodes.Node]) -> int:
    """Characters that a block writes each time it is entered, whatever happens in it."""
    texts = (node for node in body if isinstance(node, (nodes.Output, nodes.ScopedEvalContextModifier)))
    return sum(len(part.data) for node in texts for part in node.find_all(nodes.TemplateData))


def is_quick(left: nodes.Expr, comparison: nodes.Operand) -> bool:
    """A comparison with a constant ends at the first difference; looking for one in a long text does not."""
    if comparison.op in ("in", "notin"):
        return isinstance(comparison.expr, (nodes.Const, nodes.List, nodes.Tuple))
    return isinstance(left, nodes.Const) or isinstance(comparison.expr, nodes.Const)


def call(method: str, *args: nodes.Expr) -> nodes.Call:
    """`environment.METHOD(...)`."""
    return nodes.Call(nodes.EnvironmentAttribute(method), list(args), [], None, None)
