package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
// files are not among them: a snippet of one could show a secret.
type Sources map[string]*hcl.File

// Load reads and checks the boot file at path: HCL's JSON syntax if the name
// ends in .json, else its native syntax. The File is nil if there is an error
// among the diagnostics.
func Load(path string) (*File, Sources, hcl.Diagnostics) {
	src, err := readRegular(path)
	if err != nil {
		return nil, nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Cannot read the boot file",
			Detail:   fmt.Sprintf("%s: %s.", path, err),
		}}
	}
	return Parse(path, src)
}

// Parse is Load for a boot file that has been read. The filename decides on
// the syntax, stands in the diagnostics, and its directory is where relative
// paths start.
func Parse(filename string, src []byte) (*File, Sources, hcl.Diagnostics) {
	src = bytes.TrimPrefix(src, []byte(byteOrderMark))
	sources := Sources{filename: {Bytes: src}}
	inJSON := strings.HasSuffix(filename, ".json")
	if bad := checkText(filename, src); bad != nil {
		sources[filename].Bytes = printable(src)
		return nil, sources, hcl.Diagnostics{bad}
	}
	if diags := checkDepth(filename, src, inJSON); len(diags) > 0 {
		return nil, sources, diags
	}

	var parsed *hcl.File
	var diags hcl.Diagnostics
	if inJSON {
		parsed, diags = json.Parse(src, filename)
		// What a JSON file calls "in stage.core" in a snippet's heading
		// would carry decoded control characters to the terminal.
		parsed.Nav = nil
	} else {
		parsed, diags = hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	}
	sources[filename] = parsed
	if diags.HasErrors() {
		// A body with holes would give errors that are none.
		if !inJSON && bytes.HasPrefix(bytes.TrimSpace(src), []byte("{")) {
			diags = hcl.Diagnostics{problem(rangeAt(filename, src, bytes.IndexByte(src, '{'), 1), "This looks like JSON",
				"HCL's JSON syntax is read from files whose name ends in .json: rename the file to boot.hcl.json.")}
		}
		return nil, sources, untilUnclosed(tidy(diags))
	}

	dir, err := filepath.Abs(filepath.Dir(filename))
	if err != nil {
		dir = filepath.Dir(filename)
	}
	d := newDecoder(dir, inJSON)
	file := d.file(parsed.Body)
	diags = tidy(append(diags, d.diags...))
	if diags.HasErrors() {
		return nil, sources, diags
	}
	return file, sources, diags
}

// readRegular reads a file of at most MaxSource bytes; its errors don't name
// the file. Opening never waits, as it would for the writer of a FIFO, and
// what is not a regular file (a device can be endless) is refused.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return nil, pathError.Err
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory; name a file")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	src, err := io.ReadAll(io.LimitReader(f, MaxSource+1))
	if len(src) > MaxSource {
		return nil, fmt.Errorf("it is larger than %d MiB", MaxSource>>20)
	}
	return src, err
}

// maxEnvErrors is how many bad lines of one env file are named.
const maxEnvErrors = 5

// readEnvFile reads KEY=VALUE lines the way podman-run(1) --env-file does:
// white space before a key and lines that begin with # are dropped, values
// are taken as they stand, with their quotes. Unlike there a line without =
// is an error: what the host's environment holds is not part of the file.
func readEnvFile(path, name string, env map[string]string) error {
	src, err := readRegular(path)
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
	return checkEnvKey(key)
}
