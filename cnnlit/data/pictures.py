"""Sets of pictures, in the memory of one device or in files, from which batches are taken by number."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cnnlit.data.augmentation import Augmentation
from cnnlit.data.decoding import in_rgb, progress, read_picture
from cnnlit.data.image_folders import Files
from cnnlit.data.order import Batches, Presentations, generator
from cnnlit.data.resampling import resample, show

Batch = tuple[Tensor, Tensor]

MEAN_SAMPLE = 10_000
"""Photographs that their mean image is estimated from."""


class Shown(NamedTuple):
    """Presentations with their geometry done and their colours as they were."""

    images: Tensor
    """[N, 3, image_size, image_size], 0 to 255; uint8, or float32 where a device resampled them."""
    labels: Tensor
    """int64 [N]."""
    draws: Tensor
    """float32 [N, k], random numbers for Augmentation.finish."""


class ResidentPictures(Dataset[Batch]):
    """Pictures of one size that lie in the memory of one device.

    `dataset[epoch, presentations]` is `(images, labels)`: float32 [N, 3, image_size, image_size], on the scale of the
    network's input, and int64 [N], both on that device.

    Args:
        pixels: uint8 [N, 3, H, W].
        labels: int64 [N], on the same device.
        augmentation: what is done to them.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, augmentation: Augmentation) -> None:
        self.pixels = pixels
        self.labels = labels
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, batch: Presentations) -> Batch:
        images, labels, draws = self.shown(batch)
        return self.augmentation.finish(images, draws), labels

    def shown(self, batch: Presentations) -> Shown:
        """The batch before its colours are touched."""
        epoch, presentations = batch
        device = self.pixels.device
        indices = (presentations % len(self)).to(device)
        sizes = torch.tensor(self.pixels.shape[2:]).expand(len(presentations), 2)
        windows = self.augmentation.windows(sizes, epoch, presentations)
        images = resample(self.pixels.index_select(0, indices), windows)
        draws = self.augmentation.draws(epoch, presentations).to(device)
        return Shown(images, self.labels.index_select(0, indices), draws)


class Photographs(Dataset[Shown]):
    """Pictures of any size in files, decoded when they are shown, on the processor.

    `dataset[epoch, presentations]` is `Shown`, uint8, on the processor: what is left to do is for the device that
    trains.

    Args:
        files: where they are.
        augmentation: what is done to them.
    """

    def __init__(self, files: Files, augmentation: Augmentation) -> None:
        self.files = files
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, batch: Presentations) -> Shown:
        epoch, presentations = batch
        indices = presentations % len(self)
        paths = [self.files.path(index) for index in indices.tolist()]
        opened = [read_picture(path) for path in paths]
        sizes = torch.tensor([(picture.height, picture.width) for picture in opened])
        windows = self.augmentation.windows(sizes, epoch, presentations)
        side = self.augmentation.image_size
        images = np.empty((len(paths), side, side, 3), np.uint8)
        for number, (picture, path) in enumerate(zip(opened, paths, strict=True)):
            images[number] = show(in_rgb(picture, path), windows.box[number], windows.size[number])
        draws = self.augmentation.draws(epoch, presentations)
        return Shown(torch.from_numpy(images).movedim(3, 1), self.files.labels[indices], draws)


class Gallery:
    """Photographs as a sequence of uint8 [3, image_size, image_size], each decoded when it is asked for.

    Args:
        photographs: whose augmentation is without chance.
    """

    def __init__(self, photographs: Photographs) -> None:
        self.photographs = photographs

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: Any) -> Any:
        """One picture for a number, a shorter gallery for a slice."""
        if isinstance(index, slice):
            files = self.photographs.files.subset(torch.arange(len(self))[index])
            return Gallery(Photographs(files, self.photographs.augmentation))
        return self.photographs[0, torch.arange(len(self))[index].view(1)].images[0]


def mean_image(dataset: ResidentPictures | Photographs, seed: int, num_workers: int) -> Tensor:
    """The mean of the pictures as they are shown, pixel by pixel.

    Deviation: of more than MEAN_SAMPLE photographs that many are taken, at random; the standard error of a pixel's mean
    is then below 1/255. And it is the mean of the views that the network is tested on, where Krizhevsky et al. 2012
    take it before they crop.

    Args:
        dataset: whose augmentation is without chance.
        seed: of the sample.
        num_workers: processes that decode photographs.

    Returns:
        float32 [3, image_size, image_size] on the CPU, 0 to 255.
    """
    count = len(dataset)
    if isinstance(dataset, Photographs) and count > MEAN_SAMPLE:
        chosen = torch.randperm(count, generator=generator(seed))[:MEAN_SAMPLE].sort().values
        dataset, count = Photographs(dataset.files.subset(chosen), dataset.augmentation), MEAN_SAMPLE
    batches = Batches(count, 250, order="sequential")
    if isinstance(dataset, ResidentPictures):
        shown = (dataset.shown(batch).images for batch in batches)
    else:
        loader = DataLoader(dataset, batch_size=None, sampler=batches, num_workers=num_workers)
        shown = (batch.images for batch in progress(loader, "mean image", len(batches)))
    total = sum((images.sum(dim=0, dtype=torch.float64) for images in shown), start=torch.zeros(()))
    return (total / count).float().cpu()
