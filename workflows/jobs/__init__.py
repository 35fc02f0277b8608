"""How jobs run: idempotency, outputs, checkpoints, progress, site."""
