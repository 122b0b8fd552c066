"""What a letter refers to: fetched into the content folder before the letter is acted on, for as long as terms say."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from datasites.execution.approval import require_approval
from datasites.execution.ask_round import checked_model
from datasites.protocol.blobs import BlobReference
from datasites.protocol.content import LetterContent, unwrap
from datasites.protocol.envelope import Opened
from datasites.protocol.job_messages import JobSubmission
from datasites.protocol.mailbox import Mailbox
from datasites.protocol.messages import RoundStart, StudySubmission
from datasites.requests.jobs.receive import may_submit_job, parse_job_terms
from datasites.requests.receive import LackingWeights, StudyFiles, may_submit
from datasites.serving.parameters import parameter_file
from datasites.site import Site
from datasites.store.contents import SavedFile
from datasites.store.engine import reading
from datasites.store.referred import sweep_contents
from policies.jobs.terms import CODE_DOMAIN
from policies.programs.digests import MODEL_DOMAIN
from policies.programs.tokeniser import MAXIMUM_TOKENISER_BYTES, TOKENISER_DOMAIN
from policies.statements.schema import parse_model
from policies.terms import MAXIMUM_TERMS_BYTES, Terms

_CODE_SECONDS = 60.0

Fetched = SavedFile | StudyFiles | LackingWeights | None
"""The files with what a letter refers to; or which weights they lack; or None, for a letter that refers to nothing."""


@dataclass(frozen=True)
class Fetching:
    """Fetches what a letter refers to, if its sender may send such content now."""

    site: Site
    mailbox: Mailbox

    @contextmanager
    def content_of(self, opened: Opened) -> Iterator[Fetched]:
        """What the letter refers to; the files are swept away unless rows refer to them by the end.

        Raises:
            CloisterError: why it is not fetched; the sentence speaks of nothing but what its sender sent.
        """
        with self._fetched(opened) as fetched:
            yield fetched
        if isinstance(fetched, SavedFile | StudyFiles):
            # At once: letters that are refused give the worker nothing to do, and could fill the disk meanwhile.
            sweep_contents(self.site.engine, self.site.contents, self.site.now)

    @contextmanager
    def _fetched(self, opened: Opened) -> Iterator[Fetched]:
        match opened.message:
            case StudySubmission() as message:
                with reading(self.site.engine) as connection:
                    may_submit(connection, opened.sender)
                terms = parse_model(
                    Terms, message.terms.encode(), maximum_bytes=MAXIMUM_TERMS_BYTES, what="The study's terms"
                )
                seconds = terms.deadlines.setup_seconds
                with ExitStack() as files:
                    sent, tokeniser = message.initial_parameters, message.tokeniser
                    pieces = self._pieces(sent, sent.plain_size, seconds)
                    parameters = files.enter_context(parameter_file(self.site, opened.sender.party, message, pieces))
                    if isinstance(parameters, LackingWeights):
                        yield parameters
                    elif tokeniser is None:
                        yield StudyFiles(parameters, None)
                    else:
                        pieces = self._pieces(tokeniser, MAXIMUM_TOKENISER_BYTES, seconds)
                        saved = self.site.contents.saved(pieces, TOKENISER_DOMAIN, tokeniser.plain_size)
                        yield StudyFiles(parameters, files.enter_context(saved))
            case JobSubmission() as message:
                with reading(self.site.engine) as connection:
                    may_submit_job(connection, opened.sender, self.site.now)
                size = parse_job_terms(message).code_size
                pieces = self._pieces(message.code, size, _CODE_SECONDS)
                with self.site.contents.saved(pieces, CODE_DOMAIN, size) as file:
                    yield file
            case RoundStart() as message:
                with reading(self.site.engine) as connection:
                    sender = opened.sender.party
                    request, _ = require_approval(connection, self.site, sender, message.study, self.site.now)
                terms = request.terms
                size = 4 * terms.programs.parameter_count
                pieces = self._pieces(message.model, size, terms.deadlines.round_seconds)
                with self.site.contents.saved(checked_model(pieces, terms), MODEL_DOMAIN, size) as file:
                    yield file
            case _:
                yield None

    def _pieces(self, content: LetterContent | BlobReference, maximum: int, seconds: float) -> Iterable[bytes]:
        return unwrap(content, maximum, lambda reference: self.mailbox.get_blob(reference, seconds))
