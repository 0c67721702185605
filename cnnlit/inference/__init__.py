"""What numbers can say: intervals, tests and how many it takes. Nothing here knows of runs."""
