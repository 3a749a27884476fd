"""What an annotator changes: one act, one module, with the small steps that they share below."""
