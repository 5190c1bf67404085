package serve

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golanes/lanes/infer"
)

// TestPageFiles checks that the page's files are sent, and name nothing outside.
func TestPageFiles(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{Name: `<b>"net"`})
	outside := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]+\.[a-z]`)
	for path, kind := range map[string]string{"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"} {
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if m := outside.FindString(w.Body.String()); m != "" {
			t.Errorf("%s refers to %s", path, m)
		}
		if strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s does not escape the model's name", path)
		}
	}
	srv = open(t, pair(t), Options{})
	w := httptest.NewRecorder()
	if srv.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != 200 || !strings.Contains(w.Body.String(), "does not take pictures") {
		t.Errorf("a model without pictures: %d %s", w.Code, w.Body)
	}
}

// TestPageInChromium opens the page in a browser, has it classify its sample,
// and reads the classes from the document.
func TestPageInChromium(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	srv, err := New(classifier(t, 0), infer.ImageOptions{Labels: []string{"ant", "<i>bee</i>", "cat"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	addr, _ := listen(t, srv)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=20000", "--dump-dom", "http://"+addr+"/?sample")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	rows := regexp.MustCompile(`<tr><td>([^<]+)</td><td><meter[^>]*></meter>([0-9.]+ %)</td></tr>`).FindAllStringSubmatch(string(out), -1)
	if len(rows) != 3 {
		t.Fatalf("%d classes in\n%s\n%s", len(rows), out, errs.String())
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r[1]] = true
	}
	if !seen["ant"] || !seen["&lt;i&gt;bee&lt;/i&gt;"] || !seen["cat"] {
		t.Errorf("classes %v", rows)
	}
	if !regexp.MustCompile(`sample\.png: [0-9]+ ms`).Match(out) {
		t.Errorf("no status in\n%s", out)
	}
}
