"""What a caller means: grammars first, then a model and a second opinion that must agree. docs/understanding.md."""
