"""How dropout and other random numbers are said in tensor programs: as numbers drawn for each record."""

from researcher.translation.call import Call, Handler, Values

_FILLED_BY = frozenset({"bernoulli.p", "normal_functional.default", "uniform.default"})


def drawn(op: str) -> Handler:
    """Numbers of one law in a given shape."""

    def handle(call: Call) -> int:
        call.skip("self", "size", "dtype")
        if call.dtype() != "float32":
            raise call.refusal("of whole numbers: draw torch.rand or torch.randn")
        return call.draw(op, call.shape())

    return handle


def dropout(call: Call) -> Values:
    probability, active = call.get("p"), call.get("train")
    return [dropped(call, call.ref("input"), probability if active else 0.0, call.shape(0))]


def dropped(call: Call, source: int, probability: float, shape: tuple[int, ...]) -> int:
    """`source` with each number zero with `probability`, the others enlarged so that the mean stays."""
    if probability == 0:
        return source
    if probability == 1:
        return call.emit("mul", source, call.literal(0.0))
    factor = call.emit("mul", _kept(call, probability, shape), call.literal(1 / (1 - probability)))
    return call.emit("mul", source, factor)


def coin(call: Call) -> int:
    """Ones with probability p, in the shape of what it fills."""
    call.skip("self")
    return _kept(call, 1 - call.get("p"), call.shape())


def coins(call: Call) -> int:
    """Ones with the probabilities that a tensor gives."""
    kept = call.emit("lt", call.draw("uniform", call.shape()), call.ref("self"))
    return call.emit("to", kept, dtype="float32")


def normal(call: Call) -> int:
    call.skip("self")
    scaled = call.emit("mul", call.draw("normal", call.shape()), call.literal(float(call.get("std"))))
    return call.emit("add", scaled, call.literal(float(call.get("mean"))))


def uniform(call: Call) -> int:
    call.skip("self")
    least, most = float(call.get("from")), float(call.get("to"))
    scaled = call.emit("mul", call.draw("uniform", call.shape()), call.literal(most - least))
    return call.emit("add", scaled, call.literal(least))


def unwritten(call: Call) -> int:
    """Memory that nothing wrote, which only random numbers may then fill."""
    call.skip("self", "size", "dtype")
    if not call.users() <= _FILLED_BY:
        raise call.refusal("and reads memory that nothing wrote: use torch.zeros")
    return call.emit("full", shape=call.shape(), value=0, dtype=call.dtype())


def _kept(call: Call, probability: float, shape: tuple[int, ...]) -> int:
    kept = call.emit("ge", call.draw("uniform", shape), call.literal(float(probability)))
    return call.emit("to", kept, dtype="float32")
