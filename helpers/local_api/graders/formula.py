"""The formula of a multi grader, such as ``0.5 * form + 0.5 * form * desk``."""

import ast
import math
import operator

OPERATORS = {  # OpenAI's guide "Graders"; ^ is its power
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS = {f.__name__: f for f in (min, max, abs, math.floor, math.ceil, math.exp, math.sqrt, math.log)}
LONGEST = 1_000  # characters


def parse(text: str, names: list[str]) -> ast.expr:
    """The formula, ready for ``calculate``. Raises ValueError with what it may hold."""
    if len(text) > LONGEST:
        raise ValueError(f"a formula has at most {LONGEST} characters.")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text[:80]!r} is no formula.") from None
    for node in ast.walk(tree):
        _refuse_unless_known(node, names)
    return tree


def _refuse_unless_known(node: ast.AST, names: list[str]) -> None:
    known = OPERATORS.keys() | {ast.Load, ast.BinOp, ast.UnaryOp}
    if type(node) in known or isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        if node.args and not node.keywords and not any(isinstance(a, ast.Starred) for a in node.args):
            return
    if isinstance(node, ast.Name) and node.id in {*names, *FUNCTIONS}:
        return
    what = f"{node.id!r}" if isinstance(node, ast.Name) else f"{ast.unparse(node)[:80]!r}"
    raise ValueError(
        f"{what} is not known in a formula. It may have numbers, the names of the graders ({', '.join(names)}), "
        f"+ - * / ^ and {', '.join(FUNCTIONS)}."
    )


def calculate(tree: ast.expr, values: dict[str, float]) -> float:
    """The formula's value. Raises ValueError where it has none, as for a division by 0."""
    try:
        found = _value(tree, values)
    except (ArithmeticError, TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if isinstance(found, complex) or not math.isfinite(found):
        raise ValueError("it is not a number")
    return float(found)


def _value(node: ast.expr, values: dict[str, float]):
    if isinstance(node, ast.Constant):
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id not in values:
            raise TypeError(f"{node.id} is a function: write {node.id}(…)")
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand, values))
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
    return FUNCTIONS[node.func.id](*(_value(argument, values) for argument in node.args))
