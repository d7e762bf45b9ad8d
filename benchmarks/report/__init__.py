"""Tables, targets and the page that shows them."""
