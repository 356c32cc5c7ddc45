"""What is handed out to run elsewhere: the image, the compose file, the chart. `make test-deploy`.

Not a part of `make test`: it needs programs of Debian's and of the package indexes (`tools`), and
builds an image. The files are called `check_…`, so that a run of everything passes them over.

No container engine and no cluster is needed. The image is built by buildah and run by crun; compose
and chart are held to the schemas of those who read them, and what the compose file starts is
started here too, as processes and in containers: the same commands, environment, secrets and health
checks.
"""
