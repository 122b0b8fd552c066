"""A larger job: a model of scikit-learn, its coefficients and how well it does on patients it has not seen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import syft as sy
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

rows = pd.read_csv(sy.resolve_dataset_file_path("tumours"))
features = rows.drop(columns="malignant")
train, test, train_target, test_target = train_test_split(features, rows["malignant"], random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, train_target)
np.save("outputs/coefficients.npy", model[-1].coef_)
Path("outputs/score.json").write_text(json.dumps({"accuracy": round(model.score(test, test_target), 3)}))
