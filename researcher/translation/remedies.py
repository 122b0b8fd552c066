"""Why an operation of torch is not on the allow-list, and what to write instead."""

_REMEDIES = {
    "batch_norm": "which mixes the records of a batch: use nn.GroupNorm or nn.LayerNorm",
    "instance_norm": "which tensor programs do not have: use nn.GroupNorm with one group for each channel",
    "rand": "which draws from another law: use torch.rand_like, torch.randn_like or dropout",
    "multinomial": "which draws from another law: use torch.rand_like, torch.randn_like or dropout",
    "normal": "which draws from another law: use torch.rand_like, torch.randn_like or dropout",
    "item": "which lets Python see a value: keep values in tensors, choose with torch.where",
    "_local_scalar_dense": "which lets Python see a value: keep values in tensors, choose with torch.where",
    "nonzero": "whose shape depends on values: multiply by a mask, or choose with torch.where",
    "masked_select": "whose shape depends on values: multiply by a mask, or choose with torch.where",
    "index": "whose shape may depend on values: use slices with fixed numbers, torch.gather or torch.where",
    "unique": "whose shape depends on values: use fixed shapes",
    "sort": "which tensor programs do not have: use amax, amin or argmax",
    "topk": "which tensor programs do not have: use amax, amin or argmax",
    "std": "whose gradient is undefined at zero: write (x.var(...) + 1e-6).sqrt()",
    "norm": "whose gradient is undefined at zero: write (x * x).sum(...), or its square root plus a small number",
    "conv_transpose": "which tensor programs do not have: repeat rows and columns (.expand), then use nn.Conv2d",
    "conv": "which tensor programs do not have: use nn.Conv1d or nn.Conv2d",
    "with_indices": "for positions, which tensor programs do not have: leave return_indices out",
    "pool": "which tensor programs do not have: use max_pool or avg_pool in one or two dimensions",
    "upsample": "which tensor programs do not have: repeat rows and columns with .expand and .reshape",
    "lstm": "in a form that tensor programs lack: give it a whole padded sequence, without projections",
    "gru": "in a form that tensor programs lack: give it a whole padded sequence",
    "floor_divide": "which fails on a zero divisor: write torch.floor(a / b)",
    "remainder": "which fails on a zero divisor: write a - torch.floor(a / b) * b",
    "fmod": "which fails on a zero divisor: write a - torch.floor(a / b) * b",
    "sym_": "where a shape depends on values: keep shapes fixed, choose with torch.where",
}
_OTHERWISE = (
    "which is not an operation of tensor programs: write it with the allowed ones (policies/programs/allow_list.py)"
)


def remedy(target: str) -> str:
    """The end of a sentence that began "… uses aten.dropout"; `target` is the graph's name for the operation."""
    name = target.removeprefix("aten.")
    return next((text for part, text in _REMEDIES.items() if part in name), _OTHERWISE)
