package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
)

// Missing warns of files that are not there: the sources of secrets, the
// certificates of health checks, and what is mounted. Only those are looked
// for that are in the directory of the boot file or below it; what is
// elsewhere is the host's, and the file may be checked on another one. Nor is
// any of it an error here: secrets are kept out of a repository, and a boot
// may make a certificate. What a container can't be created without, apply
// demands before it changes anything.
func Missing(f *File) (diags hcl.Diagnostics) {
	look := func(where hcl.Range, who, what, path string) {
		if relative, err := filepath.Rel(f.Dir, path); path == "" || err != nil || !filepath.IsLocal(relative) {
			return
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "File not found", Subject: &where,
				Detail: fmt.Sprintf("%s %s %s, which does not exist.", who, what, path)})
		}
	}
	for _, s := range f.Secrets {
		look(s.Range, s.Name, "is made from", s.File)
	}
	for _, stage := range f.Stages {
		for _, s := range stage.Services {
			for _, c := range s.Containers {
				for _, m := range c.Volumes {
					if m.Bind() {
						look(c.Range, c.Name, "mounts", m.Source)
					}
				}
			}
			for _, h := range s.Health {
				if h.TLS != nil {
					look(h.Range, s.Name, "is checked with the CA", h.TLS.CA)
					look(h.Range, s.Name, "is checked with the certificate", h.TLS.Cert)
					look(h.Range, s.Name, "is checked with the key", h.TLS.Key)
				}
			}
		}
	}
	return tidy(diags)
}
