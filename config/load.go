package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
)

// Sources are the files that were read, by name, for WriteDiagnostics. Env
// files and the files of secrets are not among them: a snippet of one could
// show a secret.
type Sources map[string]*hcl.File

// Inputs are what a configuration is given from outside.
type Inputs struct {
	Vars     []string // NAME=VALUE, as --var has them; the last of a name wins
	VarFiles []string // paths, as --var-file has them; later ones win, and Vars win over all
	// Secrets asks for the values of secret blocks. What only looks at a
	// configuration goes without: it can be checked where they are not.
	Secrets bool
	// Getenv looks up the environment, for env() and BOOTGRAPH_VAR_NAME; nil
	// is os.LookupEnv.
	Getenv func(name string) (string, bool)
}

// Load reads and checks a configuration: the boot file at path, or all *.hcl
// and *.hcl.json of the directory there, as one, in byte order of their names.
// A file whose name ends in .json is in HCL's JSON syntax. The File is nil if
// there is an error among the diagnostics.
func Load(path string, in Inputs) (*File, Sources, hcl.Diagnostics) {
	files, diags := readSources(path)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	return parse(files, in)
}

// readSources reads the files of a configuration.
func readSources(path string) ([]source, hcl.Diagnostics) {
	paths, err := bootFiles(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	files := make([]source, len(paths))
	size := 0
	for i, path := range paths {
		src, err := readRegular(path, MaxSource)
		if err == nil && size+len(src) > MaxSource {
			err = fmt.Errorf("with it the files are larger than %d MiB", MaxSource>>20)
		}
		if err != nil {
			return nil, unreadable(path, err)
		}
		files[i], size = source{path, src}, size+len(src)
	}
	return files, nil
}

// Parse is Load for one file that has been read. The filename decides on the
// syntax, stands in the diagnostics, and its directory is where relative paths
// start.
func Parse(filename string, src []byte, in Inputs) (*File, Sources, hcl.Diagnostics) {
	return parse([]source{{filename, src}}, in)
}

func unreadable(path string, err error) hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the boot file", Detail: fmt.Sprintf("%s: %s.", path, err)}}
}

// bootFiles are the files of a configuration: path itself, or those of the
// directory there, but not of those below it.
func bootFiles(path string) ([]string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}, nil // reading it says what is wrong with it
	}
	entries, err := os.ReadDir(path) // in byte order
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		name := entry.Name()
		// An editor's file of its own (.#boot.hcl) begins with a dot.
		if !strings.HasPrefix(name, ".") && !entry.IsDir() && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")) {
			paths = append(paths, filepath.Join(path, name))
		}
	}
	switch {
	case len(paths) == 0:
		return nil, errors.New("there is no *.hcl or *.hcl.json in this directory")
	case len(paths) > MaxFiles:
		return nil, fmt.Errorf("there are %d *.hcl and *.hcl.json in this directory; a configuration has at most %d", len(paths), MaxFiles)
	}
	return paths, nil
}

// source is a file that has been read.
type source struct {
	name string
	text []byte
}

func inJSON(filename string) bool { return strings.HasSuffix(filename, ".json") }

// parse reads all files, whatever is wrong with one of them, and decodes them
// together if nothing is.
func parse(files []source, in Inputs) (*File, Sources, hcl.Diagnostics) {
	sources := Sources{}
	var bodies []hcl.Body
	var diags hcl.Diagnostics
	for _, file := range files {
		parsed, more := parseSource(file, sources)
		diags = append(diags, more...)
		if parsed != nil {
			bodies = append(bodies, parsed.Body)
		}
	}
	if diags.HasErrors() {
		// A body with holes would give errors that are none.
		veil(sources, hiddenText(sources))
		return nil, sources, clarify(sources, diags)
	}
	dir, err := filepath.Abs(filepath.Dir(files[0].name))
	if err != nil {
		dir = filepath.Dir(files[0].name)
	}
	if in.Getenv == nil {
		in.Getenv = os.LookupEnv
	}
	d := newDecoder(dir, in, sources)
	file := d.file(bodies)
	diags = tidy(append(diags, d.diags...))
	veil(sources, append(d.hidden, sensitiveCalls(sources)...))
	diags = clarify(sources, diags)
	if diags.HasErrors() {
		return nil, sources, diags
	}
	file.Sources = sources
	return file, sources, diags
}

// parseSource parses one file, after the checks that keep the parser from
// harm, and enters it among the sources.
func parseSource(file source, sources Sources) (*hcl.File, hcl.Diagnostics) {
	src := bytes.TrimPrefix(file.text, []byte(byteOrderMark))
	sources[file.name] = &hcl.File{Bytes: src}
	if bad := checkText(file.name, src); bad != nil {
		sources[file.name].Bytes = printable(src)
		return nil, hcl.Diagnostics{bad}
	}
	if diags := checkDepth(file.name, src, inJSON(file.name)); len(diags) > 0 {
		return nil, diags
	}
	var parsed *hcl.File
	var diags hcl.Diagnostics
	if inJSON(file.name) {
		parsed, diags = json.Parse(src, file.name)
		// What a JSON file calls "in stage.core" in a snippet's heading
		// would carry decoded control characters to the terminal.
		parsed.Nav = &nav{}
	} else {
		parsed, diags = hclsyntax.ParseConfig(src, file.name, hcl.InitialPos)
		if body, ok := parsed.Body.(*hclsyntax.Body); ok {
			parsed.Nav = &nav{body: body}
		}
	}
	sources[file.name] = parsed
	if !diags.HasErrors() {
		return parsed, diags
	}
	if !inJSON(file.name) && bytes.HasPrefix(bytes.TrimSpace(src), []byte("{")) {
		diags = hcl.Diagnostics{problem(rangeAt(file.name, src, bytes.IndexByte(src, '{'), 1), "This looks like JSON",
			"HCL's JSON syntax is read from files whose name ends in .json: rename the file to boot.hcl.json.")}
	}
	return nil, untilUnclosed(tidy(diags))
}

// readRegular reads a file of at most so many bytes; its errors don't name
// the file. Opening never waits, as it would for the writer of a FIFO, and
// what is not a regular file (a device can be endless) is refused.
func readRegular(path string, most int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return nil, pathError.Err
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, most)
}

// maxEnvErrors is how many bad lines of one env file are named.
const maxEnvErrors = 5

// readEnvFile reads KEY=VALUE lines the way podman-run(1) --env-file does:
// white space before a key and lines that begin with # are dropped, values
// are taken as they stand, with their quotes. Unlike there a line without =
// is an error: what the host's environment holds is not part of the file.
func readEnvFile(path, name string, env map[string]string) error {
	src, err := readRegular(path, MaxSource)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var errs []error
	for number, line := range strings.Split(string(src), "\n") {
		text := strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(text, "=")
		if err := checkEnvLine(key, value, found); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, number+1, err))
			if len(errs) == maxEnvErrors {
				break
			}
			continue
		}
		env[key] = value
	}
	return errors.Join(errs...)
}

// checkEnvLine never quotes a value, nor a line that is not understood: there
// may be a secret in it.
func checkEnvLine(key, value string, found bool) error {
	switch {
	case !found:
		return errors.New("there is no = in the line: write KEY=VALUE")
	case strings.ContainsRune(key+value, 0):
		return errors.New("there is a NUL in the line")
	case !utf8.ValidString(key + value):
		return errors.New("the line is not UTF-8")
	}
	return checkEnv(key, value)
}
