"""How good a result is: figures, agreement with the input, and the benchmarks."""
