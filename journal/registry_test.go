package journal

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"

	"bootgraph/config"
	"bootgraph/scheduler"
)

var update = flag.Bool("update", false, "rewrite golden files")

// full is a value of a type with something in each field, as deep as it goes.
func full(v reflect.Value) {
	switch v.Interface().(type) {
	case hcl.Range, config.Ranges, config.Sensitive, config.Sources, []config.Variable:
		return // not kept
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("127.0.0.1")))
		return
	case config.Kind:
		v.SetString(string(config.KindService))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint16, reflect.Uint32:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		full(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		full(value)
		v.SetMapIndex(reflect.ValueOf("k"), value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Inherited" { // whose health check it was says nothing about it
				full(v.Field(i))
			}
		}
	}
}

func fullRegistration() *Registration {
	file := &config.File{}
	full(reflect.ValueOf(file).Elem())
	file.Name = "rift"
	service := file.Stages[0].Services[0]
	service.Health[0].Kind = config.HealthTCP
	return &Registration{File: file, Applied: time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC), Run: "20261124T010203.000Z-7",
		Outcome: scheduler.EndReady, Version: "1.0.0", BootFile: "/etc/rift/boot.hcl", SHA256: digest(nil)}
}

var sameConfiguration = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmpopts.IgnoreUnexported(config.Sensitive{}),
}

// A field that config gains and the registry doesn't write down is found here.
func TestEveryFieldOfAConfigurationIsKept(t *testing.T) {
	want := fullRegistration()
	d := At(t.TempDir(), "rift")
	if err := d.Register(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Registered()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameConfiguration); diff != "" {
		t.Error(diff)
	}
}

// The file is one with each field there is. When fields are added, keep it
// under another name before -update writes it: all of format_version 1 must
// still be read.
func TestRegistrationOfVersion1IsRead(t *testing.T) {
	const golden = "testdata/registry-1.json"
	want := fullRegistration()
	if *update {
		text, err := encode(want)
		if err == nil {
			err = os.WriteFile(golden, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	older, err := filepath.Glob("testdata/registry-1-*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range older {
		text, err := os.ReadFile(path)
		if err == nil {
			_, err = decode(text, "rift")
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(text, "rift")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, sameConfiguration); diff != "" {
		t.Error(diff)
	}
}

func TestRegistryIsForItsUserAlone(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	d := At(root, "rift")
	if err := d.Register(fullRegistration()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"": 0o700, "rift": 0o700, "rift/registry.json": 0o600} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(d.path); err != nil || len(entries) != 1 {
		t.Errorf("beside it there is %v, %v", entries, err)
	}
	if names, err := Names(root); err != nil || len(names) != 1 || names[0] != "rift" {
		t.Errorf("Names: %v, %v", names, err)
	}
	if err := d.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Registered(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("forgotten, and Registered says %v", err)
	}
}

// Whatever lies in its place is told, left as it is by who reads, and put
// aside by who writes.
func TestUnusableRegistryIsToldAndPutAside(t *testing.T) {
	good, err := encode(fullRegistration())
	if err != nil {
		t.Fatal(err)
	}
	text := func(from, to string) func(string) error {
		return func(path string) error {
			return os.WriteFile(path, bytes.Replace(good, []byte(from), []byte(to), 1), 0o600)
		}
	}
	for _, test := range []struct {
		name, want string
		make       func(path string) error
	}{
		{"empty", "damaged", func(path string) error { return os.WriteFile(path, nil, 0o600) }},
		{"torn", "damaged", func(path string) error { return os.WriteFile(path, good[:len(good)/2], 0o600) }},
		{"another port", "not the one that was written", text(`"port": 7`, `"port": 8`)},
		{"another name", "of another configuration", text(`"name": "rift"`, `"name": "other"`)},
		{"another kind", "no registration", text(registryKind, "bootgraph saved plan")},
		{"a later version", "format_version is 2", text(`"format_version": 1`, `"format_version": 2`)},
		{"huge", "larger than", func(path string) error {
			return errors.Join(os.WriteFile(path, good, 0o600), os.Truncate(path, registryMost+1))
		}},
		{"directory", "no regular file", func(path string) error { return os.Mkdir(path, 0o700) }},
		{"pipe", "no regular file", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
		{"link", "symbolic link", func(path string) error {
			return errors.Join(os.WriteFile(path+".good", good, 0o600), os.Symlink(path+".good", path))
		}},
		{"writable", "others may write", func(path string) error {
			return errors.Join(os.WriteFile(path, good, 0o600), os.Chmod(path, 0o622))
		}},
		{"somebody else's", "another user", func(path string) error {
			err := os.WriteFile(path, good, 0o600)
			if os.Geteuid() == 0 {
				return errors.Join(err, os.Chown(path, 65534, 65534))
			}
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) // who can't give it away can't test it
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := At(t.TempDir(), "rift")
			path := filepath.Join(d.path, registryFile)
			if err := errors.Join(os.Mkdir(d.path, 0o700), test.make(path)); err != nil {
				t.Fatal(err)
			}
			want := test.want
			if os.Geteuid() != 0 && test.name == "somebody else's" {
				want = "symbolic link"
			}
			if _, err := d.Registered(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
				t.Errorf("it says %v", err)
			}
			if err := d.Register(fullRegistration()); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Registered(); err != nil {
				t.Error(err)
			}
			if aside, err := filepath.Glob(path + ".bad-*"); err != nil || len(aside) != 1 {
				t.Errorf("put aside: %v, %v", aside, err)
			}
		})
	}
}

func TestWriterThatWasKilledIsNoHindrance(t *testing.T) {
	d := At(t.TempDir(), "rift")
	if err := errors.Join(os.Mkdir(d.path, 0o700), os.WriteFile(filepath.Join(d.path, registryFile+".next"), []byte("half"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Registered(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file is taken for %v", err)
	}
	if err := d.Register(fullRegistration()); err != nil {
		t.Error(err)
	}
}

func TestServicesAreAlikeUntilSomethingIsDescribedOtherwise(t *testing.T) {
	a, b := fullRegistration().File.Stages[0].Services[0], fullRegistration().File.Stages[0].Services[0]
	if !Alike(a, b) {
		t.Error("the same is not alike")
	}
	b.Containers[0].Withheld = map[string]string{"env.PASSWORD": "another"}
	if Alike(a, b) {
		t.Error("another password is alike")
	}
}

// FuzzRegistry has the decoder read anything, and what it takes compiled, as
// recover does.
func FuzzRegistry(f *testing.F) {
	text, err := os.ReadFile("testdata/registry-1.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	const two = `{"name":"r","stages":[{"name":"a","timeout":"1s","services":[{"name":"x","kind":"job","existing":["y"],"timeout":"1s","wants":["x"]}]}]}`
	f.Add([]byte(two))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = decode(text, "rift")
		file, err := decodeFile(text)
		if err != nil {
			return
		}
		_, _ = scheduler.Compile(file)
		again, err := encode(&Registration{File: file})
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(again, file.Name)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if diff := cmp.Diff(file, back.File, sameConfiguration, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
