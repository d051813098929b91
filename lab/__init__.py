"""A cluster on one machine, made of Linux network namespaces: real packets, real faults, no Kubernetes needed."""
