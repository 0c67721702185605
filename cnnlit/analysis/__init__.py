"""What the numbers of runs say: arms, measures, statistics, verdicts."""
