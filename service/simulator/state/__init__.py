"""What the simulated WeChat remembers, in memory only."""
