package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"
)

// readEvents reads from bootgraph's events when it was about to start each
// service, and when it found it ready. Of other tools there are none.
func readEvents(path string, w workload) (moved, seen []time.Time, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	index := map[string]int{}
	for i, s := range w.services {
		index[s.name] = i
	}
	moved, seen = make([]time.Time, len(index)), make([]time.Time, len(index))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e struct {
			Time              time.Time
			Type, Service, To string
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // another tool's
		}
		i, known := index[e.Service]
		switch {
		case e.Type != "service" || !known:
		case e.To == "starting":
			moved[i] = e.Time
		case e.To == "healthy":
			seen[i] = e.Time
		}
	}
	return moved, seen, nil
}
