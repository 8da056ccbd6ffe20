"""The hub: one register of people for many doors, and what a door does with what it sends."""
