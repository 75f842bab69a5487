"""Sharp zoom: slice views redrawn from a volume's explicit function at their own pixels."""
