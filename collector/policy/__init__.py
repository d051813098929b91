"""Who may reach whom: what the network policies in force say of a connection, and which of them decided. Pure."""
