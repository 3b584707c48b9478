"""Runs one program inside the sandbox. Its source is passed to the interpreter; nothing imports it.

The report descriptor is a private copy of standard output; what the program prints goes to standard error. The
names used after the program has run are bound before, so that a program that patches modules changes nothing here.
"""


def main():
    import ast
    import base64
    import os
    import sys
    import types

    report, pid, getpid, write, leave = os.dup(1), os.getpid(), os.getpid, os.write, os._exit
    os.dup2(2, 1)
    token, _, source, tests = (sys.stdin.buffer.readline().strip() for _ in range(4))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)

    def tell(status, error=None):
        if getpid() != pid:  # a child that the program forked has no say
            leave(0)
        text = "" if error is None else f"{type(error).__name__}: {error}"
        line = " ".join(text.split())[:300].encode("utf-8", "replace")
        write(report, b"%s %s %s\n" % (token, status, line))

    class ReportUnittest(ast.NodeTransformer):
        """`unittest.main()` exits when it succeeds; make it a call that returns, or raises what a test exits with."""

        def visit_Expr(self, node):
            match node.value:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="unittest"), attr="main")):
                    module.__dict__["__run_unittest__"] = run_unittest
                    return ast.copy_location(ast.parse("__run_unittest__()").body[0], node)
            return node

    def run_unittest():
        import unittest

        class Result(unittest.TextTestResult):
            def addError(self, test, error):
                if issubclass(error[0], SystemExit):
                    raise error[1]
                super().addError(test, error)

        runner = unittest.TextTestRunner(resultclass=Result)
        assert unittest.main(argv=["tests"], exit=False, testRunner=runner).result.wasSuccessful(), "unittest"

    tell(b"started")
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        solution = compile(base64.b64decode(source).decode("utf-8", "surrogatepass"), "solution.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        tell(b"compile-error", error)
        leave(0)
    try:
        tree = ReportUnittest().visit(ast.parse(base64.b64decode(tests).decode("utf-8", "surrogatepass")))
        checks = compile(ast.fix_missing_locations(tree), "tests.py", "exec")
        exec(solution, module.__dict__)
        exec(checks, module.__dict__)
    except AssertionError as error:
        tell(b"failed", error)
    except MemoryError as error:
        tell(b"out-of-memory", error)
    except SystemExit as error:
        tell(b"early-exit", error)
    except BaseException as error:
        tell(b"error", error)
    else:
        tell(b"passed")
    leave(0)


main()
