"""Let the other machines of a site prepare a study, before a round of it is charged."""

import shutil
from functools import partial

from datasites.catalog.shards import public_bytes
from datasites.catalog.snapshot_layout import layout_of
from datasites.execution.follower_messages import Begin
from datasites.execution.followers import Followers
from datasites.execution.study_message import public_size, study_bytes, study_message, study_pieces
from datasites.execution.team import Team
from datasites.execution.trainer_start import MEMORY_BYTES
from datasites.requests.records import Request
from datasites.site import Site
from datasites.store.data_sets import DataSet
from datasites.store.engine import reading
from policies.errors import RefusedError


def gather(site: Site, followers: Followers, team: Team, request: Request, data_set: DataSet, cache_bytes: int) -> None:
    """Take idle followers into `team`, and wait until each has prepared the study of `request`.

    Args:
        cache_bytes: what the leader's own trainer keeps on its disk.

    Raises:
        RefusedError: one of the machines cannot train it, or this one has no room to deal out its data.
        UnavailableError: one of the machines is gone, or late: it may be tried again.
    """
    with reading(site.engine) as connection:
        training_rules = site.house_rules(connection).rules.training
    manifest, deadlines = data_set.manifest, request.terms.deadlines
    share = public_size(manifest).share(team.machines)
    training, holdout = share.nominal_training_units, share.nominal_holdout_units
    shard_bytes = public_bytes(layout_of(manifest, 0, 0), training, holdout)
    needed = team.machines * shard_bytes + cache_bytes
    if shutil.disk_usage(site.home.snapshots).free < needed:
        raise RefusedError(f"This machine's disk has no room to deal out the data: {needed} bytes; make room.")
    begin = Begin(
        rank=1,
        count=team.machines,
        threads=training_rules.threads,
        memory_bytes=MEMORY_BYTES,
        shard_bytes=shard_bytes,
        setup_seconds=deadlines.setup_seconds,
        round_seconds=deadlines.round_seconds,
    )
    study = study_message(site, request, manifest, training_rules.gradients)
    size, pieces = study_bytes(site, request), partial(study_pieces, site, request)
    team.start(followers.take(team.machines), begin, study, size, pieces)
