package report

import (
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis     axis
		from, to float64
		n        int
		want     string
	}{
		{axis{}, 0, 1, 5, "0 0.2 0.4 0.6 0.8 1.0"},
		{axis{}, -0.03, 1.03, 4, "0 0.5 1.0"},
		{axis{}, 0, 5, 5, "0 1 2 3 4 5"},
		{axis{}, -5, 5.2, 6, "-4 -2 0 2 4"},
		{axis{}, 89.97, 90.12, 4, "90.00 90.05 90.10"},
		{axis{}, 0, 2.5e9, 5, "0 5e+08 1e+09 1.5e+09 2e+09 2.5e+09"},
		{axis{}, 0, 4e-9, 4, "0 1e-09 2e-09 3e-09 4e-09"},
		{axis{whole: true}, 0.95, 2.05, 8, "1 2"},
		{axis{whole: true}, 1, 30, 8, "5 10 15 20 25 30"},
		{axis{names: []tick{{0, "b"}, {1, "a"}}}, -0.5, 1.5, 9, "b a"},
	} {
		var got []string
		for _, k := range c.axis.ticks(span{c.from, c.to}, c.n) {
			got = append(got, k.text)
			if c.axis.names == nil {
				if v, err := strconv.ParseFloat(k.text, 64); err != nil || math.Abs(v-k.at) > 1e-12*math.Abs(k.at) {
					t.Errorf("[%g, %g]: the tick at %g is called %s", c.from, c.to, k.at, k.text)
				}
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("[%g, %g] in %d: %s, want %s", c.from, c.to, c.n, text, c.want)
		}
	}
}

// coordinates matches what places or sizes an element.
var coordinates = regexp.MustCompile(`(?:\b(?:x|y|cx|cy)|d)="([^"]*)"`)

// checkDrawing parses a chart as XML, returns its texts, and fails if a number is
// not finite or lies outside the drawing.
func checkDrawing(t *testing.T, c *chart) (texts []string) {
	t.Helper()
	drawn := string(c.svg())
	if again := string(c.svg()); again != drawn {
		t.Error("the same chart gave two drawings")
	}
	d := xml.NewDecoder(strings.NewReader(drawn))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, drawn)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	for _, m := range coordinates.FindAllStringSubmatch(drawn, -1) {
		for _, field := range strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune(" MLh", r) }) {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil || !(v >= 0 && v <= max(c.width, c.height)) {
				t.Errorf("%s is not inside the drawing", m[0])
			}
		}
	}
	return texts
}

func TestChart(t *testing.T) {
	c := chart{width: 300, height: 200, x: axis{title: "a&b"}, y: axis{title: "<y>"},
		series: []series{
			{name: "line \"1\"", colour: blue, line: 1, dot: 2, points: []point{{0, 0}, {1, 10}, {math.NaN(), 3}, {2, math.Inf(1)}, {4, 1e301}, {3, 5}}},
			{name: "dashed", colour: grey, line: 1, dashed: true, points: []point{{0, 10}, {3, 0}}},
			{colour: ink, dot: 2, square: true, faint: true, points: []point{{1, 1}}},
			{name: "nothing", colour: ink, line: 1, dot: 1, points: []point{{math.NaN(), 0}}},
		},
		labels: []label{{point{3, 5}, "a long name at the right edge"}, {point{math.NaN(), 0}, "nowhere"}},
	}
	texts := checkDrawing(t, &c)
	for _, want := range []string{"a&b", "<y>", `line "1"`, "dashed", "nothing", "a long name at the right edge", "0", "10"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no text %q in %q", want, texts)
		}
	}
	if slices.Contains(texts, "nowhere") {
		t.Error("a label without a place is drawn")
	}
	drawn := string(c.svg())
	for text, want := range map[string]int{"<circle": 3, "<rect": 1, "opacity": 1, "stroke-dasharray": 2} {
		if n := strings.Count(drawn, text); n != want {
			t.Errorf("%d times %s, want %d", n, text, want)
		}
	}
}

// TestChartRanges draws points at the ends of what numbers can be.
func TestChartRanges(t *testing.T) {
	for _, values := range [][]float64{
		nil, {0}, {5}, {-1e-300}, {1e300, -1e300}, {1e300}, {1, 1 + 1e-15}, {5e-324, 0}, {1e-310, 2e-310}, {1e9, 1e9 + 1},
		{math.Inf(-1), math.NaN()}, {-3, -2}, {1e-20, 1}, {-1e-3, 1e300},
	} {
		for _, whole := range []bool{false, true} {
			c := chart{width: 400, height: 250, x: axis{title: "x", whole: whole}, y: axis{title: "y"}}
			s := series{name: "s", colour: blue, line: 1, dot: 2}
			for _, v := range values {
				s.points = append(s.points, point{v, v})
			}
			c.series = []series{s}
			xs, ys := c.ranges()
			if !(xs.from < xs.to && ys.from < ys.to) {
				t.Fatalf("%v: ranges %v and %v", values, xs, ys)
			}
			for _, ticks := range [][]tick{c.x.ticks(xs, 7), c.y.ticks(ys, 5)} {
				if len(ticks) > 12 || len(ticks) == 0 && !whole {
					t.Errorf("%v: %d ticks", values, len(ticks))
				}
			}
			checkDrawing(t, &c)
		}
	}
}
