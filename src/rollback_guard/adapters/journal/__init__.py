"""Keep the journal, one module per database."""
