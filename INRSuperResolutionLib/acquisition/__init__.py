"""How a scanner sees the patient: slice profiles, what a voxel is the mean of, simulated scans, noise."""
