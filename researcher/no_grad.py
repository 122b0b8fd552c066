"""torch.no_grad() in a plan: its block is written into the graph around it, and what leaves it is detached."""

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

_BLOCK = torch.ops.higher_order.wrap_with_set_grad_enabled


def inline_no_grad(exported: ExportedProgram) -> None:
    """Write every block that switches gradients off into the exported graph, in place.

    torch's own decompositions would drop such blocks together with what they mean.
    """
    for old, new in _inline(exported.graph_module):
        exported.graph_signature.replace_all_uses(old, new)


def _inline(module: GraphModule) -> list[tuple[str, str]]:
    """Inline all blocks; the names of nodes that went and of those that stand for them."""
    graph, renamed = module.graph, []
    for node in [node for node in graph.nodes if node.target is _BLOCK]:
        renamed += _inline_block(module, graph, node)
    graph.lint()
    module.recompile()
    return renamed


def _inline_block(module: GraphModule, graph: Graph, node: Node) -> list[tuple[str, str]]:
    arguments: Any = node.args
    keeps_gradients, holder, *operands = arguments
    block: GraphModule = getattr(module, holder.target)
    _inline(block)
    inside = dict(zip([it for it in block.graph.nodes if it.op == "placeholder"], operands, strict=True))
    renamed = []
    with graph.inserting_before(node):
        results: Any = graph.graph_copy(block.graph, inside)
        for user in list(node.users):
            result: Node = results[user.args[1]]
            if not keeps_gradients:
                outside = graph.call_function(torch.ops.aten.detach.default, (result,))
                outside.meta = dict(result.meta)
                result = outside
            user.replace_all_uses_with(result)
            renamed.append((user.name, result.name))
            graph.erase_node(user)
    graph.erase_node(node)
    return renamed
