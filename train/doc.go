// Package train trains image classifiers.
package train
