"""Images, manifests and schedulers: `make test-deploy` runs what needs daemons, the short form here what needs none."""
