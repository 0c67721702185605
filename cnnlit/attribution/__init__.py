"""Looking inside a trained network: deconvnet, occlusion."""
