"""What source may do that an owner should hear of: modules, built-in names and attributes, each with its weight."""

from collections.abc import Mapping
from typing import NamedTuple

from policies.review.findings import Check, Severity


class Danger(NamedTuple):
    """What a name stands for: `does` completes «… is used here: it …»."""

    check: Check
    severity: Severity
    does: str


ASKS: Mapping[Check, str] = {
    "unreadable": "Ask for a file that Python can parse, split into shorter ones if it is long.",
    "size": "Ask for a shorter file, or for a word on what its parts do.",
    "import": "Ask which of its functions is needed, and whether numpy, pandas or scikit-learn would do.",
    "name": "Ask what it is needed for here.",
    "input-output": "Ask what is read or written here, why, and whether it holds rows of the data.",
    "dynamic-code": "Ask for the same thing written out, so that what runs can be read.",
    "reflection": "Ask why the analysis has to look into Python itself; it seldom has to.",
    "hidden-text": "Ask for the line as plain text, one statement a line.",
    "obfuscation": "Ask what this says, and for the readable form it was made from.",
    "memorising": "Ask for a smaller layer, or for why one this large suits so few people.",
    "program": "Ask what it is for.",
}


def _each(danger: Danger, names: str) -> dict[str, Danger]:
    return dict.fromkeys(names.split(), danger)


_SYSTEM = Danger("input-output", "high", "reaches into the machine: its files, processes or environment")
_PROCESS = Danger("input-output", "high", "starts or steers other programs")
_NETWORK = Danger("input-output", "high", "opens a connection; there is no network here, and an analysis needs none")
_FILES = Danger("input-output", "medium", "handles files other than by reading a data set and writing outputs")
_PICKLE = Danger("dynamic-code", "high", "can run code that is hidden in the data it loads")
_CODE = Danger("dynamic-code", "high", "makes or loads code while it runs, so that what runs cannot be read here")
_NATIVE = Danger("dynamic-code", "high", "calls machine code or raw memory, past everything that Python checks")
_INSIDE = Danger("reflection", "high", "looks into Python's own workings, the way out of a restricted program")
_LOOK = Danger("reflection", "medium", "looks names up while it runs, so that which ones cannot be read here")
_DECODE = Danger("obfuscation", "medium", "turns unreadable text or bytes into something else")
_ASIDE = Danger("input-output", "medium", "runs things beside each other, or later")
_WRITES = Danger("input-output", "low", "writes a file")

MODULES: Mapping[str, Danger] = {
    **_each(_SYSTEM, "os posix nt sys platform pwd grp resource fcntl termios syslog getpass site sysconfig"),
    **_each(_PROCESS, "subprocess multiprocessing pty signal webbrowser posixpath _posixsubprocess"),
    **_each(
        _NETWORK,
        "socket ssl http urllib urllib3 requests httpx aiohttp ftplib smtplib poplib imaplib telnetlib "
        "xmlrpc socketserver "
        "paramiko websockets boto3 distributed select selectors _socket",
    ),
    **_each(_FILES, "io shutil tempfile glob fileinput sqlite3 zipfile tarfile dbm logging sqlalchemy h5py fsspec"),
    **_each(_PICKLE, "pickle _pickle cPickle dill cloudpickle joblib shelve marshal jsonpickle copyreg"),
    **_each(_CODE, "importlib imp pkgutil runpy code codeop builtins __builtin__ zipimport ast compileall pip"),
    **_each(_NATIVE, "ctypes _ctypes cffi mmap ctypeslib cpp_extension f2py numba cython"),
    **_each(_INSIDE, "inspect gc dis types opcode traceback linecache tracemalloc faulthandler bdb pdb"),
    **_each(_DECODE, "base64 binascii codecs zlib gzip bz2 lzma quopri uu"),
    **_each(_ASIDE, "threading _thread asyncio concurrent sched atexit weakref"),
}
"""Modules, and attributes that are such modules: `numpy.lib.format.os` is as good as `os`."""

