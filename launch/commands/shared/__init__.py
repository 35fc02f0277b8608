"""What several commands share: their options, what they read, what they write."""
