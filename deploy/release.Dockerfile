# The images of a release: goreleaser brings a folder of binaries for each
# platform, and runs this once for each image. From a clone, build ./Dockerfile.

# It has the CA certificates, and links are made in it: FROM scratch has no shell.
FROM --platform=$BUILDPLATFORM golang:1.26 AS files
ARG BINARY
RUN mkdir -p /image/usr/local/bin /image/etc/ssl/certs && \
    ln -s "$BINARY" /image/usr/local/bin/service && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    echo 'nonroot:x:65532:65532::/:/nonexistent' > /image/etc/passwd && \
    echo 'nonroot:x:65532:' > /image/etc/group

FROM scratch
ARG TARGETPLATFORM
COPY --from=files /image /
COPY $TARGETPLATFORM/ /usr/local/bin/
ENV PATH=/usr/local/bin
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/service"]
