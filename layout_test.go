package lanes

import (
	"encoding/json"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/golanes/lanes/"

// layers orders the top-level folders; a package imports lower layers only, and
// within a layer only its own folder. The folders without a number are tools
// over everything.
var layers = map[string]int{
	"asm": 0, "internal": 0, "kernels": 1,
	"conv": 2, "pool": 2, "attention": 2, "ccloss": 2,
	"train": 3, "infer": 3,
	"bench": 4, "cmd": 5, "fuzz": 6,
}

// crossings are the imports that the layers alone would forbid.
var crossings = map[string]string{
	// The ONNX format: train writes what infer reads.
	"train": "infer/onnx",
	// The checkpoint format is a leaf, and the reference cases are stored in it.
	"kernels/kerneltest": "train/safetensors",
	"infer":              "train/safetensors",
}

type listed struct {
	ImportPath              string
	Imports, TestImports    []string
	XTestImports, SFiles    []string
	GoFiles, IgnoredGoFiles []string
	Dir                     string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// needGo skips where the test binary runs without a Go toolchain at hand, as
// under an emulator.
func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command on this machine")
	}
}

func top(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

func TestImportsGoDown(t *testing.T) {
	needGo(t)
	for _, p := range list(t, "./...") {
		from, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			continue
		}
		level, known := layers[top(from)]
		if !known {
			t.Errorf("%s: %s is no folder of the layout", p.ImportPath, top(from))
			continue
		}
		for _, path := range p.Imports {
			to, ok := strings.CutPrefix(path, module)
			if !ok || top(to) == top(from) {
				continue
			}
			if layers[top(to)] >= level && !allowed(from, to) {
				t.Errorf("%s imports %s: imports go down the layers", from, to)
			}
			if top(to) == "asm" && from != "kernels" {
				t.Errorf("%s imports %s: only kernels imports assembly", from, to)
			}
		}
	}
}

func allowed(from, to string) bool {
	for prefix, target := range crossings {
		if (from == prefix || strings.HasPrefix(from, prefix+"/")) && to == target {
			return true
		}
	}
	return false
}

// TestPuregoHasNoAssembly checks that the tag purego leaves no assembly file on
// any architecture that has some.
func TestPuregoHasNoAssembly(t *testing.T) {
	needGo(t)
	for _, arch := range []string{"amd64", "arm64"} {
		t.Setenv("GOARCH", arch)
		assembly := 0
		for _, p := range list(t, "./...") {
			assembly += len(p.SFiles)
		}
		if assembly == 0 {
			t.Errorf("GOARCH=%s: no assembly file found", arch)
		}
		for _, p := range list(t, "-tags=purego", "./...") {
			if len(p.SFiles) > 0 {
				t.Errorf("GOARCH=%s purego: %s still has %v", arch, p.ImportPath, p.SFiles)
			}
		}
	}
}

// TestTaggedFilesExportNothing checks that a file with a build constraint
// declares no exported name: the API is the same on every platform. asm/* is
// exempt, being per-platform by nature.
func TestTaggedFilesExportNothing(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), "_") || path == "asm" || path != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if !tagged(path, f) {
			return nil
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() {
				t.Errorf("%s exports %s from a file with a build constraint", path, fn.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func tagged(path string, f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() < f.Package && constraint.IsGoBuild(c.Text) {
				return true
			}
		}
	}
	stem := strings.TrimSuffix(filepath.Base(path), ".go")
	i := strings.LastIndexByte(stem, '_')
	return i >= 0 && slices.Contains([]string{"amd64", "arm64", "linux", "unix", "windows", "darwin"}, stem[i+1:])
}
