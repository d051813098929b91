"""`netmatrix verify`: what should hold and whether it does, once and now; or of manifests alone, without a packet."""
