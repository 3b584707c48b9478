"""Programs that try to pass cases without computing what is expected. None may pass a stage."""

from __future__ import annotations

from qharness import Cases

ANSWERS = Cases(
    "f",
    "[[a, b] for a in range(2, 12) for b in range(3, 13)]",
    "[a * 31 + b * 17 for a in range(2, 12) for b in range(3, 13)]",
    (("base", 0), ("plus", 10)),
)
"""Outputs that no constant and no argument equals."""

FORGED = {
    "an object equal to all": """
class E:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def f(a, b): return E()
""",
    "an integer equal to all": """
class E(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(a, b): return E(0)
""",
    "a list equal to all": """
class E(list):
    def __eq__(self, other): return True
def f(a, b): return E()
""",
    "an object that says it is an integer": """
class E:
    __class__ = property(lambda self: int)
    def __eq__(self, other): return True
    def __index__(self): return 113
def f(a, b): return E()
""",
    "an iterator of many answers": """
def f(a, b): return iter(range(1000))
""",
    "leaving at once": """
import os
os._exit(0)
""",
    "leaving in the call": """
def f(a, b): raise SystemExit(0)
""",
    "leaving with a handler": """
import atexit, sys
def f(a, b):
    atexit.register(print, 'passed')
    sys.exit(0)
""",
    "an answer of its own": r"""
import os
def f(a, b):
    os.write(3, b'["!",["t",["l","0"],null],[]]\n')
    os._exit(0)
""",
    "an answer without outputs": r"""
import os
os.write(3, b'["loaded",["l"],["d"]]\n["!",["t",["l"],null],[]]\n')
def f(a, b): return 0
""",
    "a report of a pass": r"""
import os
for number in range(64):
    try:
        os.write(number, b'["passed","",false,["base","plus"]]\n- passed\n')
    except OSError:
        pass
def f(a, b): return 0
""",
    "fingerprints that are all the same": """
import hashlib, marshal
class Print:
    def __init__(self, *a, **k): pass
    def hexdigest(self): return '0' * 32
hashlib.blake2b = Print
marshal.dumps = lambda *a: b''
def f(a, b): return 0
""",
    "what the frames hold": """
import sys
def f(a, b):
    frame, found = sys._getframe(1), []
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, (list, tuple)):
                found += [each for each in value if isinstance(each, int)]
        frame = frame.f_back
    return found[0] if found else None
""",
    "what the collector holds": """
def f(a, b):
    import gc
    for each in gc.get_objects():
        if isinstance(each, dict) and 'outputs' in each:
            return each['outputs'][0]
""",
    "a callback that it was not given": r"""
import json, os
os.write(3, b'["?","call",["l","outputs"]]\n')
def f(a, b): return 0
""",
    "the checker's own modules": """
def f(a, b):
    from qharness.plugins.languages import python_cases
    return python_cases._held[0].stages[0][1][0].outputs[0]
""",
    "an input that changes": """
def f(a, b):
    import sys
    frame = sys._getframe(1)
    frame.f_locals['arguments'][:] = [0, 0]
    return 0
""",
    "a child that goes on": """
import os
def f(a, b):
    if os.fork() == 0:
        return 0
    os._exit(0)
""",
    "a replaced encoder": """
import json
json.dumps = lambda *a, **k: '[113]'
json.loads = lambda *a, **k: [113]
def f(a, b): return object()
""",
    "nothing that is a number": """
def f(a, b): return float('nan')
""",
    "a length that lies": """
class E(tuple):
    def __len__(self): return 0
    def __iter__(self): return iter([113])
def f(a, b): return E()
""",
    "an exception that agrees": """
class E(Exception):
    def __eq__(self, other): return True
def f(a, b): raise E(113)
""",
    "silence": """
def f(a, b):
    import os
    os.close(3)
""",
    "nonsense": r"""
import os
def f(a, b):
    os.write(3, b'\x00' * 1000 + b'\n')
""",
    "more nesting than there is room": """
def f(a, b):
    x = []
    for _ in range(100000): x = [x]
    return x
""",
    "a value that holds itself": """
def f(a, b):
    x = []
    x.append(x)
    return x
""",
}  # fmt: skip
