package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteTree writes a picture as an indented tree: each service once, below
// the last of those it waits for in its own stage.
func WriteTree(w io.Writer, p *Picture) error {
	out := bufio.NewWriter(w)
	t := tree{Picture: p, w: out, arrows: p.byBox(), below: map[int][]int{}}
	for stage, boxes := range p.byStage() {
		fmt.Fprintf(out, "  %s\n", Clean(p.Stages[stage].Name))
		top := []int{}
		for _, b := range boxes {
			parent := -1
			for _, a := range t.arrows[b] {
				if p.Boxes[a.From].Stage == stage {
					parent = max(parent, a.From)
				}
			}
			if parent < 0 {
				top = append(top, b)
			} else {
				t.below[parent] = append(t.below[parent], b)
			}
		}
		t.write(top, "  ")
	}
	return out.Flush()
}

type tree struct {
	*Picture
	w      io.Writer
	arrows [][]Arrow     // by the box they lead to
	below  map[int][]int // the boxes below a box
}

const deepest = 120 // columns of a tree's indentation

func (t *tree) write(boxes []int, indent string) {
	for i, b := range boxes {
		branch, below := "├─ ", "│  "
		if i == len(boxes)-1 {
			branch, below = "└─ ", "   "
		}
		line := indent + branch + Clean(t.Boxes[b].Name) + "  [" + t.Boxes[b].checks() + "]"
		for wait, from := range byWait(t.arrows[b]) {
			if len(from) > 0 {
				line += "  " + [...]string{"needs", "wants", "after"}[wait] + " " + Clean(strings.Join(t.names(from), ", "))
			}
		}
		fmt.Fprintln(t.w, line)
		if len(indent) > deepest {
			below = "" // a chain of 10,000 would be 150 MB of indentation
		}
		t.write(t.below[b], indent+below)
	}
}
