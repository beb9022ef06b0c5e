"""From syntax tree to closures: every node is checked against a whitelist, nothing else is compiled."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from workflows_app.dag import forms, functions, jsontext, syntax
from workflows_app.dag import operations as ops
from workflows_app.dag.evaluation import Code, Frame, Generate, generator, item_of, key_of, read_name
from workflows_app.dag.operations import MAX_DEPTH, Budget, ExpressionSyntaxError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name with the constant part of what is read from it, such as `("nodes", "rsi", "value")`.

    `guarded` where absence is allowed for: inside `has()` and the first argument of `default()`.
    """

    path: tuple[str, ...]
    guarded: bool
    position: int


_CONSTANTS = {"null": None, "true": True, "false": False}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_ORDER: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Compiler:
    """Turns whitelisted nodes into closures and collects the references on the way."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.references: list[Reference] = []
        self.bound: frozenset[str] = frozenset()
        self.guarded = False
        # Inside a comprehension, or inside of what is computed anew for every item of a list.
        self.comprehending = False
        self.repeating = False

    def code(self, node: ast.AST, depth: int) -> Code:
        if depth > MAX_DEPTH:
            raise ExpressionSyntaxError(f"The expression is nested deeper than {MAX_DEPTH} levels.")
        method = _METHODS.get(type(node))
        if method is None:
            raise self.refused(node)
        return method(self, node, depth + 1)

    def refused(self, node: ast.AST) -> ExpressionSyntaxError:
        return ExpressionSyntaxError(syntax.why_not(node), position=self.position(node))

    def position(self, node: ast.AST) -> int | None:
        offset = getattr(node, "col_offset", None)
        return None if offset is None else syntax.characters(self.source, offset)

    def text(self, node: ast.expr) -> str:
        """The node's own source."""
        return self.source.encode()[node.col_offset : node.end_col_offset].decode("utf-8", "replace")

    def constant(self, node: ast.Constant, _depth: int) -> Code:
        value = node.value
        if type(value) in (int, float):
            value = self.number(node)
        elif isinstance(value, str):
            if "\0" in value or (not value.isprintable() and re.search("[\ud800-\udfff]", value)):
                raise ExpressionSyntaxError("Text must not hold U+0000 or lone surrogates.")
        elif value is not None and not isinstance(value, bool):
            raise ExpressionSyntaxError(f"{_shown(self.text(node))} is no JSON value.", position=self.position(node))
        return lambda _frame: value

    def number(self, node: ast.Constant) -> object:
        spelling = self.text(node)
        if not _NUMBER.fullmatch(spelling):
            raise ExpressionSyntaxError(
                f"{_shown(spelling)} is no number in JSON's spelling.", position=self.position(node)
            )
        try:
            return jsontext.loads(spelling)
        except jsontext.JsonError as error:
            raise ExpressionSyntaxError(str(error), position=self.position(node)) from None

    def name(self, node: ast.Name, _depth: int) -> Code:
        name = self.checked_name(node.id, node)
        if name in self.bound:
            return lambda frame: frame.names[name]
        if name in _CONSTANTS:
            constant = _CONSTANTS[name]
            return lambda _frame: constant
        self.refer((name,), node)
        return read_name(name)

    def spending(self, code: Code) -> Code:
        """The same, paid for: what needs no operator of its own is not free of charge in a comprehension."""

        def pay(frame: Frame) -> object:
            frame.budget.spend(1)
            return code(frame)

        return pay

    def checked_name(self, name: str, node: ast.expr) -> str:
        # Python's parser normalises names: what looks like another name in the source is refused as well.
        if name.startswith("__") or not name.isascii() or not self.text(node).isascii():
            raise ExpressionSyntaxError(
                f"The name {_shown(name)} is not allowed: use ASCII letters, digits and single underscores in front.",
                position=self.position(node),
            )
        return name

    def refer(self, path: tuple[str, ...], node: ast.AST) -> None:
        position = self.position(node) or 0
        self.references.append(Reference(path=path, guarded=self.guarded, position=position))

    def attribute(self, node: ast.Attribute, depth: int) -> Code:
        return self.access(node, node.value, self.checked_name(node.attr, node), depth)

    def subscript(self, node: ast.Subscript, depth: int) -> Code:
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return self.access(node, node.value, node.slice.value, depth)
        container = self.code(node.value, depth)
        index = self.code(node.slice, depth)
        path = self.text(node.value)
        return self.spending(lambda frame: item_of(container(frame), index(frame), path))

    def access(self, node: ast.expr, value: ast.expr, key: str, depth: int) -> Code:
        """`value.key`: one closure, and one longer reference where `value` is one already."""
        before = len(self.references)
        container = self.code(value, depth)
        if len(self.references) > before and syntax.is_static(value):
            last = self.references.pop()
            self.refer((*last.path, key), node)
        path = self.text(value)

        def read(frame: Frame) -> object:
            frame.budget.spend(1)
            return item_of(container(frame), key, path)

        return read

    def binary(self, node: ast.BinOp, depth: int) -> Code:
        sign = _BINARY.get(type(node.op))
        if sign is None:
            raise self.refused(node.op)
        left, right = self.code(node.left, depth), self.code(node.right, depth)

        def operate(frame: Frame) -> object:
            frame.budget.spend(1)
            return ops.binary(sign, left(frame), right(frame), frame.budget)

        return operate

    def unary(self, node: ast.UnaryOp, depth: int) -> Code:
        operand = self.code(node.operand, depth)
        match node.op:
            case ast.Not():
                return self.spending(lambda frame: not operand(frame))
            case ast.USub():
                return self.spending(lambda frame: ops.negate(operand(frame)))
            case ast.UAdd():
                return self.spending(lambda frame: ops.plus(operand(frame)))
            case _:
                raise self.refused(node.op)

    def boolean(self, node: ast.BoolOp, depth: int) -> Code:
        operands = [self.code(value, depth) for value in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def decide(frame: Frame) -> object:
            result: object = None
            for operand in operands:
                frame.budget.spend(1)
                result = operand(frame)
                if bool(result) is stops_at:
                    return result
            return result

        return decide

    def comparison(self, node: ast.Compare, depth: int) -> Code:
        first = self.code(node.left, depth)
        rest = [
            (self.comparator(sign), self.code(operand, depth))
            for sign, operand in zip(node.ops, node.comparators, strict=True)
        ]

        def compare(frame: Frame) -> bool:
            left = first(frame)
            for comparator, operand in rest:
                frame.budget.spend(1)
                right = operand(frame)
                if not comparator(left, right, frame.budget):
                    return False
                left = right
            return True

        return compare

    def comparator(self, sign: ast.cmpop) -> Callable[[object, object, Budget], bool]:
        match sign:
            case ast.Eq():
                return ops.equal
            case ast.NotEq():
                return lambda left, right, budget: not ops.equal(left, right, budget)
            case ast.In():
                return lambda left, right, budget: ops.contains(right, left, budget)
            case ast.NotIn():
                return lambda left, right, budget: not ops.contains(right, left, budget)
            case ast.Is() | ast.IsNot():
                raise ExpressionSyntaxError("Compare with == and !=, not with `is`.")
            case _:
                spelled = _ORDER[type(sign)]
                return lambda left, right, budget: ops.order(spelled, left, right, budget)

    def choice(self, node: ast.IfExp, depth: int) -> Code:
        test, then = self.code(node.test, depth), self.code(node.body, depth)
        otherwise = self.code(node.orelse, depth)

        def choose(frame: Frame) -> object:
            frame.budget.spend(1)
            return then(frame) if test(frame) else otherwise(frame)

        return choose

    def list_(self, node: ast.List, depth: int) -> Code:
        items = [self.code(item, depth) for item in node.elts]

        def build(frame: Frame) -> object:
            frame.budget.spend(1 + len(items))
            return [ops.plain(item(frame), frame.budget) for item in items]

        return build

    def dict_(self, node: ast.Dict, depth: int) -> Code:
        if any(key is None for key in node.keys):
            raise ExpressionSyntaxError("** is not part of the language.", position=self.position(node))
        keys = [self.code(cast(ast.expr, key), depth) for key in node.keys]
        values = [self.code(value, depth) for value in node.values]

        def build(frame: Frame) -> object:
            frame.budget.spend(1 + len(keys))
            return {
                key_of(key(frame)): ops.plain(value(frame), frame.budget)
                for key, value in zip(keys, values, strict=True)
            }

        return build

    def call(self, node: ast.Call, depth: int) -> Code:
        if not isinstance(node.func, ast.Name):
            raise ExpressionSyntaxError(
                "Only functions can be called, no methods: write lower(x), not x.lower().",
                position=self.position(node),
            )
        name = self.checked_name(node.func.id, node.func)
        if node.keywords:
            raise ExpressionSyntaxError(f"{name}() takes no named arguments.", position=self.position(node))
        if name not in functions.FUNCTIONS and name not in functions.SPECIAL_FUNCTIONS:
            raise ExpressionSyntaxError(functions.unknown(name), position=self.position(node))
        if (problem := functions.wrong_count(name, len(node.args))) is not None:
            raise ExpressionSyntaxError(problem, position=self.position(node))
        if name in functions.SPECIAL_FUNCTIONS:
            return forms.code_of(self, name, node, depth)
        if name in functions.OF_GENERATORS and isinstance(node.args[0], ast.GeneratorExp) and len(node.args) == 1:
            return self.call_of_generator(name, node.args[0], depth)
        arguments = [self.code(argument, depth) for argument in node.args]

        def call(frame: Frame) -> object:
            frame.budget.spend(2)
            return functions.call(name, [argument(frame) for argument in arguments], frame.budget)

        return call

    def call_of_generator(self, name: str, node: ast.GeneratorExp, depth: int) -> Code:
        """`any` and `all` stop at the first item that decides, as Python's do; the others take a list."""
        generate = self.comprehension(node, depth)
        if name not in ("any", "all"):
            return self.spending(lambda frame: functions.call(name, [list(generate(frame))], frame.budget))
        decisive = name == "any"

        def decide(frame: Frame) -> object:
            frame.budget.spend(1)
            return decisive if any(bool(item) is decisive for item in generate(frame)) else not decisive

        return decide

    def list_comprehension(self, node: ast.ListComp, depth: int) -> Code:
        generate = self.comprehension(node, depth)
        return lambda frame: list(generate(frame))

    def dict_comprehension(self, node: ast.DictComp, depth: int) -> Code:
        generate = self.comprehension(node, depth)
        return lambda frame: dict(cast("Iterator[tuple[str, object]]", generate(frame)))

    def generator(self, node: ast.GeneratorExp, _depth: int) -> Code:
        known = ", ".join(sorted(functions.OF_GENERATORS))
        reason = f"A comprehension stands in brackets, [x for x in items], or alone in a call of {known}."
        raise ExpressionSyntaxError(reason, position=self.position(node))

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp, depth: int) -> Generate:
        if self.comprehending or self.repeating or len(node.generators) != 1:
            raise ExpressionSyntaxError(
                "A comprehension has one `for`, and no comprehension inside.", position=self.position(node)
            )
        (clause,) = node.generators
        if clause.is_async:
            raise self.refused(node)
        self.comprehending = True
        source = self.code(clause.iter, depth)
        names = self.targets(clause.target)
        conditions, item = self.repeated(
            lambda: ([self.code(condition, depth) for condition in clause.ifs], self.item(node, depth)), names
        )
        self.comprehending = False
        return generator(names, (source, self.text(clause.iter)), conditions, item)

    def repeated[T](self, compile_: Callable[[], T], names: tuple[str, ...]) -> T:
        """Compile what is computed anew for every item, under these names."""
        outer, self.bound, self.repeating = self.bound, self.bound | set(names), True
        compiled = compile_()
        self.bound, self.repeating = outer, False
        return compiled

    def item(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp, depth: int) -> Code:
        if not isinstance(node, ast.DictComp):
            element = self.code(node.elt, depth)
            return lambda frame: ops.plain(element(frame), frame.budget)
        key, value = self.code(node.key, depth), self.code(node.value, depth)
        return lambda frame: (key_of(key(frame)), ops.plain(value(frame), frame.budget))

    def targets(self, target: ast.expr) -> tuple[str, ...]:
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        if not all(isinstance(name, ast.Name) for name in names):
            raise ExpressionSyntaxError("A comprehension's target is a name, or names.", position=self.position(target))
        if not names or any(cast(ast.Name, name).id in _CONSTANTS for name in names):
            raise ExpressionSyntaxError("A comprehension's target is a new name.", position=self.position(target))
        return tuple(self.checked_name(cast(ast.Name, name).id, name) for name in names)


_METHODS: dict[type[ast.AST], Callable[[Compiler, Any, int], Code]] = {
    ast.Constant: Compiler.constant,
    ast.Name: Compiler.name,
    ast.Attribute: Compiler.attribute,
    ast.Subscript: Compiler.subscript,
    ast.BinOp: Compiler.binary,
    ast.UnaryOp: Compiler.unary,
    ast.BoolOp: Compiler.boolean,
    ast.Compare: Compiler.comparison,
    ast.IfExp: Compiler.choice,
    ast.List: Compiler.list_,
    ast.Dict: Compiler.dict_,
    ast.Call: Compiler.call,
    ast.ListComp: Compiler.list_comprehension,
    ast.GeneratorExp: Compiler.generator,
    ast.DictComp: Compiler.dict_comprehension,
}


def _shown(text: str) -> str:
    return f"'{ops.shortened(text)}'"
