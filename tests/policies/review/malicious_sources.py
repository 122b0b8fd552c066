"""Attack idioms, one a line: each must be told at its line, whatever else is told."""

SOURCES = {
    "imports": '''
import os
import subprocess as s
from socket import socket
import ctypes
import pickle
from importlib import import_module
from urllib.request import urlopen
import some_package_of_mine
from torch.utils.cpp_extension import load_inline
import numpy.lib.npyio
from builtins import *
''',
    "calls": '''
eval("1 + 1")
exec("print(1)")
__import__("shutil")
compile("1", "x", "eval")
getattr(object, input_name)
getattr(object, "__subclasses__")
globals()["x"] = 1
().__class__.__bases__
object.__subclasses__()
(lambda: 0).__globals__
type("Made", (), {})
open("/etc/passwd")
"{0.__init__.__globals__}".format(object)
frame.f_back
breakpoint()
table.query("@pd.io.common.os.system('id')")
table.eval("x = 1")
table.to_pickle("outputs/model")
print("https://example.org/collect")
model.apply(lambda module: module.__reduce__())
''',
    "libraries": '''
import torch, random, json, numpy as np, pandas as pd, operator
torch.load("model.pt")
torch.hub.load("owner/repository", "model")
torch.ops.load_library("x")
np.memmap("/proc/self/mem")
np.load("x.npy", allow_pickle=True)
random._os.getcwd()
json.codecs.open("x")
np.lib.format.os.listdir(".")
torch.nn.functional.torch.load("x")
torch.nn.modules.module.torch.hub
json.decoder.scanner.sys.exit()
np.testing.np.ctypeslib
pd.read_pickle("x")
pd.io.common.urlopen("x")
operator.attrgetter("x.y")
np.ctypeslib.load_library("libc", "/")
''',
    "renamed": '''
import torch, random
e = eval
e("1")
f = random._os.system
f("id")
a, b = torch.load, exec
b("1")
a("x")
def g(run=eval, text="1"): return run(text)
h = (hidden := __import__)("os")
class E(metaclass=Made): pass
''',
    "texts": '''
name = "__glo" + "bals__"
name = "".join(["e", "v", "a", "l"])
name = "lave"[::-1]
name = f"{'ex'}{'ec'}"
name = chr(101) + chr(118)
blob = "aW1wb3J0IG9zCm9zLnN5c3RlbSgnaWQnKQppbXBvcnQgc3VicHJvY2VzcwpzdWJwcm9jZXNzLnJ1bihbJ2lkJ10p"
blob = b"\\x90\\x90\\x90\\x90\\xcc\\xcc\\x00\\xff\\xfe\\x80\\x90\\x90\\x90\\x90\\xcc\\xcc"
blob = bytes.fromhex("00ff")
text = "\\u202e"
OO00 = 1
Il1l = 2
____ = 3
''',
    "hidden": (
        "\nx = 1" + " " * 80 + "; y = 2\n"
        "p\u0430ssword = 1\n"
        "\uff45val = 2\n"
        "note = 1  # \u202e } nimda fi {\n"
        "other = 1  # a\u200bb\n"
        "long = 1  # " + "x" * 400 + "\n"
    ),
}  # fmt: skip
