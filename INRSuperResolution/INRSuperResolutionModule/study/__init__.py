"""Blinded reader studies in Slicer; what a study is stands in the library."""
