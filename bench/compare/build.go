package compare

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// command runs a program to its end and returns what it printed. The error has what it complained of.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, complaint.String(), out.String())
	}
	return out.String(), nil
}

// buildProduct builds the worker of a source tree as the Makefile does.
func buildProduct(ctx context.Context, tree, bin string) error {
	_, err := command(ctx, tree, "env", "CGO_ENABLED=0", "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", bin, "./cmd/firstseen")
	return err
}

// buildRevision builds the worker of a revision of the repository, in a work tree that is gone afterwards.
func buildRevision(ctx context.Context, root, revision, bin string) (err error) {
	dir, err := os.MkdirTemp("", "firstseen-guard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	if _, err := command(ctx, root, "git", "worktree", "add", "--detach", tree, revision); err != nil {
		return err
	}
	defer func() {
		_, gone := command(context.WithoutCancel(ctx), root, "git", "worktree", "remove", "--force", tree)
		if err == nil {
			err = gone
		}
	}()
	return buildProduct(ctx, tree, bin)
}

// buildPeer builds the Kafka Streams program and returns its jar.
func buildPeer(ctx context.Context, root string) (string, error) {
	peers := filepath.Join(root, "bench", "peers")
	if _, err := command(ctx, peers, "./build"); err != nil {
		return "", err
	}
	return filepath.Join(peers, "kafka-streams", "target", "kafka-streams-detections-1.0.jar"), nil
}
