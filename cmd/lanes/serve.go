package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/infer/serve"
)

// serveCmd is `lanes serve`.
type serveCmd struct {
	Model string `arg:"" help:"ONNX file."`
	Addr  string `default:"127.0.0.1:8080" help:"Address to listen on; port 0 takes a free one."`
	Name  string `help:"The model's name in paths (default the file's, without .onnx)."`

	imageFlags

	Top     int  `default:"5" help:"Classes of an answer that does not say how many it wants."`
	Exact   bool `help:"Only exact convolutions: no Winograd."`
	Threads int  `help:"Threads to use (default all)."`
	Workers int  `default:"1" help:"Runs at a time; each uses all threads."`

	MaxBatch   int           `default:"16" help:"Most images of a run."`
	BatchDelay time.Duration `default:"1ms" help:"How long a request may wait for others to share its run."`
	MaxQueue   int           `default:"256" help:"Most requests that wait for a run; others are answered 503."`
	MaxBody    int           `default:"16" placeholder:"MIB" help:"Largest request body in MiB."`
	Timeout    time.Duration `default:"30s" help:"How long a request may wait and run."`
	ReadTime   time.Duration `name:"read-timeout" default:"15s" help:"How long a client may take to send a request."`
	Drain      time.Duration `default:"20s" help:"How long to wait for requests on SIGINT or SIGTERM."`
}

// Help is shown after the flags.
func (serveCmd) Help() string {
	return `The first line printed is the address. There is a page at / to drop pictures on.

Examples:
  lanes serve model.onnx
  curl --data-binary @cat.jpg http://127.0.0.1:8080/classify?top=3
  curl http://127.0.0.1:8080/v2/models/model`
}

// Run serves until it is interrupted.
func (cmd *serveCmd) Run(c *console) error {
	switch {
	case cmd.Workers < 1 || cmd.Top < 1 || cmd.MaxBatch < 1 || cmd.MaxQueue < 1 || cmd.MaxBody < 1 || cmd.MaxBody > 1<<11:
		return errors.New("--workers, --top, --max-batch, --max-queue and --max-body (up to 2048) must be positive")
	case cmd.BatchDelay < 0 || cmd.Timeout <= 0 || cmd.ReadTime <= 0 || cmd.Drain <= 0:
		return errors.New("--batch-delay, --timeout, --read-timeout and --drain must be positive times")
	}
	if err := useThreads(cmd.Threads); err != nil {
		return err
	}
	m, err := onnx.ReadFile(cmd.Model)
	if err != nil {
		return err
	}
	pictures, err := cmd.options(cmd.Model, m)
	if err != nil {
		return err
	}
	session, err := infer.New(m, &infer.Options{Exact: cmd.Exact, TakeWeights: true})
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Model, err)
	}
	name := cmd.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(cmd.Model), ".onnx")
	}
	server, err := serve.New(session, pictures, serve.Options{
		Name: name, Version: version(), Top: cmd.Top, MaxBatch: cmd.MaxBatch, BatchDelay: cmd.BatchDelay, MaxQueue: cmd.MaxQueue,
		Workers: cmd.Workers, MaxBody: int64(cmd.MaxBody) << 20, RequestTimeout: cmd.Timeout, ReadTimeout: cmd.ReadTime,
		DrainTimeout: cmd.Drain, Log: log.New(c.errors, "lanes: ", log.LstdFlags),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Model, err)
	}
	defer server.Close()
	l, err := net.Listen("tcp", cmd.Addr)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.out, "listening on http://%v\n", l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	return server.Serve(c.ctx, l)
}

// version is that of the main module, as the build recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
