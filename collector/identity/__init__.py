"""Who agents are in a cluster, and who the collector is to them: reviewed tokens, and an authority of its own."""
