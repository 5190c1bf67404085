// Package serve answers HTTP requests with a model.
//
//	GET  /                            a page where a person drops a picture
//	POST /classify?top=K              a picture, as the body or as a form's file
//	GET  /v2, /v2/health/live, /v2/health/ready
//	GET  /v2/models/NAME, /v2/models/NAME/ready
//	POST /v2/models/NAME/infer        tensors in JSON
//	GET  /metrics                     in the text format of Prometheus
//
// The paths under /v2 are version 2 of the Open Inference Protocol of KServe,
// with data in JSON; NAME may be followed by /versions/1. Errors are {"error": "..."}.
//
// Requests wait in one bounded queue. Where the model leaves the batch open,
// waiting requests run together: see [Options].MaxBatch. A batch is cut into runs
// of 1, 2, 4, ... rows, so that a session needs few plans; answers may differ from
// those of single runs by rounding, since algorithms are chosen by shape.
//
// Memory is bounded: bodies by [Options].MaxBody each and [Options].MaxBodies
// together, decoded pictures by [Options].MaxPixels and one for each thread, and
// tensors by the queue and the body that they came from.
package serve
