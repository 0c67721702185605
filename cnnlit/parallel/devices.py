"""Which devices this machine has, and what its CPU and memory do."""

import ctypes
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch

from cnnlit.parallel.trainer_arguments import check_devices

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""What glibc's malloc.h calls them."""

AMPERE = (8, 0)
"""Compute capability of the first GPUs with tensor cores for bfloat16 and TF32."""

SINGLE_IMAGE_STEPS = 50_000
"""From so many steps of one image on, torch.compile pays on a CPU: it takes as long as some 10,000 of them, and a step
of LeNet-5 then takes 0.55 of the time; with 64 images 0.96, and with ReLU 1.8 (docs/performance.md)."""

SMALL_SIDE = 32
GPU_PRESENTATIONS = 1_000_000
"""From so many presentations of larger images on, a GPU is taken to win more than the minute that compiling takes."""

COMPILERS: dict[object, dict[str, Any]] = {True: {}, "cuda_graphs": {"backend": "cudagraphs", "dynamic": False}}
"""What torch.compile is given for each value of `compile`; the second replays the very kernels of a step as it is."""

PROCESSES_PER_CORE = 4
"""More than one, so that training on several devices can be tried out on a small machine."""


def num_devices(accelerator: str, devices: int | str | list[int]) -> int:
    """The number of this machine's devices that are asked for; more than it has is refused before anything starts.

    Args:
        accelerator: as lightning.Trainer takes it.
        devices: likewise: a number, a list of indices, "auto" or -1.

    Returns:
        Their number; for an accelerator unknown here, the number as given.

    Raises:
        ValueError: one line saying how many there are.
    """
    gpus = torch.cuda.device_count()
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus > 0)
    cores = os.cpu_count() or 1
    processes = PROCESSES_PER_CORE * cores
    if devices in ("auto", -1, "-1"):
        return max(1, gpus) if on_gpu else 1
    check_devices(devices)
    if isinstance(devices, list):
        count, highest = len(devices), max(devices, default=-1) + 1
    else:
        count = highest = int(devices)
    if accelerator not in ("auto", "cpu", "gpu", "cuda"):
        return count
    if on_gpu and gpus == 0:
        raise ValueError(f"trainer.accelerator={accelerator}: this machine has no GPU; use cpu or auto")
    found = f"{gpus} GPUs" if on_gpu else f"{cores} CPU cores, for {processes} processes at most"
    if not 1 <= highest <= (gpus if on_gpu else processes):
        raise ValueError(f"trainer.devices={devices}: this machine has {found}")
    return count


def uses_gpu(accelerator: str) -> bool:
    """Whether this accelerator, as lightning.Trainer takes it, is a GPU of NVIDIA's or AMD's here."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def chosen_precision(precision: Any, accelerator: str, *, half: bool) -> Any:
    """The value of `trainer.precision`; in place of `auto` bfloat16 on a GPU with tensor cores for it, or float32.

    Args:
        precision: as configured.
        accelerator: as lightning.Trainer takes it.
        half: whether the recipe lets `auto` choose bfloat16.
    """
    if precision != "auto":
        return precision
    return "bf16-mixed" if half and uses_gpu(accelerator) and _capability() >= AMPERE else "32-true"


def compiling_pays(accelerator: str, *, steps: int, batch_size: int, image_size: int) -> bool:
    """Whether torch.compile is expected to win more time in a training than it takes.

    Args:
        accelerator: as lightning.Trainer takes it.
        steps: of the whole training.
        batch_size: images in each.
        image_size: their side, in pixels.
    """
    if uses_gpu(accelerator):
        return image_size > SMALL_SIDE and steps * batch_size >= GPU_PRESENTATIONS and _capability() >= AMPERE
    if accelerator not in ("auto", "cpu") or batch_size > 1 or steps < SINGLE_IMAGE_STEPS:
        return False
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def _capability() -> tuple[int, int]:
    return torch.cuda.get_device_capability()


def computing(precision: Any, compiled: object, device: torch.device) -> list[str]:
    """How a run computes, for a person to read; nothing where that is float32 on a CPU, as it is written."""
    gpu = device.type == "cuda"
    said = []
    if str(precision).startswith("32"):
        said += [f"float32, {_tf32()}"] if gpu else []
    else:
        said.append(f"trainer.precision={precision}" + (f", {_tf32()}" if gpu else ""))
    return [*said, *([f"compile={str(compiled).lower()}"] if compiled else [])]


def _tf32() -> str:
    """Where float32 is multiplied as TF32, which keeps ten bits of each factor."""
    convolutions = torch.backends.cudnn.allow_tf32 and _capability() >= AMPERE
    products = torch.get_float32_matmul_precision() != "highest" and _capability() >= AMPERE
    where = {(True, True): "", (True, False): " in convolutions alone", (False, True): " in matrix products alone"}
    return f"TF32{where[convolutions, products]}" if convolutions or products else "no TF32"


def emulates_bfloat16() -> bool:
    """Whether the CPU is known to lack bfloat16 instructions, which makes bfloat16 several times as slow as float32.

    False where torch cannot tell.
    """
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch
    return bool(capabilities) and not any(there for name, there in capabilities.items() if "bf16" in name)


@contextmanager
def telling_full_memory(refusal: type[Exception], advice: str) -> Iterator[None]:
    """A device whose memory is full ends the block with a refusal, one line that says what takes less."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise refusal(f"the memory of the device is full: {advice}") from error


def smaller_tests(datamodule: Any) -> str:
    """What takes less memory in a test."""
    at_once = getattr(datamodule, "hparams", {}).get("eval_batch_size")
    return f"data.eval_batch_size={max(1, at_once // 2)} tests fewer images at once" if at_once else "smaller batches"


def keep_freed_memory() -> None:
    """Let the CPU memory that one training step frees be reused by the next one.

    The C library returns freed memory to the system and gets it back page by page, each page cleared, which takes a
    tenth of an AlexNet step and a twentieth of a LeNet-5 step. Does nothing where the C library is not glibc.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_MAX, 0)


@contextmanager
def as_it_was() -> Iterator[None]:
    """After the block, the process has the random numbers, threads, warnings and settings of torch from before."""
    from lightning.pytorch.utilities.seed import isolate_rng

    threads, environment = torch.get_num_threads(), dict(os.environ)
    backends = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    exact = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with isolate_rng(), warnings.catch_warnings():
            yield
    finally:
        torch.set_num_threads(threads)
        _restore(environment)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = backends
        torch.use_deterministic_algorithms(exact[0], warn_only=exact[1])


def _restore(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
