"""The types of a click, weakest first."""

EVENT_TYPES = ("view", "add_to_cart", "purchase")
