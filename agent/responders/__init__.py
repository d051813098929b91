"""What an agent answers to its peers: STAMP over UDP, and HTTP and bare TCP connects on one port."""
