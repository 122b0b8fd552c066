"""PySyft's quick start: count the rows of a data set."""

import json
from pathlib import Path

import pandas as pd
import syft as sy

rows = pd.read_csv(sy.resolve_dataset_file_path("tumours"))
Path("outputs/result.json").write_text(json.dumps({"rows": len(rows), "columns": len(rows.columns)}))
print("counted")
