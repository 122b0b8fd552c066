"""How each operation that torch.export writes is said in the operations of tensor programs: one handler a form."""

from math import prod

import torch

from researcher.translation.call import Call, Handler, Values

_REDUCTIONS = ("none", "mean", "sum")


def unary(op: str) -> Handler:
    return lambda call: call.emit(op, call.ref("self"))


def binary(op: str, second: str = "other") -> Handler:
    return lambda call: call.emit(op, call.ref("self"), call.ref(second))


def boolean(op: str) -> Handler:
    def handle(call: Call) -> int:
        if call.dtype() != "bool":
            raise call.refusal("on numbers: bit operations are allowed on booleans only")
        return call.emit(op, call.ref("self"), call.ref("other"))

    return handle


def negation(call: Call) -> int:
    if call.dtype() != "bool":
        raise call.refusal("on numbers: bit operations are allowed on booleans only")
    return call.emit("logical_not", call.ref("self"))


def alias(call: Call) -> int:
    return call.ref("self")


def reversed_subtraction(call: Call) -> int:
    return call.emit("sub", call.ref("other"), call.ref("self"))


def where(call: Call) -> int:
    return call.emit("where", call.ref("condition"), call.ref("self"), call.ref("other"))


def masked_fill(call: Call) -> int:
    chosen = call.emit("where", call.ref("mask"), call.ref("value"), call.ref("self"))
    return chosen if call.dtype() == "float32" else call.emit("to", chosen, dtype=call.dtype())


def power(call: Call) -> int:
    return _powered(call, call.get("exponent"))


def square(call: Call) -> int:
    return _powered(call, 2)


def _powered(call: Call, exponent: float) -> int:
    if call.dtype(call.tensor("self")) != "float32":
        raise call.refusal("on whole numbers: call .float() before")
    return call.emit("pow", call.ref("self"), exponent=exponent)


def clamp(least: str | None, most: str | None) -> Handler:
    def handle(call: Call) -> int:
        minimum, maximum = (call.get(name) if name else None for name in (least, most))
        ref = call.ref("self")
        if call.dtype(call.tensor("self")) == "float32":
            return call.emit("clamp", ref, minimum=minimum, maximum=maximum)
        ref = ref if minimum is None else call.emit("maximum", ref, call.literal(minimum))
        return ref if maximum is None else call.emit("minimum", ref, call.literal(maximum))

    return handle


def bounded(least: float | None = None, most: float | None = None) -> Handler:
    """hardtanh; given bounds replace its arguments."""

    def handle(call: Call) -> int:
        minimum = call.get("min_val") if least is None else least
        maximum = call.get("max_val") if most is None else most
        return call.emit("hardtanh", call.ref("self"), minimum=minimum, maximum=maximum)

    return handle


def convert(call: Call) -> int:
    call.skip("dtype")
    if call.dtype() == call.dtype(call.tensor("self")):
        return call.ref("self")
    return call.emit("to", call.ref("self"), dtype=call.dtype())


def full(value: float | None) -> Handler:
    """A value of one number; `value` None means the argument `fill_value`."""

    def handle(call: Call) -> int:
        call.skip("self", "size", "dtype", "s")
        number = call.get("fill_value") if value is None else value
        return call.emit("full", shape=call.shape(), value=number, dtype=call.dtype())

    return handle


def arange(call: Call) -> int:
    call.skip("end", "dtype")
    count = call.emit("arange", count=call.shape()[0])
    return count if call.dtype() == "int64" else call.emit("to", count, dtype=call.dtype())


def over(op: str) -> Handler:
    return lambda call: call.emit(op, call.ref("self"), dims=call.dims(), keep=call.get("keepdim"))


def over_all(op: str) -> Handler:
    return lambda call: call.emit(op, call.ref("self"), dims=(), keep=False)


def variance(call: Call) -> int:
    got = call.get("correction" if call.has("correction") else "unbiased")
    correction = 1 if got is None else int(got)
    return call.emit("var", call.ref("self"), dims=call.dims(), keep=call.get("keepdim"), correction=correction)


