"""The second export: a plan's source, as it was submitted, exported again where nothing of it is believed.

A datasite runs this in its sandbox, on no data, to tell the reviewer whether the source that is read and the programs
that would run agree. It is an aid: two versions of torch may write the same model differently.
"""

import json
import runpy
from pathlib import Path

from policies.errors import InvalidInputError
from policies.record_form import RecordForm
from researcher.export import export
from researcher.plan import TrainingPlan


def main(source: Path, form: Path, answer: Path) -> None:
    """Export the plan in the file `source` for records of the form in the file `form`, and write digests to `answer`.

    Raises:
        InvalidInputError: the source defines no plan, or one that cannot be exported.
    """
    record = RecordForm.model_validate_json(form.read_text())
    defined = runpy.run_path(str(source)).values()
    plans = [it for it in defined if isinstance(it, type) and issubclass(it, TrainingPlan) and it is not TrainingPlan]
    if not plans:
        raise InvalidInputError("The source defines no training plan.")
    # What a plan inherits from is defined before it.
    exported = export(plans[-1](), record)
    written = {"loss": exported.loss.digest(), "metrics": exported.metrics.digest()}
    answer.write_text(json.dumps(written, sort_keys=True, separators=(",", ":")))
