"""A loss that is no number ends the run, and the message says where it comes from."""

import os
import re
from pathlib import Path

import pytest
import torch
from training import ROOT, SHORT, run

from cnnlit.runs.reading import read

BREAKS = """
import torch
from cnnlit.models.lenet5 import LeNet5

class Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * float("nan")


class SpoilsGradient(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.training and self.steps == 30:
            self.s4.register_forward_hook(lambda layer, inputs, output: Root.apply(output))
        return super().forward(images)


class LargeOutput(LeNet5):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.training and self.steps == 30:
            self.s4.register_forward_hook(lambda layer, inputs, output: output * float("nan"))
        return super().forward(images)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "where"),
    [
        ("LargeOutput", r"step 30 .*the first output that is not finite is s4"),
        ("SpoilsGradient", r"step 31 .*the gradient of s4.bias in the step before it was not"),
    ],
)
def test_the_step_the_layer_and_the_last_good_checkpoint_are_named(tmp_path: Path, model: str, where: str) -> None:
    (tmp_path / "breaks.py").write_text(BREAKS)
    folder = tmp_path / "run"
    outcome = run(
        tmp_path, *SHORT, "data.passes_per_epoch=1", f"model._target_=breaks.{model}", f"hydra.run.dir={folder}",
        PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}",
    )  # fmt: skip
    assert outcome.returncode == 1
    last = outcome.stderr.splitlines()[-1]
    assert re.search(where, last), outcome.stderr
    assert re.search(r"the last good checkpoint: \S+last.ckpt, after step 20$", last), last
    assert "Traceback" not in outcome.stderr
    assert read(folder)["state"] == "failed"
    for path in (folder / "checkpoints").iterdir():
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(values.isfinite().all() for values in state.values() if values.is_floating_point())
