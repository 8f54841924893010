"""Limits, compliance policy, signing, ledger, lifecycle and the gate beside the plant."""
