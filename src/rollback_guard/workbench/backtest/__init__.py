"""Play rules over history: when would they have fired, what would have been done, and how near did the rest come."""
