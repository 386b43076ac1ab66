// Package resume keeps the parts of a long measurement in a file, one line of JSON each as soon as it is over, so that it
// can go on where it was interrupted.
//
// # What it owns
//
// The file: the first line says under which conditions the others were measured. A last line that was cut off is
// dropped.
//
// # What it refuses
//
// A file that was begun under other conditions, or is none of ours: it stays as it is.
//
// # Goroutines
//
// None. A File belongs to one goroutine.
package resume
