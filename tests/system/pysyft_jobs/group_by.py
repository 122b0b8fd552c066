"""A larger job: a table of means by group, as CSV."""

import pandas as pd
import syft as sy

rows = pd.read_csv(sy.resolve_dataset_file_path("tumours"))
table = rows.groupby("malignant")[["mean radius", "mean texture", "mean area"]].agg(["mean", "std"]).round(2)
table.columns = [" ".join(name) for name in table.columns]
table.insert(0, "patients", rows.groupby("malignant").size())
table.to_csv("outputs/means.csv")
