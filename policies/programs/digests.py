"""The digests by which terms name what travels beside the programs: the parameter file and the reviewers' source."""

from policies.statements.digests import digest

MODEL_DOMAIN = "global-model"
"""The domain of a global model's digest, as sites and the coordinator take it while it streams by."""

PARAMETERS_DOMAIN = "initial-parameters"
"""The domain of `parameters_digest`, for whoever digests the file while it comes in."""


def parameters_digest(data: bytes) -> str:
    """The digest of a study's initial parameters, the safetensors file as it travels."""
    return digest(PARAMETERS_DOMAIN, data)


def source_digest(source: str) -> str:
    """The digest of the plan's source, which goes along for people to read."""
    return digest("plan-source", source.encode())
