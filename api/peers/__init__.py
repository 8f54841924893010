"""Other planners beside ours: one stated problem, one simulator, one process a planner."""
