"""What touches the operating system: files that survive a power cut, threads, units, heat."""
