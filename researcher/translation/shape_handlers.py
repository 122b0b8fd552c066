"""How the operations of torch.export that only rearrange are said in the operations of tensor programs."""

from researcher.translation.call import Call, Handler, Values

_MOST_PIECES = 64


def reshape(call: Call) -> int:
    call.skip("size", "dim")
    if call.shape() == tuple(call.tensor("self").shape):
        return call.ref("self")
    return call.emit("reshape", call.ref("self"), shape=call.shape())


def expand(call: Call) -> int:
    call.skip("size")
    return call.emit("expand", call.ref("self"), shape=call.shape())


def broadcast(call: Call) -> Values:
    return [call.emit("expand", ref, shape=call.shape(index)) for index, ref in enumerate(call.refs("tensors"))]


def permute(call: Call) -> int:
    return call.emit("permute", call.ref("self"), dims=call.dims("dims"))


def transpose(call: Call) -> int:
    order = list(range(call.tensor("self").ndim))
    first, second = call.dim("dim0"), call.dim("dim1")
    if order:
        order[first], order[second] = order[second], order[first]
    return call.emit("permute", call.ref("self"), dims=tuple(order))


def flipped(call: Call) -> int:
    return call.emit("permute", call.ref("self"), dims=tuple(reversed(range(call.tensor("self").ndim))))


def select(call: Call) -> int:
    dim = call.dim()
    return call.emit("select", call.ref("self"), dim=dim, index=call.get("index") % call.tensor("self").shape[dim])


def sliced(call: Call) -> int:
    dim = call.dim()
    start, end, step = slice(call.get("start"), call.get("end"), call.get("step")).indices(
        call.tensor("self").shape[dim]
    )
    return call.emit("slice", call.ref("self"), dim=dim, start=start, end=end, step=step)


def pieces(call: Call) -> Values:
    call.skip("split_size", "split_sizes")
    dim, start, pieces = call.dim(), 0, []
    for index in range(call.results()):
        end = start + call.shape(index)[dim]
        pieces.append(call.emit("slice", call.ref("self"), dim=dim, start=start, end=end, step=1))
        start = end
    return pieces


def unbind(call: Call) -> Values:
    return [call.emit("select", call.ref("self"), dim=call.dim(), index=index) for index in range(call.results())]


def joined(op: str) -> Handler:
    """cat or stack; of more pieces than one node takes, parts are joined first."""

    def handle(call: Call) -> int:
        dim = call.get("dim") % len(call.shape())
        pieces = [call.emit(op, *part, dim=dim) for part in _parts(call.refs("tensors"))]
        while len(pieces) > 1:
            pieces = [call.emit("cat", *part, dim=dim) for part in _parts(pieces)]
        return pieces[0]

    return handle


def _parts(pieces: list[int]) -> list[list[int]]:
    return [pieces[start : start + _MOST_PIECES] for start in range(0, len(pieces), _MOST_PIECES)]


def flip(call: Call) -> int:
    """Backwards along dimensions, by positions that are gathered."""
    result, shape = call.ref("self"), call.shape()
    for dim in call.dims("dims"):
        last = call.literal(shape[dim] - 1)
        order = call.emit("sub", last, call.emit("arange", count=shape[dim]))
        beside = tuple(size if place == dim else 1 for place, size in enumerate(shape))
        order = call.emit("expand", call.emit("reshape", order, shape=beside), shape=shape)
        result = call.emit("gather", result, order, dim=dim)
    return result
