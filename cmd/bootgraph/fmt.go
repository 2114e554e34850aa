package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"bootgraph/config"
	"bootgraph/report"
)

func (a *app) fmtCommand() *cobra.Command {
	cmd := bootFileArgs(&cobra.Command{
		Use:   "fmt [FILE|DIR|-]",
		Short: "Bring the boot file into the canonical layout",
		Long: `fmt brings the boot file, or all *.hcl of a directory, into the canonical layout:
that of terraform fmt. It changes white space only, keeps comments and blank
lines, and rewrites and names the files that differ. JSON stays as it is. So
does a file with an error in its syntax, and the error is told.

With - it reads standard input and writes standard output, as editors want it.
It exits with 1 if there was an error, or if --check found a file that differs.`,
		Example: `  bootgraph fmt
  bootgraph fmt --check deploy
  bootgraph fmt - < boot.hcl`,
	})
	// -check and -write=false are understood, too: see longFlags.
	check := cmd.Flags().Bool("check", false, "write nothing, name the files that differ, and exit with 1 if there are any")
	write := cmd.Flags().Bool("write", true, "rewrite the files that differ; --write=false writes all to standard output instead")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		stdin := len(args) > 0 && args[0] == "-"
		layouts, sources, diags, err := layoutsOf(args, stdin, cmd.InOrStdin())
		if err != nil {
			return err
		}
		told := a.tell(sources, diags) // the other files are formatted all the same
		for _, layout := range layouts {
			differs := !bytes.Equal(layout.Source, layout.Canonical)
			switch {
			case !*check && (stdin || !*write):
				_, err = a.stdout.Write(layout.Canonical)
			case !differs:
			case *check:
				told = errTold
				_, err = fmt.Fprintln(a.stdout, report.Clean(layout.Path))
			default:
				if err = replaceFile(layout.Path, layout.Canonical); err == nil {
					_, err = fmt.Fprintln(a.stdout, report.Clean(layout.Path))
				}
			}
			if err != nil {
				return err
			}
		}
		return told
	}
	return cmd
}

func layoutsOf(args []string, stdin bool, in io.Reader) ([]config.Layout, config.Sources, hcl.Diagnostics, error) {
	if stdin {
		// A byte more than there may be is enough to tell that it is too much.
		src, err := io.ReadAll(io.LimitReader(in, config.MaxSource+1))
		if err != nil {
			return nil, nil, nil, fmt.Errorf("cannot read standard input: %w", err)
		}
		layouts, sources, diags := config.FormatSource("<stdin>", src)
		return layouts, sources, diags, nil
	}
	path, err := bootFile(args)
	if err != nil {
		return nil, nil, nil, err
	}
	layouts, sources, diags := config.Format(path)
	return layouts, sources, diags, nil
}

// longFlags turns the flags of fmt as terraform writes them, -check and
// -write=false, into --check and --write=false: to pflag they are the short
// flags -c -h -e -c -k.
func longFlags(args []string) []string {
	command := slices.Index(args, "fmt")
	if command < 0 {
		return args
	}
	args = slices.Clone(args)
	for i, arg := range args[command:] {
		name, _, _ := strings.Cut(arg, "=")
		switch name {
		case "--":
			return args
		case "-check", "-write":
			args[command+i] = "-" + arg
		}
	}
	return args
}

// replaceFile gives a file new content, all at once: whoever reads it sees
// the old or the new one, and so does the next boot if the power goes. A link
// stays, and the file it leads to is replaced. Mode and owner are kept, the
// owner as far as this user may give a file away.
func replaceFile(path string, content []byte) error {
	cannot := func(err error) error { return fmt.Errorf("cannot write %s: %w", path, err) }
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return cannot(err)
	}
	// The directory may be this user's to write where the file is not.
	old, err := os.OpenFile(target, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return cannot(err)
	}
	defer old.Close()
	info, err := old.Stat()
	if err != nil {
		return cannot(err)
	}
	if err := writeWhole(target, content, info); err != nil {
		return cannot(err)
	}
	return nil
}
