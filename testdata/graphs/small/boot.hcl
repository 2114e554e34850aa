# A git forge: 10 services in three stages.
# It is drawn in docs/graph-small.svg.
name = "forge"

# Names and accounts. Nothing else works without them.
stage "foundation" {
  timeout = "90s"

  service "dns" {
    image = "localhost/forge/dns:1"
    ports = ["127.0.0.1:21000:53"]

    health "tcp" {
      port = 53
    }
  }

  service "ldap" {
    image = "localhost/forge/ldap:1"
    ports = ["127.0.0.1:21001:389"]

    health "tcp" {
      port = 389
    }
    health "exec" {
      command = ["/ldap", "check"]
    }
  }

  service "postgres" {
    image = "localhost/forge/postgres:1"
    ports = ["127.0.0.1:21002:5432"]

    health "tcp" {
      port = 5432
    }
  }
}

# bootgraph:ignore implied-dependency: graph --reduce is shown with what it leaves out.
stage "forge" {
  attempts = 2

  job "migrate" {
    depends_on = [service.postgres]
    image      = "localhost/forge/migrate:1"
    command    = ["migrate"]
  }

  service "git" {
    depends_on = [job.migrate, service.ldap]
    image      = "localhost/forge/git:1"
    ports      = ["127.0.0.1:21003:9418"]

    health "grpc" {
      port = 9418
    }
  }

  service "web" {
    depends_on = [service.git]
    wants      = [service.search]
    image      = "localhost/forge/web:1"
    ports      = ["127.0.0.1:21004:3000"]

    health "http" {
      port = 3000
      path = "/healthz"
    }
  }

  service "search" {
    image = "localhost/forge/search:1"
    ports = ["127.0.0.1:21005:9200"]

    health "http" {
      port = 9200
      path = "/healthz"
    }
  }

  service "runner" {
    depends_on = [service.git]
    after      = [service.web]
    image      = "localhost/forge/runner:1"

    health "log" {
      pattern = "ready"
    }
  }
}

# bootgraph:ignore implied-dependency: as above.
stage "edge" {
  on_failure = "abort"

  service "proxy" {
    depends_on = [service.web]
    image      = "localhost/forge/proxy:1"
    ports      = ["127.0.0.1:21006:8443"]

    health "http" {
      port = 8443
      path = "/healthz"
    }
  }

  service "mirror" {
    wants = [service.git]
    image = "localhost/forge/mirror:1"

    health "none" {}
  }
}
