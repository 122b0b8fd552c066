"""Each operation of the allow-list on operands that fit it."""

import torch
from torch import Tensor

from datasites.tensor_programs.operations import OPERATIONS
from policies.programs.allow_list import ALLOWED

OPTIONS = {
    "alpha": 0.5, "minimum": -1.0, "maximum": 1.0, "approximate": "tanh", "slope": 0.1, "exponent": 2.5, "beta": 1.0,
    "threshold": 20.0, "dtype": "float32", "dims": (0,), "keep": False, "dim": 0, "correction": 0, "shape": (4,),
    "value": 1.0, "count": 4, "index": 0, "start": 0, "end": 2, "step": 1, "epsilon": 1e-5, "groups": 2, "classes": 3,
    "reduction": "mean", "label_smoothing": 0.1, "delta": 1.0, "log_target": False,
    "kernel": (2, 2), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "count_padding": False,
}  # fmt: skip


def operands(name: str, x: Tensor) -> list[Tensor]:
    """Operands of the right shapes, the first of them `x` (a vector of 4), so that its gradient is asked for."""
    match name:
        case "linear":
            return [x, torch.ones(2, 4), torch.ones(2)]
        case "matmul":
            return [x, torch.ones(4, 3)]
        case "embedding":
            return [x.reshape(2, 2), torch.tensor([0, 7])]
        case "gather":
            return [x, torch.tensor([0, -3])]
        case "one_hot":
            return [x.detach().to(torch.int64)]
        case "avg_pool2d" | "max_pool2d":
            return [x.reshape(1, 1, 2, 2)]
        case "conv2d":
            return [x.reshape(1, 2, 2, 1), torch.ones(4, 1, 3, 2), torch.ones(4)]
        case "cross_entropy" | "nll_loss":
            return [x, torch.tensor(9)]
        case "group_norm":
            return [x.reshape(1, 4), torch.ones(4), torch.ones(4)]
        case "layer_norm":
            return [x, torch.ones(4), torch.ones(4)]
        case "prelu":
            return [x, torch.ones(1)]
        case "where":
            return [x > 0, x, 2 * x]
    rule = ALLOWED[name]
    return [x] + [torch.full((4,), 0.5)] * (max(rule.fewest, 1) - 1) if rule.most else []


def result(name: str, x: Tensor) -> Tensor:
    """A scalar that depends on the operation's result, and on `x`."""
    options = {option: OPTIONS[option] for option in ALLOWED[name].options}
    if name == "group_norm":
        options["groups"] = 2
    value = OPERATIONS[name](*operands(name, x), **options)
    return value.to(torch.float32).sum() + x.sum()
