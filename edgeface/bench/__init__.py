"""What this machine and this model can do: latency, memory, start-up, accuracy on pairs."""
