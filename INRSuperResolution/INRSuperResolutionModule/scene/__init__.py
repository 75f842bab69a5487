"""What the scene holds and the views show: inputs, results, segmentations, comparisons."""
