"""Several tasks side by side, where their parameters can be stacked."""
