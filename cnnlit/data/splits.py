"""Which images are held out."""

import torch
from torch import Tensor


def hold_out(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images to train on and of those held out, stratified by label.

    Args:
        labels: int64 [N].
        share: how many are held out, or which fraction of them if it is below 1; 0 for none.
        seed: which ones.

    Raises:
        ValueError: if a class would be left without an image on one side.
    """
    everything = torch.arange(len(labels))
    count = round(share * len(labels)) if share < 1 else int(share)
    if share == 0:
        return everything, everything[:0]
    num_classes = len(torch.unique(labels))
    if not num_classes <= count <= len(labels) - num_classes:
        raise ValueError(
            f"data.val_split={share}: hold out 0, or {num_classes} to {len(labels) - num_classes} "
            f"of the {len(labels)} training images"
        )
    from sklearn.model_selection import train_test_split

    train, val = train_test_split(everything, test_size=count, stratify=labels, random_state=seed)
    return train, val
