"""What a run will need, predicted before it: memory and time, from its shapes and one timed call of each kind."""