def extreme(op: str) -> Handler:
    """Values and positions along a dimension: the position first, so that ties have torch's gradient."""

    def handle(call: Call) -> Values:
        source, dim = call.ref("self"), call.dim()
        call.skip("keepdim")
        position = call.emit(op, source, dim=dim, keep=True)
        value = call.emit("gather", source, position, dim=dim)
        return [call.emit("reshape", ref, shape=call.shape(0)) for ref in (value, position)]

    return handle


def position(op: str) -> Handler:
    def handle(call: Call) -> int:
        source, keep = call.ref("self"), call.get("keepdim")
        if call.get("dim") is None:
            flat = call.emit("reshape", source, shape=(call.tensor("self").numel(),))
            return call.emit("reshape", call.emit(op, flat, dim=0, keep=False), shape=call.shape())
        return call.emit(op, source, dim=call.dim(), keep=keep)

    return handle


def normalised(op: str) -> Handler:
    return lambda call: call.emit(op, call.ref("self"), dim=call.dim())


def linear(call: Call) -> int:
    return call.emit("linear", call.ref("input"), call.ref("weight"), *call.optional("bias"))


def addmm(call: Call) -> int:
    return call.emit("add", call.ref("self"), call.emit("matmul", call.ref("mat1"), call.ref("mat2")))


def layer_norm(call: Call) -> int:
    shape = tuple(call.get("normalized_shape"))
    return call.emit(
        "layer_norm", call.ref("input"), *call.optional("weight", "bias"), shape=shape, epsilon=call.get("eps")
    )


def group_norm(call: Call) -> int:
    affine = call.optional("weight", "bias")
    return call.emit("group_norm", call.ref("input"), *affine, groups=call.get("num_groups"), epsilon=call.get("eps"))


def embedding(call: Call) -> int:
    """Rows of a table; the row of the padding, if there is one, is looked up and not trained."""
    indices, padding = call.ref("indices"), call.get("padding_idx")
    rows = call.emit("embedding", call.ref("weight"), indices)
    if padding < 0:
        return rows
    padded = call.emit("eq", indices, call.literal(padding))
    padded = call.emit("reshape", padded, shape=(*call.tensor("indices").shape, 1))
    return call.emit("where", padded, call.emit("detach", rows), rows)


def indexed(call: Call) -> int:
    """Elements at whole-number positions of neighbouring dimensions, as one gather along these laid end to end."""
    entries, shape = call.get("indices"), tuple(call.tensor("self").shape)
    given = [place for place, entry in enumerate(entries) if entry is not None]
    if given != list(range(given[0], given[-1] + 1)):
        raise call.refusal("with positions in dimensions that are not neighbours: index one after the other")
    if any(entries[place].meta["val"].dtype != torch.int64 for place in given):
        raise call.refusal("by a mask, whose shape depends on values: multiply by the mask, or choose with torch.where")
    first, after = given[0], given[-1] + 1
    before, rest = prod(shape[:first]), prod(shape[after:])
    positions = call.refs("indices", slice(first, after))
    place = positions[0]
    for size, position in zip(shape[first + 1 : after], positions[1:], strict=True):
        place = call.emit("add", call.emit("mul", place, call.literal(size)), position)
    count = prod(call.shape()) // (before * rest)
    place = call.emit("expand", call.emit("reshape", place, shape=(1, count, 1)), shape=(before, count, rest))
    table = call.emit("reshape", call.ref("self"), shape=(before, prod(shape[first:after]), rest))
    return call.emit("reshape", call.emit("gather", table, place, dim=1), shape=call.shape())


def gather(call: Call) -> int:
    return call.emit("gather", call.ref("self"), call.ref("index"), dim=call.dim())


def loss(op: str, *optional: str, **options: str) -> Handler:
    """A loss of `self` and `target`; `options` gives the schema's name for each option beside the reduction."""

    def handle(call: Call) -> int:
        more = {name: call.get(source) for name, source in options.items()}
        operands = (call.ref("self"), call.ref("target"), *call.optional(*optional))
        return call.emit(op, *operands, reduction=_REDUCTIONS[call.get("reduction")], **more)

    return handle


def one_hot(call: Call) -> int:
    return call.emit("one_hot", call.ref("self"), classes=call.get("num_classes"))


def with_options(op: str, **options: str) -> Handler:
    """An operation on `self`; `options` gives the schema's name for each option."""
    return lambda call: call.emit(op, call.ref("self"), **{name: call.get(source) for name, source in options.items()})
