"""How scaled dot-product attention is said in tensor programs: two products and a softmax between them."""

from math import sqrt

from researcher.translation.call import Call
from researcher.translation.random_handlers import dropped


def attention(call: Call) -> int:
    """softmax(query · keyᵀ · scale + mask) · value, as torch.nn.functional.scaled_dot_product_attention.

    A row whose mask hides everything attends to all alike; torch gives zeros there.
    """
    if call.get("enable_gqa"):
        raise call.refusal("with enable_gqa: repeat the keys and values with .expand and .reshape")
    query, key, rank = call.tensor("query"), call.tensor("key"), call.tensor("query").ndim
    scale = call.get("scale")
    scaled = call.emit("mul", call.ref("query"), call.literal(1 / sqrt(query.shape[-1]) if scale is None else scale))
    turned = call.emit("permute", call.ref("key"), dims=(*range(rank - 2), rank - 1, rank - 2))
    scores = _masked(call, call.emit("matmul", scaled, turned), query.shape[-2], key.shape[-2])
    weights = call.emit("softmax", scores, dim=rank - 1)
    shape = (*call.shape()[:-1], key.shape[-2])
    return call.emit("matmul", dropped(call, weights, call.get("dropout_p"), shape), call.ref("value"))


def _masked(call: Call, scores: int, queries: int, keys: int) -> int:
    if call.get("is_causal"):
        rows = call.emit("reshape", call.emit("arange", count=queries), shape=(queries, 1))
        earlier = call.emit("ge", rows, call.emit("arange", count=keys))
        return call.emit("where", earlier, scores, call.literal(float("-inf")))
    if call.get("attn_mask") is None:
        return scores
    mask = call.ref("attn_mask")
    if call.tensor("attn_mask").dtype.is_floating_point:
        return call.emit("add", scores, mask)
    return call.emit("where", mask, scores, call.literal(float("-inf")))
