"""``inrsr benchmark paper1`` to ``paper5``: the tables of the five papers in shape, at any size. See Documentation/papers.md."""
