"""Hold images out of a training set."""

import torch
from torch import Tensor


def hold_out(labels: Tensor, share: float, seed: int, key: str = "data.val_split") -> tuple[Tensor, Tensor]:
    """The indices of the images to train on and of those held out.

    The split is stratified by label, unless a class has a single image, which cannot be on both sides.

    Args:
        labels: int64 [N].
        share: the number of images to hold out, or their fraction, rounded, if it is below 1; 0 for none.
        seed: of the choice.
        key: the option that sets the share, for messages.

    Raises:
        ValueError: if a class would have no image on one side, or a side would be empty.
    """
    everything = torch.arange(len(labels))
    count = round(share * len(labels)) if share < 1 else int(share)
    if share == 0:
        return everything, everything[:0]
    per_class = torch.unique(labels, return_counts=True)[1]
    stratified = bool(len(per_class) and per_class.min() > 1)
    fewest = len(per_class) if stratified else 1
    if not fewest <= count <= len(labels) - fewest:
        allowed = f"{fewest} to {len(labels) - fewest} of the {len(labels)} training images"
        raise ValueError(f"{key}={share}: hold out {'0, or ' if key == 'data.val_split' else ''}{allowed}")
    from sklearn.model_selection import train_test_split

    stratify = labels if stratified else None
    train, val = train_test_split(everything, test_size=count, stratify=stratify, random_state=seed)
    return train, val
