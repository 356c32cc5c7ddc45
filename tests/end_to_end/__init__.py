"""End to end: the stack as `talklog up` starts it, with the scripted model, from outside."""
