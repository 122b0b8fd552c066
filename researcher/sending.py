"""Send a study's request: to each site with those parts of its parameters that the site is not known to keep."""

from collections import defaultdict
from collections.abc import Sequence

from datasites.protocol.messages import StudySubmission
from policies.terms import Terms
from researcher.correspondence import Correspondence
from researcher.sent_weights import known_to_keep, note_sending, note_sent, split_parameters


def send_request(correspondence: Correspondence, terms: Terms, sites: Sequence[str]) -> None:
    """Send (or send again) the request to `sites`; one that has it already answers where it stands.

    Sites that lack the same get the same upload. They count as lacking it until all of it is sent.

    Raises:
        UnavailableError: the relay cannot be reached.
    """
    state, patience = correspondence.state, terms.deadlines.setup_seconds
    row, parts = state.study(terms.study), split_parameters(state.parameters(terms.study))
    tokens = terms.programs.tokens
    tokeniser = None if tokens is None else correspondence.upload(state.tokeniser(terms.study), patience)
    groups: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    with state.transaction() as connection:
        for site in sites:
            groups[known_to_keep(connection, site) & {part.digest for part in parts}].append(site)
    for kept, members in groups.items():
        sent = [part for part in parts if part.digest not in kept]
        with state.transaction() as connection:
            note_sending(connection, members, terms.study, sent)
        submission = StudySubmission(
            study=terms.study,
            terms=row["terms"],
            loss_program=row["loss_program"],
            metrics_program=row["metrics_program"],
            source=row["source"],
            parameter_parts=tuple(part.listed(sent=part.digest not in kept) for part in parts),
            initial_parameters=correspondence.upload(b"".join(part.content for part in sent), patience),
            tokeniser=tokeniser,
        )
        correspondence.send(members, submission, patience)
        with state.transaction() as connection:
            note_sent(connection, members, terms.study)
