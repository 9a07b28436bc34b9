// Package otelprop has the OpenTelemetry propagator of tracebaton, for services
// that make spans of their own.
//
//	otel.SetTextMapPropagator(otelprop.Propagator{})
//
// # Rules
//
//   - A sampled span that was started here is the parent of the calls made in it.
//     Without one, what came in goes out byte for byte, so that no call hangs
//     below a span that is never exported.
//   - The parent is the first family, in the order of Families, that names a
//     valid one. Within one trace the fresher header wins, because a sidecar
//     renews only the format that it speaks.
//   - A span's IDs are written in B3 and in W3C, so that a neighbour that reads
//     only one of the two stays in the trace.
//   - A sampling decision without IDs goes on as it came. Debug stays within its
//     trace. A malformed or repeated ID is no parent.
//   - A header that Headers.Only of package propagation has dropped from the
//     context is not sent.
//   - All other families are relayed, as package propagation says.
package otelprop
