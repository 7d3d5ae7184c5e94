"""Doors in from other libraries: their scripts run here with the import changed."""
