package podman

import (
	"encoding/json"
	"strings"
	"testing"

	"bootgraph/config"
)

const withheldBoot = `
variable "pin" {
  default   = "canary-pin"
  sensitive = true
}
secret "token" {
  value = "canary-token"
}
stage "one" {
  service "web" {
    image   = "localhost/web"
    env     = { PIN = var.pin, PLAIN = "shown" }
    secrets = [secret.token]
    health "http" {
      port    = 80
      headers = { Authorization = var.pin, Host = "web.example" }
    }
  }
}
`

func TestWithholdTakesValuesOutAndKeepsDescriptions(t *testing.T) {
	file, _, diags := config.Parse("boot.hcl", []byte(withheldBoot), config.Inputs{Secrets: true})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	before := file.Stages[0].Services[0]
	kept := Withhold(file)
	after := kept.Stages[0].Services[0]
	if specText(before.Containers[0]) != specText(after.Containers[0]) {
		t.Errorf("the description was\n%s\nand is\n%s", specText(before.Containers[0]), specText(after.Containers[0]))
	}
	text, err := json.Marshal(kept)
	if err != nil || strings.Contains(string(text), "canary") || !strings.Contains(string(text), "shown") || !strings.Contains(string(text), "web.example") {
		t.Errorf("%v: %s", err, text)
	}
	if !kept.Secrets[0].Value.IsZero() || !after.Containers[0].Secrets[0].Value.IsZero() || kept.Secrets[0].Withheld == "" {
		t.Errorf("of the secret it keeps %+v", kept.Secrets[0])
	}
	if before.Containers[0].Env["PIN"] == "" || before.Health[0].Headers["Authorization"] == "" {
		t.Error("the configuration itself has lost its values")
	}
	if again := Withhold(kept); specText(again.Stages[0].Services[0].Containers[0]) != specText(after.Containers[0]) {
		t.Error("withheld twice, the description is another")
	}
}
