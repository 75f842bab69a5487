"""Methods that learn nothing: splines and zero filling."""
