# Stands in for golang of Docker Hub, from what this machine has: a static
# busybox for a shell, its CA certificates, and its Go, which is mounted.
FROM scratch
COPY . /
ENV PATH=/usr/local/go/bin:/bin GOROOT=/usr/local/go GOPATH=/go
