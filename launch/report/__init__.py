"""What people read of campaigns."""
