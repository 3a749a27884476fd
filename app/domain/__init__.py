"""Pure rules of the product: the standard library, regex and diff-match-patch, nothing of ours."""
