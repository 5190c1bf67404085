module github.com/golanes/lanes

go 1.26.0

require golang.org/x/sys v0.49.0

require github.com/klauspost/cpuid/v2 v2.4.2

require gonum.org/v1/gonum v0.17.0

require (
	golang.org/x/image v0.47.0
	golang.org/x/text v0.43.0 // indirect
)
