package config

import "os"

// A configuration that is kept on disk is kept without its sensitive values.
// In their place it has fingerprints (Withheld), which are enough to tell that
// a container or secret that exists is the one described; to create it takes
// the value.

// Recall gives a configuration that was kept the values that can be read again
// from where they came: env files, and the file or the variable of the
// environment of a secret. They are what is there now, as when a boot file is
// read. What can't be read stays withheld, which is no error: whether the value
// is needed depends on what exists.
func (f *File) Recall() {
	for _, s := range f.Secrets {
		if value, err := s.read(os.LookupEnv); err == nil && value != "" && len(value) <= MaxSecret {
			s.Value, s.Withheld = Sensitive{value}, ""
		}
	}
	for _, stage := range f.Stages {
		for _, service := range stage.Services {
			for _, c := range service.Containers {
				c.recallEnv()
				c.recallSecrets(f.Secrets)
			}
		}
	}
}

// recallEnv takes from a file only what was taken from it: a key that is new
// there is not part of what was kept.
func (c *Container) recallEnv() {
	files := map[string]map[string]string{} // each is read once
	for key, path := range c.EnvFrom {
		if c.Withheld["env."+key] == "" {
			continue
		}
		if files[path] == nil {
			files[path] = map[string]string{}
			if readEnvFile(path, path, files[path]) != nil {
				clear(files[path]) // half understood, it may say something else than was meant
			}
		}
		if value, found := files[path][key]; found {
			if c.Env == nil {
				c.Env = map[string]string{}
			}
			c.Env[key] = value
			delete(c.Withheld, "env."+key)
		}
	}
}

func (c *Container) recallSecrets(all []*Secret) {
	for i, mount := range c.Secrets {
		for _, s := range all {
			if s.Name == mount.Name && !s.Value.IsZero() {
				c.Secrets[i].Value = s.Value
				delete(c.Withheld, "secrets."+s.Name)
			}
		}
	}
}
