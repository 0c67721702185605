"""Where runs are tracked beside their folders: W&B, TensorBoard, dashboards."""
