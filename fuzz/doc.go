// Package fuzz holds the fuzz targets of lanes: every kernel on every
// instruction set against its pure-Go twin, and every parser against hostile
// bytes. It has no code of its own.
//
//	go test -fuzz=FuzzSafetensors -fuzztime=30s ./fuzz
package fuzz
