# Stands in for golang of Docker Hub, from what this machine has: its Go, a
# static busybox for a shell, its CA certificates.
FROM scratch
COPY . /
ENV PATH=/usr/local/go/bin:/bin GOROOT=/usr/local/go GOPATH=/go
