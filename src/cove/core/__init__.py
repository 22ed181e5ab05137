"""The rules of Cove: pure functions over frozen values, without input, output, clock or randomness."""
