package main

import (
	"bytes"
	"testing"
	"time"
)

func TestBar(t *testing.T) {
	var screen bytes.Buffer
	b := &bar{screen: &screen, columns: 34}
	for _, c := range []struct {
		done, total int64
		text, want  string
	}{
		{0, 3, "a: 0", "\r[                        ] a: 0"},
		{1, 3, "a", "\r[########                ] a   "},           // covers what was longer
		{3, 3, "long text", "\r[########################] long t"}, // 33 columns: the last stays free
		{5, 3, "é", "\r[########################] é     "},
		{1, 0, "", "\r[                        ]  "},
	} {
		screen.Reset()
		b.next = time.Time{}
		b.set(c.done, c.total, c.text)
		if got := screen.String(); got != c.want {
			t.Errorf("%d of %d: drew %q, want %q", c.done, c.total, got, c.want)
		}
	}
	screen.Reset()
	if b.set(2, 3, "at once"); screen.Len() != 0 {
		t.Errorf("drew %q within %v", screen.String(), barEvery)
	}
	if b.clear(); screen.String() != "\r"+"                           "+"\r" {
		t.Errorf("clear wrote %q", screen.String())
	}
	newBar(&screen).set(1, 2, "no terminal")
	newBar(&screen).clear()
}
