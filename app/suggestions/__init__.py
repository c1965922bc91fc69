"""Ask the engine, keep the answer, take the decision."""
