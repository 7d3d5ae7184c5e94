"""What was learned on small trainings, in a person's own: `LearnedSchedule`, and `StrategyCallback` for the `Trainer`."""
