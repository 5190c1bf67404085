package main

import (
	"bufio"
	"bytes"
	"image"
	"image/png"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServe starts a server on a free port, asks it and ends it with SIGTERM.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "-o", "net.onnx")
	put(t, dir, "labels.txt", []byte("ant\r\nbee\r\ncat\r\ndog\r\n"))
	cmd := command(t, dir, "serve", "net.onnx", "--addr", "127.0.0.1:0", "--labels", "labels.txt", "--top", "4")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // fails if it has ended, as it should
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("first line %q, %v, %s", line, err, errs.String())
	}
	var img bytes.Buffer
	if err := png.Encode(&img, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/classify", "image/png", &img)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || strings.Contains(string(answer), `\r`) {
		t.Errorf("%d %s, %v", resp.StatusCode, answer, err)
	}
	for _, name := range []string{"ant", "bee", "cat", "dog"} {
		if !strings.Contains(string(answer), `"name":"`+name+`"`) {
			t.Errorf("no %s in %s", name, answer)
		}
	}
	info, err := http.Get(url + "/v2/models/net")
	if err != nil {
		t.Fatal(err)
	}
	info.Body.Close()
	if info.StatusCode != 200 {
		t.Errorf("the model's path: %d", info.StatusCode)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || errs.Len() > 0 {
		t.Errorf("after SIGTERM: %v %s", err, errs.String())
	}
}

func TestWrongServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "bad.onnx", []byte("not a model"))
	put(t, dir, "labels.txt", []byte("ant\nbee\n"))
	must(t, dir, "export", "--model", "resnet8", "--size", "32", "--classes", "4", "-o", "m.onnx")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rejected(t, dir, []string{"bad.onnx"}, "serve", "bad.onnx")
	rejected(t, dir, []string{"absent.onnx"}, "serve", filepath.Join("x", "absent.onnx"))
	rejected(t, dir, []string{"address already in use"}, "serve", "m.onnx", "--addr", l.Addr().String())
	rejected(t, dir, []string{"nowhere"}, "serve", "m.onnx", "--addr", "nowhere")
	rejected(t, dir, []string{"m.onnx", "99x99"}, "serve", "m.onnx", "--size", "99")
	rejected(t, dir, []string{"m.onnx", "2 labels for 4 classes"}, "serve", "m.onnx", "--labels", "labels.txt")
	rejected(t, dir, []string{"means"}, "serve", "m.onnx", "--mean", "0.5")
	rejected(t, dir, []string{"1000000000 workers"}, "serve", "m.onnx", "--workers", "1000000000")
	rejected(t, dir, []string{"--threads"}, "serve", "m.onnx", "--threads", "100000000")
	rejected(t, dir, []string{"--max-batch"}, "serve", "m.onnx", "--max-batch", "0")
	rejected(t, dir, []string{"--timeout"}, "serve", "m.onnx", "--timeout=-1s")
	rejected(t, dir, []string{"slash"}, "serve", "m.onnx", "--name", "a/b")
}
