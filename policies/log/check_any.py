"""Checks whatever somebody was handed as proof: an exported log, a site's receipt or a researcher's."""

from policies.log.bundle import MAXIMUM_BUNDLE_BYTES
from policies.log.check_receipts import (
    MAXIMUM_RESULT_RECEIPT_BYTES,
    ResultReceipt,
    check_result_receipt,
    check_round_receipt,
)
from policies.log.receipt import MAXIMUM_RECEIPT_BYTES, Receipt
from policies.log.verify import Pinned, Report, verify_bundle
from policies.statements.schema import parse_model

MAXIMUM_PROOF_BYTES = max(MAXIMUM_BUNDLE_BYTES, MAXIMUM_RESULT_RECEIPT_BYTES)


def check_any(data: bytes, pinned: Pinned) -> Report:
    """Check a file that says of itself, at its end, which kind of receipt it is; any other must be an exported log.

    Raises:
        InvalidInputError: it is none of the three, so there is nothing to report on.
    """
    # Canonical JSON sorts its names: the version of a receipt is the last of them.
    if data.endswith(b'"version":"cloister-receipt/1"}'):
        receipt = parse_model(Receipt, data, maximum_bytes=MAXIMUM_RECEIPT_BYTES, what="The receipt")
        return check_round_receipt(receipt, pinned)
    if data.endswith(b'"version":"cloister-result-receipt/1"}'):
        result = parse_model(ResultReceipt, data, maximum_bytes=MAXIMUM_RESULT_RECEIPT_BYTES, what="The receipt")
        return check_result_receipt(result, pinned.witnesses)
    return verify_bundle(data, pinned)
