package serve

import (
	"embed"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page
var pageFS embed.FS

// pageFiles are the files of the page, by the pattern of their paths.
var pageFiles = map[string]string{"/{$}": "page.html", "/page.css": "page.css", "/page.js": "page.js"}

// page sends a file of the page, which loads nothing from elsewhere.
func (s *Server) page(w http.ResponseWriter, file string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	kind := "text/html"
	switch {
	case strings.HasSuffix(file, ".css"):
		kind = "text/css"
	case strings.HasSuffix(file, ".js"):
		kind = "text/javascript"
	case s.classifier == nil:
		file = "none.html"
	}
	b, err := pageFS.ReadFile("page/" + file)
	if err != nil {
		return err
	}
	h.Set("Content-Type", kind+"; charset=utf-8")
	if kind == "text/html" {
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		b = []byte(s.fillIn(string(b)))
	}
	_, _ = w.Write(b) // fails if the client is gone
	return nil
}

// fillIn replaces the few variables of the page. A template engine, which needs
// reflection over all methods, would keep the linker from dropping unused ones.
func (s *Server) fillIn(page string) string {
	reason, size := "", ""
	if s.classifier == nil {
		reason = s.reason.Error()
	} else {
		h, w, _ := s.classifier.Size()
		size = fmt.Sprintf("%d×%d", w, h)
	}
	return strings.NewReplacer(
		"$NAME", html.EscapeString(s.opt.Name),
		"$MODEL", html.EscapeString("v2/models/"+url.PathEscape(s.opt.Name)),
		"$SIZE", size,
		"$REASON", html.EscapeString(reason),
	).Replace(page)
}
