"""The workspace: an annotator corrects one sample segment by segment beside its images."""
