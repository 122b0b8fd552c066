"""Programs with one convolution or pooling over an 8 × 8 image, whose options and inputs attacks change."""

from policies.programs.format import Input, Node, Option, Output, Program

INPUTS = (
    Input(name="weight", kind="parameter", shape=(2, 1, 3, 3), dtype="float32"),
    Input(name="feature", kind="feature", shape=(64,), dtype="float32"),
    Input(name="target", kind="target", shape=(), dtype="int64"),
)
IMAGE = Node(op="reshape", args=(1,), kwargs={"shape": (1, 1, 8, 8)})
CONVOLUTION: dict[str, Option] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
MAXIMUM: dict[str, Option] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
MEAN: dict[str, Option] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "count_padding": True}


def program(*nodes: Node, inputs: tuple[Input, ...] = INPUTS) -> Program:
    """The nodes, and the sum of the last one's result."""
    last = len(inputs) + len(nodes)
    total = Node(op="sum", args=(last - 1,), kwargs={"dims": (), "keep": False})
    outputs = (Output(name="loss", ref=last),)
    return Program(version="cloister-program/1", inputs=inputs, nodes=(*nodes, total), outputs=outputs)


def convolved(**changes: Option) -> Program:
    """A program whose one convolution has other options."""
    return program(IMAGE, Node(op="conv2d", args=(3, 0), kwargs={**CONVOLUTION, **changes}))


def pooled(op: str, **changes: Option) -> Program:
    """A program whose one pooling `op` has other options."""
    options = MAXIMUM if op == "max_pool2d" else MEAN
    return program(IMAGE, Node(op=op, args=(3,), kwargs={**options, **changes}))


def full(*shape: int) -> Node:
    """Ones."""
    return Node(op="full", args=(), kwargs={"shape": shape, "value": 1, "dtype": "float32"})
