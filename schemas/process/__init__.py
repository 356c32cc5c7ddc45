"""How a process lives: settings, log lines, admin port, noticing that it hangs, ending."""
