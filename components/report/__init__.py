"""What a run came to, for people: facts gathered from its artifacts, and the page that shows them."""
