"""How tests written for `unittest` run inside a process that has to report: their `main` must not end it."""

import ast
import unittest

from qharness.plugins.languages.python_calls import Gone
from qharness.plugins.languages.python_values import CannotCross

_FINAL = (SystemExit, Gone, CannotCross)


class UnittestMain(ast.NodeTransformer):
    """Puts `statement` in the place of `unittest.main()`, which exits when it succeeds."""

    def __init__(self, statement):
        self._statement = statement

    def visit_Expr(self, node):
        match node.value:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="unittest"), attr="main")):
                replaced = ast.parse(self._statement).body[0]
                return ast.fix_missing_locations(ast.copy_location(replaced, node))
        return node


class UnittestResult(unittest.TextTestResult):
    """Collects the tests' results, and raises what is the end of the program or of its process."""

    def addError(self, test, error, final=_FINAL, add=unittest.TextTestResult.addError):
        if isinstance(error[1], final):
            raise error[1]
        add(self, test, error)
