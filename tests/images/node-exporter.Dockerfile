# Stands in for the published image of the node-exporter, which has busybox.
ARG BASE
FROM ${BASE}
# Installed only: nothing starts.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      prometheus-node-exporter busybox \
 && ln -s /bin/busybox /usr/local/bin/wget
USER 65534
ENTRYPOINT ["/usr/bin/prometheus-node-exporter"]
