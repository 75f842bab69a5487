"""Blinded reader studies: pairs side by side, in random order and on random sides; needs no torch."""
