"""The page in a real Chromium: against a scripted gateway, where every frame is the test's."""
