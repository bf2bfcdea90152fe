"""What a micro-CT would have shown, from clinical CT."""
