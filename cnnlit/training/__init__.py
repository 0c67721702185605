"""The LightningModule that trains any architecture; losses, optimizers, schedules, metrics."""
