"""The mean of the weights follows the formula, is what is tested, and leaves tables of indices alone."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cnnlit.callbacks.averaging import PolyakAveraging

STEPS = 5


class Counter(LightningModule):
    """One weight, which each step increases by one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.table: Tensor
        self.register_buffer("table", torch.tensor([3, 5, 7]))
        self.seen: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.seen.append(self.weight.item())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def test_the_mean_of_the_weights_is_validated_and_kept(tmp_path: Path) -> None:
    module = Counter()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[PolyakAveraging(0.75)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, DataLoader(torch.zeros(STEPS)), DataLoader(torch.zeros(1)))
    mean = 1.0
    for weight in range(2, STEPS + 1):
        mean = 0.75 * mean + 0.25 * weight
    assert abs(module.weight.item() - mean) < 1e-6
    assert module.seen == [module.weight.item()]
    assert module.table.tolist() == [3, 5, 7]
