"""Site packs and the emulated plants that they run on."""
