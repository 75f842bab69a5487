"""Images in the patient: volumes, grids, interpolation, registration, labels, and the files that hold them."""
