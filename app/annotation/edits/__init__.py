"""What an annotator can change: one module per act, above the small steps that the acts share."""
