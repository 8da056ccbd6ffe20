"""The commands of the workstation: convert-model and train-triplet."""
