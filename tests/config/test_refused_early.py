"""Wrong input is answered before PyTorch is imported, which takes seconds."""

from pathlib import Path

import as_typed
import pytest

TELLS = """
import atexit, sys, time
atexit.register(lambda: print("torch" in sys.modules, time.process_time(), file=sys.stderr))
"""

WRONG = [
    ("predict run=run images=nope.png", "there is no such file or folder"),
    ("predict run=nope images=0.png", "nope holds no run"),
    ("predict images=0.png", "run=null: name the folder of a run"),
    ("predict run=run", "images=null: name a file or a folder"),
    ("predict run=run images=0.png to=a.gif", "to=a.gif: must end with .png, .svg or .pdf"),
    ("predict run=run images=0.png inside=nosuch", "inside=nosuch: must be one of"),
    ("predict run=run images=0.png inside=occlusion layer=nosuch", "layer=nosuch: only with inside=maps or"),
    ("predict run=run images=0.png inside=deconvnet square=3", "square=3: only with inside=occlusion"),
    ("predict run=run images=0.png stride=3", "stride=3: only with inside=occlusion"),
    ("evaluate run=nope", "nope holds no run"),
    ("evaluate", "run=null: name the folder of a run"),
    ("evaluate run=run split=nope", "split=nope: must be one of"),
    ("evaluate run=run output=0.png/x", "output=0.png/x: cannot be written"),
    ("export run=nope", "nope holds no run"),
    ("export run=run protocol=ten_crop", "protocol: an exported network answers views"),
    ("report runs=nope", "runs=nope: there is no such folder"),
    ("train resume=nope", "nope holds no run"),
    ("train data=folder data.image_size=[200,300]", "must be one integer, not a list"),
    ("train recipe.epochs=ten", "recipe.epochs=ten: must be a valid integer"),
    ("train model.pooling=maxx", "did you mean max?"),
    ("train recipe.optimizer.lr=fast", "recipe.optimizer.lr=fast: must be a valid number"),
    ("train recipe/optimizer=sgd recipe.optimizer.momentum=high", "momentum=high: must be a valid number"),
    ("train recipe.lr=0.1", "did you mean recipe.optimizer.lr?"),
    ("train +recipe.loss.weight=[1,2]", "recipe.class_weights does that; say recipe.class_weights=[1,2]"),
    ("train trainer.precision=17", "trainer.precision=17: must be one of"),
    ("train compile=cuda_graphs trainer=cpu", "a CUDA graph needs a GPU; compile=true compiles for a CPU"),
    ("train trainer.devices=two", "must be a number, a list of indices, or auto"),
    ("train trainer.accelerator=gpuu", "did you mean gpu?"),
    ("train trainer.strategy=dpd", "must be one of auto, ddp, fsdp, two_towers"),
    ("train trainer.x=1", "no such option; there is accelerator, devices"),
    ("train trainer.max_steps=9", "+trainer.max_steps=<value> adds it"),
    ("train +trainer.callbacks=x", "the group callbacks does that"),
    ("train data.root=nope", "scikit-learn brings these digits along"),
    ("train data=imagenet data.root=nope", "there is no folder"),
    ("train data=tiny_imagenet data.root=0.png", "is a file, not a folder"),
    ("train model.weights=NOPE", "model.weights=NOPE: no such file or folder, and cnnlit has MNIST"),
    ("train model.weights=nope.ckpt", "there is no nope.ckpt"),
    ("evaluate run=run trainer.accelerator=gpuu", "did you mean gpu?"),
    ("predict images=0.png model=lenet5 model.weights=MNST", "model.weights=MNST: no such file or folder"),
    ("doctor data=folder data.root=nope", "there is no folder"),
    ("prepare data.root=nope prepare.to=x", "there is no folder"),
    ("train lenet5", "say experiment=lenet5 or model=lenet5"),
    ("train hydra.run.dir=0.png/x", "0.png/x cannot be written"),
    ("describe model=lenet", "did you mean lenet5?"),
    ("describe against=nope", "model=nope: no such choice"),
    ("describe to=x.pdf", "it must end with .txt"),
    ("dashboard project=a/b by=model.poling", "did you mean model.pooling?"),
    ("dashboard project=a/b by=modle.pooling", "did you mean model.pooling?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something that passes for a run and an image, and a module that Python runs when it starts."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    (folder / "0.png").write_bytes(b"")
    (folder / "sitecustomize.py").write_text(TELLS)
    return folder


@pytest.mark.parametrize(("line", "says"), WRONG, ids=lambda value: value.split("=")[-1])
def test_wrong_input_is_told_before_torch_is_imported(folder: Path, line: str, says: str) -> None:
    command, *words = line.split()
    outcome = as_typed.cnnlit(folder, command, *words, PYTHONPATH=f"{as_typed.ROOT}:{folder}")
    message, tells = outcome.stderr.splitlines()
    assert outcome.returncode in (1, 2)
    assert message.startswith("cnnlit: ")
    assert says in message
    imported, seconds = tells.split()
    print(f"{float(seconds):.2f} s of CPU: {line}")  # noqa: T201  to be read with -s, on a machine that is idle
    assert imported == "False"
