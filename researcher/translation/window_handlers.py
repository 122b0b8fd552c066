"""How convolutions and pooling are said in tensor programs, which know images only: a sequence is an image one high."""

from collections.abc import Sequence

from researcher.translation.call import Call, Handler, Values

_MOST_SLICES = 64

Pair = tuple[int, int]


def convolution(rank: int) -> Handler:
    """conv1d or conv2d, padded by numbers or by one of torch's two words."""

    def handle(call: Call) -> int:
        kernel = _pair(call.tensor("weight").shape[2:], rank, 1)
        dilation, padding = _pair(call.get("dilation"), rank, 1), call.get("padding")
        if padding == "same":
            down, across = (apart * (size - 1) for apart, size in zip(dilation, kernel, strict=True))
            if down % 2 or across % 2:
                raise call.refusal("with padding='same' and an even kernel: use an odd kernel, or a number as padding")
            sides = (down // 2, across // 2)
        else:
            sides = (0, 0) if padding == "valid" else _pair(padding, rank, 0)
        operands = (_image(call, "input", rank), _image(call, "weight", rank), *call.optional("bias"))
        stride, groups = _pair(call.get("stride"), rank, 1), call.get("groups")
        result = call.emit("conv2d", *operands, stride=stride, padding=sides, dilation=dilation, groups=groups)
        return _restored(call, result, rank)

    return handle


def max_pool(rank: int) -> Handler:
    def handle(call: Call) -> int:
        source, (kernel, stride, padding) = _image(call, "self", rank), _windows(call, rank)
        dilation = _pair(call.get("dilation"), rank, 1)
        result = call.emit("max_pool2d", source, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        return _restored(call, result, rank)

    return handle


def average_pool(rank: int) -> Handler:
    def handle(call: Call) -> int:
        source, (kernel, stride, padding) = _image(call, "self", rank), _windows(call, rank)
        counted = call.get("count_include_pad")
        result = call.emit("avg_pool2d", source, kernel=kernel, stride=stride, padding=padding, count_padding=counted)
        return _restored(call, result, rank)

    return handle


def adaptive_average(rank: int) -> Handler:
    """Means over equal windows; where they differ in size, of rows and then of columns, window by window."""

    def handle(call: Call) -> int:
        source, (size, wanted) = _image(call, "self", rank), _adaptive(call, rank)
        if not _divides(wanted, size):
            if max(wanted) > _MOST_SLICES:
                raise call.refusal(f"to more than {_MOST_SLICES} windows of different sizes: use a size that divides")
            down = _mean_windows(call, source, 2, size[0], wanted[0])
            return _restored(call, _mean_windows(call, down, 3, size[1], wanted[1]), rank)
        kernel = (size[0] // wanted[0], size[1] // wanted[1])
        result = call.emit("avg_pool2d", source, kernel=kernel, stride=kernel, padding=(0, 0), count_padding=True)
        return _restored(call, result, rank)

    return handle


def adaptive_maximum(rank: int) -> Handler:
    def handle(call: Call) -> Values:
        source, (size, wanted) = _image(call, "self", rank), _adaptive(call, rank)
        if not _divides(wanted, size):
            raise call.refusal("to windows of different sizes: use a size that divides the input's")
        kernel = (size[0] // wanted[0], size[1] // wanted[1])
        result = call.emit("max_pool2d", source, kernel=kernel, stride=kernel, padding=(0, 0), dilation=(1, 1))
        return [_restored(call, result, rank, 0)]

    return handle


def constant_padding(call: Call) -> int:
    """Blocks of one number, joined on dimension by dimension, the last one first."""
    sides = call.get("pad")
    if call.get("mode") != "constant" or min(sides, default=0) < 0:
        raise call.refusal("that repeats, reflects or cuts off: use constant padding, or slices")
    result, shape, number = call.ref("self"), list(call.tensor("self").shape), call.get("value") or 0
    for place in range(len(sides) // 2):
        dim = len(shape) - 1 - place
        pieces = [result]
        for width, index in ((sides[2 * place], 0), (sides[2 * place + 1], 2)):
            if width:
                block = (*shape[:dim], width, *shape[dim + 1 :])
                pieces.insert(index, call.emit("full", shape=block, value=number, dtype=call.dtype()))
        result = call.emit("cat", *pieces, dim=dim) if len(pieces) > 1 else result
        shape[dim] += sides[2 * place] + sides[2 * place + 1]
    return result


def _image(call: Call, name: str, rank: int) -> int:
    shape = tuple(call.tensor(name).shape)
    if len(shape) != rank + 2:
        raise call.refusal(f"on {len(shape)} dimensions: keep the batch's, such as x.reshape(len(x), 1, 8, 8)")
    ref = call.ref(name)
    return ref if rank == 2 else call.emit("reshape", ref, shape=(*shape[:2], 1, shape[2]))


def _restored(call: Call, ref: int, rank: int, index: int | None = None) -> int:
    return ref if rank == 2 else call.emit("reshape", ref, shape=call.shape(index))


def _windows(call: Call, rank: int) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride (torch's default is the kernel) and padding."""
    kernel = _pair(call.get("kernel_size"), rank, 1)
    return kernel, _pair(call.get("stride") or kernel[2 - rank :], rank, 1), _pair(call.get("padding"), rank, 0)


def _adaptive(call: Call, rank: int) -> tuple[Pair, Pair]:
    """The input's size, and how many windows are wanted."""
    return _pair(call.tensor("self").shape[2:], rank, 1), _pair(call.get("output_size"), rank, 1)


def _divides(wanted: Pair, size: Pair) -> bool:
    return size[0] % wanted[0] == 0 and size[1] % wanted[1] == 0


def _mean_windows(call: Call, source: int, dim: int, size: int, wanted: int) -> int:
    means = []
    for place in range(wanted):
        start, end = place * size // wanted, -(-(place + 1) * size // wanted)
        piece = call.emit("slice", source, dim=dim, start=start, end=end, step=1)
        means.append(call.emit("mean", piece, dims=(dim,), keep=True))
    return call.emit("cat", *means, dim=dim)


def _pair(value: int | Sequence[int], rank: int, neutral: int) -> Pair:
    """Down and across; in a sequence `neutral`, which changes nothing, stands for down."""
    numbers = [value] * rank if isinstance(value, int) else list(value) * (rank if len(value) == 1 else 1)
    return (neutral, numbers[0]) if rank == 1 else (numbers[0], numbers[1])
