"""How networks are trained: the LightningModule, losses, optimizers, schedules, metrics, seeds in lockstep."""
