"""Every parser that faces outside, as a fuzzer calls it: what it may raise, its size limit, values that it accepts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from datasites.inspection.question import MAXIMUM_QUESTION_BYTES, parse_question
from datasites.protocol import envelope
from datasites.protocol.identity import MAXIMUM_CARD_BYTES, parse_card
from datasites.protocol.messages import MAXIMUM_MESSAGE_BYTES, parse_message
from datasites.sandbox.frames import MAXIMUM_HEADER_BYTES, Frame
from policies.decision import MAXIMUM_SIGNED_DECISIONS_BYTES
from policies.disclosure.findings import MAXIMUM_FINDINGS_BYTES
from policies.errors import CloisterError, InvalidInputError, NotAuthenticError, UnavailableError
from policies.log.bundle import MAXIMUM_BUNDLE_BYTES, read_bundle
from policies.log.check_any import check_any
from policies.log.checkpoint import MAXIMUM_CHECKPOINT_BYTES, parse_checkpoint
from policies.log.cosignature import cosign, cosigned_at
from policies.log.entries import MAXIMUM_ENTRY_BYTES, parse_entry
from policies.log.receipt import MAXIMUM_RECEIPT_BYTES
from policies.log.verify import Pinned, verify_bundle
from policies.manifest import MAXIMUM_MANIFEST_BYTES, parse_manifest, parse_published_manifest
from policies.programs.format import MAXIMUM_PROGRAM_BYTES
from policies.programs.parameters import read_parameters
from policies.rules.house_rules import DEFAULT_HOUSE_RULES, MAXIMUM_HOUSE_RULES_BYTES, parse_house_rules
from policies.statements.canonical import parse_json
from policies.terms import MAXIMUM_TERMS_BYTES
from tests.attacks.honest_log import HONEST, PARTNER, note
from tests.conftest import CLINIC
from tests.fuzz import output_parsers, parsers, seeds, table_parsers, table_seeds
from tests.fuzz.forms import BYTES, ENVELOPE, JSON, LINES, SAFETENSORS, TOML, Form

_LONGEST_SENTENCE = 4000


@dataclass(frozen=True)
class Target:
    """One parser. `parse` takes any bytes and returns, or raises one of `errors`; a seed it must accept.

    `limit` is the parser's own bound on its input; None where what carries the bytes has it. `share` is how many
    inputs it gets beside the others, less where each takes long.
    """

    name: str
    parse: Callable[[bytes], object]
    form: Form
    seeds: tuple[bytes, ...]
    errors: tuple[type[CloisterError], ...] = (InvalidInputError,)
    limit: int | None = None
    share: float = 1.0
    memory: int = 256 << 20
    seconds: int = 20
    longest: int = 4 * 1024

    def accepts(self, data: bytes) -> bool:
        """Whether the parser takes `data`; what it raises beside its errors comes out, and so do bad sentences."""
        try:
            self.parse(data)
        except self.errors as error:
            sentence = str(error)
            if not sentence or len(sentence) > _LONGEST_SENTENCE or not sentence.replace("\n", "").isprintable():
                raise AssertionError(f"The error is no sentence for people: {sentence[:500]!r}.") from error
            return False
        return True


_LETTERS = tuple(parsers.letter(message.canonical()) for message in seeds.MESSAGES[:2])
_DOCUMENTS = tuple(message.canonical() for message in seeds.MESSAGES)
_CONTENTS = tuple(it.canonical() for it in seeds.LETTER_CONTENTS)
_DECODED = tuple(it.canonical() for it in table_seeds.DECODED)
_PROGRAMS = (seeds.LOSS.encode(), seeds.METRICS.encode())
_SEALED_ERRORS = (InvalidInputError, NotAuthenticError)
_HEADER_LIMIT = envelope.MAXIMUM_ENVELOPE_BYTES

TARGETS: tuple[Target, ...] = (
    Target(
        "json", partial(parse_json, maximum_bytes=parsers.SMALL, what="It"), JSON, seeds.JSON_TEXTS, limit=parsers.SMALL
    ),
    Target("message", parse_message, JSON, _DOCUMENTS, limit=MAXIMUM_MESSAGE_BYTES),
    Target(
        "card",
        parse_card,
        JSON,
        (seeds.ADA.card.canonical(), seeds.SITE.card.canonical()),
        _SEALED_ERRORS,
        MAXIMUM_CARD_BYTES,
    ),
    Target(
        "manifest",
        parse_manifest,
        TOML,
        tuple(it.encode() for it in (CLINIC, table_seeds.IMAGES, table_seeds.TEXTS, table_seeds.COLUMNS)),
        limit=MAXIMUM_MANIFEST_BYTES,
    ),
    Target(
        "published-manifest",
        parse_published_manifest,
        JSON,
        (seeds.MANIFEST.canonical(),),
        limit=MAXIMUM_MANIFEST_BYTES,
    ),
    Target("house-rules", parse_house_rules, TOML, (DEFAULT_HOUSE_RULES.encode(),), limit=MAXIMUM_HOUSE_RULES_BYTES),
    Target("settings", parsers.try_settings, TOML, (parsers.seed_settings(),), limit=parsers.SMALL),
    Target(
        "terms", parsers.try_terms, JSON, (seeds.TERMS.canonical(),), (CloisterError,), MAXIMUM_TERMS_BYTES, share=0.5
    ),
    Target("program", parsers.try_program, JSON, _PROGRAMS, limit=MAXIMUM_PROGRAM_BYTES),
    Target("program-bounds", parsers.try_bounds, JSON, _PROGRAMS, limit=MAXIMUM_PROGRAM_BYTES, share=0.1),
    Target(
        "parameters",
        lambda data: read_parameters(data, parsers.PROGRAM, maximum_bytes=parsers.SMALL),
        SAFETENSORS,
        (seeds.PARAMETERS,),
        limit=parsers.SMALL,
    ),
    Target("tensors", parsers.try_tensors, SAFETENSORS, (seeds.PARAMETERS,), limit=parsers.SMALL, share=0.5),
    Target("model-vector", parsers.try_model_vector, BYTES, (seeds.MODEL,)),
    Target(
        "decision",
        parsers.try_decision,
        JSON,
        (seeds.DECISION.canonical(),),
        _SEALED_ERRORS,
        MAXIMUM_SIGNED_DECISIONS_BYTES,
    ),
    Target("envelope-header", envelope.read_header, ENVELOPE, _LETTERS, limit=_HEADER_LIMIT),
    Target("letter", parsers.try_letter, ENVELOPE, _LETTERS, _SEALED_ERRORS, _HEADER_LIMIT),
    Target("sealed-message", lambda data: parsers.try_letter(parsers.letter(data)), JSON, _DOCUMENTS, share=0.5),
    Target("relay-headers", parsers.try_relay_headers, BYTES, (parsers.seed_headers(),), _SEALED_ERRORS),
    Target("relay-query", parsers.try_relay_query, BYTES, (b"after=12&forget=9007199254740991&wait=25",)),
    Target("relay-letters", parsers.try_relay_letters, BYTES, (parsers.seed_relay_letters(*_LETTERS, b""),)),
    Target("letter-content", parsers.try_letter_content, JSON, _CONTENTS, limit=2 * parsers.SMALL),
    Target("blob", parsers.try_blob, BYTES, (parsers.seed_blob(),), _SEALED_ERRORS),
    Target("log-entry", parse_entry, JSON, tuple(entry.canonical() for entry in HONEST), limit=MAXIMUM_ENTRY_BYTES),
    Target("bundle", read_bundle, LINES, (seeds.LOG_BUNDLE,), limit=MAXIMUM_BUNDLE_BYTES),
    Target(
        "log",
        lambda data: verify_bundle(data, Pinned()),
        LINES,
        (seeds.LOG_BUNDLE,),
        limit=MAXIMUM_BUNDLE_BYTES,
        share=0.2,
    ),
    Target("checkpoint", parse_checkpoint, BYTES, (note(HONEST),), limit=MAXIMUM_CHECKPOINT_BYTES),
    Target(
        "cosignature",
        lambda data: cosigned_at(data, PARTNER.public_key().public_bytes_raw()),
        BYTES,
        (cosign(PARTNER, "ab" * 32, note(HONEST), 1_700_000_000),),
        _SEALED_ERRORS,
        MAXIMUM_CHECKPOINT_BYTES,
    ),
    Target(
        "receipt",
        lambda data: check_any(data, Pinned()),
        BYTES,
        (seeds.RECEIPT.canonical(),),
        limit=MAXIMUM_RECEIPT_BYTES,
    ),
    Target(
        "frame",
        parsers.try_frame,
        BYTES,
        (parsers.seed_frame(Frame(b"{}", b"body")),),
        (InvalidInputError, UnavailableError),
    ),
    Target(
        "trainer-message",
        parsers.try_trainer_message,
        JSON,
        tuple(it.canonical() for it in seeds.TRAINER),
        limit=MAXIMUM_HEADER_BYTES,
    ),
    Target(
        "snapshot",
        table_parsers.try_snapshot,
        BYTES,
        tuple(map(table_parsers.seed_snapshot, table_seeds.SNAPSHOTS)),
        _SEALED_ERRORS,
    ),
    Target("decoded", table_parsers.try_decoded, JSON, _DECODED, limit=MAXIMUM_HEADER_BYTES),
    Target("decoded-rows", table_parsers.try_decoded_rows, SAFETENSORS, (table_seeds.DECODED_ROWS,)),
    Target("table", table_parsers.try_table, BYTES, (seeds.CSV,), share=0.5),
    Target("arrays", table_parsers.try_arrays, BYTES, (table_seeds.ARRAYS,), share=0.2),
    Target("image", table_parsers.try_image, BYTES, (table_seeds.IMAGE,), share=0.5),
    Target("mock", table_parsers.try_mock, BYTES, (seeds.CSV,), share=0.2),
    Target("findings", output_parsers.try_findings, JSON, (seeds.FINDINGS.canonical(),), limit=MAXIMUM_FINDINGS_BYTES),
    Target("question", parse_question, JSON, (seeds.QUESTION.canonical(),), limit=MAXIMUM_QUESTION_BYTES),
    Target("output-json", output_parsers.try_json, JSON, seeds.JSON_TEXTS, share=0.5),
    Target("output-csv", output_parsers.try_csv, BYTES, (seeds.CSV,), share=0.5),
    Target("output-text", output_parsers.try_text, BYTES, (seeds.CSV,), share=0.5),
    Target("output-png", output_parsers.try_png, BYTES, (seeds.PNG,)),
    Target("output-safetensors", output_parsers.try_tensors, SAFETENSORS, (seeds.PARAMETERS,)),
    Target("source", parsers.try_source, BYTES, (seeds.PLAN_SOURCE,), (), share=0.3),
    Target("wake", parsers.try_wake, BYTES, (b"\0",), share=0.2),
)
