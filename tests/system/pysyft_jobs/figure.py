"""A larger job: a figure."""

import matplotlib.pyplot as plt
import pandas as pd
import syft as sy

rows = pd.read_csv(sy.resolve_dataset_file_path("tumours"))
figure, axes = plt.subplots()
for malignant, group in rows.groupby("malignant"):
    axes.hist(group["mean radius"], bins=10, alpha=0.5, label=str(malignant))
axes.legend()
figure.savefig("outputs/radius.png")
