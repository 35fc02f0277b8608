"""The commands of ``devitrify``."""