BUILTINS: Mapping[str, Danger] = {
    **_each(_CODE, "eval exec compile __import__ __builtins__ __loader__ __spec__ breakpoint"),
    **_each(_LOOK, "globals locals vars setattr delattr dir"),
    **_each(Danger("input-output", "medium", "waits for a person to type; nobody will"), "input"),
    **_each(_DECODE, "chr bytearray memoryview"),
}
"""Python's own names; `open` and `getattr` are judged by what they are given."""

ATTRIBUTES: Mapping[str, Danger] = {
    **_each(
        _INSIDE,
        "__subclasses__ __globals__ __builtins__ __code__ __closure__ __bases__ __base__ __mro__ __dict__ __import__ "
        "__getattribute__ __reduce__ __reduce_ex__ __loader__ __self__ __wrapped__ __func__ "
        "__traceback__ __subclasshook__ "
        "__defaults__ __kwdefaults__ f_back f_globals f_locals f_builtins f_code gi_frame gi_code "
        "cr_frame cr_code ag_frame "
        "tb_frame tb_next func_globals _getframe",
    ),
    **_each(_LOOK, "__class__ __getattr__ __setattr__ __module__ attrgetter methodcaller"),
    **_each(Danger("reflection", "medium", "runs by itself when Python forgets an object"), "__del__"),
    **_each(
        _PROCESS,
        "system popen Popen fork forkpty execv execve execl execlp execvp spawnl spawnv posix_spawn "
        "startfile kill"
    ),
    **_each(_NETWORK, "urlopen urlretrieve sendall sendto create_connection load_state_dict_from_url getaddrinfo"),
    **_each(_PICKLE, "read_pickle to_pickle Unpickler"),
    **_each(_NATIVE,
        "memmap open_memmap as_ctypes frombuffer data_ptr from_blob from_file CDLL load_library as_strided"),
    **_each(_CODE, "import_module load_module exec_module find_spec"),
    **_each(Danger("input-output", "high", "reads or writes a database, a clipboard or a web page"),
            "read_sql read_sql_query read_sql_table to_sql read_html read_clipboard to_clipboard to_gbq read_gbq"),
    **_each(Danger("input-output", "medium", "changes or lists files"),
            "unlink rmtree rmdir symlink_to hardlink_to chmod iterdir rglob touch read_bytes environ fromfile tofile"),
    **_each(_WRITES,
            "to_csv to_parquet to_json to_excel to_feather to_hdf to_html to_markdown to_latex to_stata savefig imsave "
            "write_text write_bytes writelines savetxt savez savez_compressed mkdir"),
    **_each(_DECODE, "fromhex b64decode b32decode b85decode unhexlify decompress"),
}  # fmt: skip
"""Attributes of whatever object; those between underscores that are neither here nor harmless are named too."""

DOTTED: Mapping[str, Danger] = {
    **_each(_PICKLE, "torch.load torch.save torch.package torch.jit pandas.read_pickle"),
    **_each(_NETWORK, "torch.hub torch.distributed sklearn.datasets"),
    **_each(
        _CODE,
        "torch.ops torch.classes torch.compile torch.library torch.fx torch.utils torch.export pandas.eval "
        "typing.get_type_hints",
    ),
    **_each(
        _NATIVE, "torch.UntypedStorage torch.from_file torch.frombuffer numpy.frombuffer numpy.memmap numpy.ctypeslib"
    ),
    **_each(
        _FILES,
        "numpy.load numpy.fromfile numpy.genfromtxt numpy.loadtxt pandas.ExcelWriter pandas.HDFStore pandas.read_excel",
    ),
    **_each(_WRITES, "numpy.save numpy.savez numpy.savetxt numpy.savez_compressed json.dump csv.writer"),
    "torch.utils.data": Danger("name", "low", "loads and batches records, which the site does itself"),
    **_each(_LOOK, "operator.attrgetter operator.methodcaller"),
}
"""Names by their full path; whatever lies below one counts as that one."""


KEYWORDS: Mapping[str, object] = {
    "allow_pickle": True,
    "weights_only": False,
    "trust_remote_code": True,
    "shell": True,
    "engine": "python",
}
"""Arguments, and the value with which a harmless function runs code that came as data."""


def is_dangerous_word(word: str) -> bool:
    """Whether a name put together from pieces would be one of those that are told."""
    return word in BUILTINS or word in MODULES or word in ATTRIBUTES or word in ("getattr", "open")
