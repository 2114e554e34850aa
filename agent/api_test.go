package agent

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	pb "bootgraph/agent/bootgraph/v1"
)

var update = flag.Bool("update", false, "add what is new in the API to testdata/api.golden")

const goldenAPI = "testdata/api.golden"

// TestAPIChangesBreakNobody holds the API against what it has been: a line a
// field, value and method. Lines are added (-update), and never go.
func TestAPIChangesBreakNobody(t *testing.T) {
	golden, err := os.ReadFile(goldenAPI)
	if err != nil && !*update {
		t.Fatal(err)
	}
	was, is := strings.Split(strings.TrimSpace(string(golden)), "\n"), api(pb.File_bootgraph_v1_bootgraph_proto)
	if broken := breaks(was, is); len(broken) > 0 && len(golden) > 0 {
		t.Fatalf("this breaks clients, which have been told:\n%s", strings.Join(broken, "\n"))
	}
	if *update {
		if err := os.WriteFile(goldenAPI, []byte(strings.Join(is, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if fresh := breaks(is, was); len(fresh) > 0 && !*update {
		t.Errorf("this is new: go test ./agent -run API -update\n%s", strings.Join(fresh, "\n"))
	}
}

// breaks are the lines of was that are not there any more.
func breaks(was, is []string) (gone []string) {
	for _, line := range was {
		if !slices.Contains(is, line) {
			gone = append(gone, line)
		}
	}
	return gone
}

// api is a line for each thing that a client can rely on.
func api(file protoreflect.FileDescriptor) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		add("message %s", m.FullName())
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			kind := f.Kind().String()
			switch {
			case f.Message() != nil:
				kind = string(f.Message().FullName())
			case f.Enum() != nil:
				kind = string(f.Enum().FullName())
			}
			oneof := ""
			if f.ContainingOneof() != nil {
				oneof = " oneof " + string(f.ContainingOneof().Name())
			}
			add("field %s %d %s %s %s%s", m.FullName(), f.Number(), f.Name(), f.Cardinality(), kind, oneof)
		}
	}
	for i := range file.Enums().Len() {
		e := file.Enums().Get(i)
		for j := range e.Values().Len() {
			add("value %s %d %s", e.FullName(), e.Values().Get(j).Number(), e.Values().Get(j).Name())
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			add("method %s %s returns %s, streams %t %t", m.FullName(), m.Input().FullName(), m.Output().FullName(), m.IsStreamingClient(), m.IsStreamingServer())
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(a[:3], b[:3]) })
	return lines
}

// TestBreakingChangesAreFound compiles an API that was changed in ways that
// break clients.
func TestBreakingChangesAreFound(t *testing.T) {
	text, err := os.ReadFile("bootgraph/v1/bootgraph.proto")
	if err != nil {
		t.Fatal(err)
	}
	was := api(compiled(t, string(text)))
	for name, edit := range map[string][2]string{
		"removed":        {"  bool kept = 14;\n", ""},
		"renumbered":     {"bool kept = 14;", "bool kept = 99;"},
		"renamed":        {"bool kept = 14;", "bool stayed = 14;"},
		"retyped":        {"bool kept = 14;", "int32 kept = 14;"},
		"repeated":       {"bool kept = 14;", "repeated bool kept = 14;"},
		"message gone":   {"repeated Waiting waiting = 16;", "repeated Cause waiting = 16;"},
		"enum value":     {"FORMAT_SHELL = 3;", "FORMAT_SH = 3;"},
		"method":         {"rpc Why(", "rpc Wherefore("},
		"method streams": {"returns (StatusResponse)", "returns (stream StatusResponse)"},
	} {
		changed := strings.Replace(string(text), edit[0], edit[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: there is no %q", name, edit[0])
		}
		if len(breaks(was, api(compiled(t, changed)))) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
	added := strings.Replace(string(text), "bool kept = 14;", "bool kept = 14;\n  string more = 77;", 1)
	if broken := breaks(was, api(compiled(t, added))); len(broken) > 0 {
		t.Errorf("a new field is said to break %s", broken)
	}
}

func TestGeneratedCodeIsOfTheProtoFile(t *testing.T) {
	text, err := os.ReadFile("bootgraph/v1/bootgraph.proto")
	if err != nil {
		t.Fatal(err)
	}
	source := protoutil.ProtoFromFileDescriptor(compiled(t, string(text)))
	source.SourceCodeInfo = nil
	if diff := gocmp.Diff(source, protodesc.ToFileDescriptorProto(pb.File_bootgraph_v1_bootgraph_proto), protocmp.Transform()); diff != "" {
		t.Errorf("run make proto: bootgraph.proto (-) and the code (+) differ:\n%s", diff)
	}
}

func compiled(t *testing.T, text string) protoreflect.FileDescriptor {
	t.Helper()
	const name = "bootgraph/v1/bootgraph.proto"
	compiler := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{name: text})})}
	files, err := compiler.Compile(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return files[0]
}
