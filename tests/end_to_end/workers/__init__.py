"""Workers on servers of their own, with the scripted model: one dies, wakes, joins or leaves."""
