"""Single wrong changes to the rules that matter most, and the tests that must notice them."""
