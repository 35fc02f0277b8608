"""Many campaigns for a long time, while everything fails now and then."""
