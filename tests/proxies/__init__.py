"""The configurations of deploy/proxy, in the real nginx and HAProxy: `make test-proxies`."""
