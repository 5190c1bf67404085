package serve

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed page
var pageFS embed.FS

// pageFiles are the files of the page, by the pattern of their paths.
var pageFiles = map[string]string{"/{$}": "page/page.html", "/page.css": "page/page.css", "/page.js": "page/page.js"}

var pageTemplate = template.Must(template.ParseFS(pageFS, "page/page.html"))

// page sends a file of the page, which loads nothing from elsewhere.
func (s *Server) page(w http.ResponseWriter, file string) error {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	switch {
	case strings.HasSuffix(file, ".css"):
		h.Set("Content-Type", "text/css; charset=utf-8")
	case strings.HasSuffix(file, ".js"):
		h.Set("Content-Type", "text/javascript; charset=utf-8")
	default:
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		return s.pageHTML(w)
	}
	b, err := pageFS.ReadFile(file)
	if err != nil {
		return err
	}
	_, _ = w.Write(b) // fails if the client is gone
	return nil
}

func (s *Server) pageHTML(w http.ResponseWriter) error {
	data := map[string]any{"Name": s.opt.Name, "Model": "v2/models/" + url.PathEscape(s.opt.Name), "Reason": ""}
	if s.classifier == nil {
		data["Reason"] = s.reason.Error()
	} else {
		data["Height"], data["Width"], data["Channels"] = s.classifier.Size()
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return err
	}
	_, _ = w.Write(b.Bytes()) // fails if the client is gone
	return nil
}
