"""Plain nets layer by layer: several tasks at once, and no graph."""
