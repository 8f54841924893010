"""The host for third-party WASM components and their capabilities."""
