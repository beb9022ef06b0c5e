"""Calls that decide for themselves when, and how often, their arguments are evaluated."""

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from workflows_app.dag import operations as ops
from workflows_app.dag import rows
from workflows_app.dag.evaluation import Code, Frame, or_null
from workflows_app.dag.operations import ExpressionSyntaxError

if TYPE_CHECKING:
    from workflows_app.dag.compilation import Compiler


def code_of(compiler: "Compiler", name: str, node: ast.Call, depth: int) -> Code:
    """A call of one of `functions.SPECIAL_FUNCTIONS`, whose number of arguments is right."""
    return _CODES[name](compiler, node, depth)


def _now(compiler: "Compiler", _node: ast.Call, _depth: int) -> Code:
    return compiler.spending(lambda frame: ops.utc(frame.scope.now))


def _has(compiler: "Compiler", node: ast.Call, depth: int) -> Code:
    value = _guarded(compiler, node.args[0], depth)
    return compiler.spending(lambda frame: or_null(value, frame) is not None)


def _default(compiler: "Compiler", node: ast.Call, depth: int) -> Code:
    value = _guarded(compiler, node.args[0], depth)
    fallback = compiler.code(node.args[1], depth)

    def default(frame: Frame) -> object:
        frame.budget.spend(1)
        found = or_null(value, frame)
        return fallback(frame) if found is None else found

    return default


def _guarded(compiler: "Compiler", node: ast.expr, depth: int) -> Code:
    outer, compiler.guarded = compiler.guarded, True
    value = compiler.code(node, depth)
    compiler.guarded = outer
    return value


def _collection(name: str, compiler: "Compiler", node: ast.Call, depth: int) -> Code:
    """`item` is the row in the second argument, and nowhere else; the others are evaluated once."""
    if compiler.repeating:
        raise ExpressionSyntaxError(
            f"{name}() goes through rows, and so does what it stands in: take one step after the other, "
            + "as in select(filter(rows, item.a > 1), item.b); column() reads a field of all items.",
            position=compiler.position(node),
        )
    form = rows.Form(
        name=name,
        rows=compiler.code(node.args[0], depth),
        text=compiler.text(node.args[0]),
        of_each=compiler.repeated(lambda: compiler.code(node.args[1], depth), (rows.ROW,)),
        direction=compiler.code(node.args[2], depth) if len(node.args) > 2 else None,
    )
    run = rows.FORMS[name]
    return compiler.spending(lambda frame: run(form, frame))


_CODES: dict[str, Callable[["Compiler", ast.Call, int], Code]] = {
    "now": _now,
    "has": _has,
    "default": _default,
    **{name: partial(_collection, name) for name in rows.FORMS},
}
