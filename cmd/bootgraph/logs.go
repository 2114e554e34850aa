package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"bootgraph/podman"
	"bootgraph/scheduler"
)

func (a *app) logsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs SERVICE [FILE|DIR]",
		Short: "Show the logs of a service's containers",
		Args:  cobra.RangeArgs(1, 2),
	}
	follow := cmd.Flags().BoolP("follow", "f", false, "go on as more is logged")
	tail := cmd.Flags().Int("tail", 0, "only the last `N` lines of each container (0: all)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.openApplied(cmd.Context(), args[1:], scheduler.Selection{})
		if err != nil {
			return err
		}
		t, err := s.all.Find(args[0])
		if err != nil {
			return err
		}
		if err := s.connect(cmd.Context()); err != nil {
			return err
		}
		defer s.close()
		return s.logs(cmd.Context(), t, *tail, *follow)
	}
	return cmd
}

// logs copies what the containers log, as it is: whoever asks for a log wants
// the log. With several containers a line begins with the container's name.
func (s *session) logs(ctx context.Context, t *scheduler.Task, tail int, follow bool) error {
	found, err := s.host.Snapshot(ctx)
	if err != nil {
		return err
	}
	names := t.Service.Existing
	for _, c := range t.Service.Containers {
		names = append(names, c.Name)
	}
	var all errgroup.Group
	var mu sync.Mutex
	for _, name := range names {
		f := found.Container(name)
		if f == nil {
			return fmt.Errorf("cannot show the log of %s: there is no container named %s", t.Name, name)
		}
		prefix := ""
		if len(names) > 1 {
			prefix = name + ": "
		}
		all.Go(func() error {
			stream, err := s.client.ContainerLogs(ctx, f.ID, podman.LogOptions{Tail: tail, Follow: follow})
			if err != nil {
				return err
			}
			defer stream.Close()
			lines := bufio.NewReader(stream)
			for {
				line, err := lines.ReadString('\n')
				if line != "" {
					mu.Lock()
					fmt.Fprint(s.app.stdout, prefix, line)
					mu.Unlock()
				}
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
	return all.Wait()
}
