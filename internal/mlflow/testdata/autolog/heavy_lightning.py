# SPDX-License-Identifier: Apache-2.0
"""mlflow.pytorch.autolog() around PyTorch Lightning, in a program that knows nothing of Fathom."""
import lightning
import mlflow
import torch
from mlflow import MlflowClient
from torch.utils.data import DataLoader, TensorDataset


class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self(x), y)
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


torch.manual_seed(1)
X = torch.randn(128, 3)
y = X @ torch.tensor([[1.0], [-2.0], [0.5]])
mlflow.set_experiment("lightning")
mlflow.pytorch.autolog(checkpoint=False)
with mlflow.start_run() as run:
    trainer = lightning.Trainer(max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Line(), DataLoader(TensorDataset(X, y), batch_size=32))
client = MlflowClient()
got = client.get_run(run.info.run_id)
assert got.data.params["optimizer_name"] == "SGD" and got.data.params["epochs"] == "5", got.data.params
history = client.get_metric_history(run.info.run_id, "train_loss")
assert len(history) == 5 and history[-1].value < history[0].value, history
assert got.outputs.model_outputs, "the run names the model that it made"
loaded = mlflow.pytorch.load_model("models:/" + got.outputs.model_outputs[0].model_id)
assert loaded(X).shape == (128, 1)
