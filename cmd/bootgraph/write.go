package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// writeWhole writes a file beside its place, and puts it there when it is on
// the disk. It gets the mode of another, and its owner as far as this user may
// give a file away; like is nil for a file of this user alone.
func writeWhole(path string, text []byte, like os.FileInfo) error {
	// A name that begins with a dot is no part of a configuration.
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // once it is renamed, there is none of that name
	if like != nil {
		err = resemble(file, like)
	}
	if err == nil {
		_, err = file.Write(text)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func resemble(file *os.File, like os.FileInfo) error {
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return file.Chmod(like.Mode()) // after Chown, which takes bits away
}
