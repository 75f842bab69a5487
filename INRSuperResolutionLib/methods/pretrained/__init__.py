"""What the methods that are trained ahead share: weights, encoder, networks, and how they are used."""
