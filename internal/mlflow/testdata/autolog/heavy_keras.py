# SPDX-License-Identifier: Apache-2.0
"""mlflow.keras.autolog() in a program that knows nothing of Fathom."""
import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import mlflow
import numpy as np
from mlflow import MlflowClient

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
X = rng.normal(size=(200, 4)).astype("float32")
y = (X[:, 0] > 0).astype("float32")
mlflow.set_experiment("keras")
mlflow.keras.autolog()
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
with mlflow.start_run() as run:
    model.fit(X, y, epochs=4, batch_size=32, verbose=0)
client = MlflowClient()
got = client.get_run(run.info.run_id)
history = client.get_metric_history(run.info.run_id, "loss")
assert len(history) >= 4 and history[-1].value < history[0].value, history
assert got.data.params["epochs"] == "4", got.data.params
assert got.outputs.model_outputs, "the run names the model that it made"
loaded = mlflow.keras.load_model("models:/" + got.outputs.model_outputs[0].model_id)
assert np.allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)
