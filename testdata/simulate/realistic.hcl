# A host as there are: four stages, 24 services and jobs, some of them slow.
name = "realistic"

stage "foundation" {
  service "dns" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 200ms" }

    health "tcp" {
      port = 8080
    }
  }
  service "ca" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
  service "ldap" {
    depends_on = [service.dns]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 2500ms" }

    health "tcp" {
      port = 8080
    }
  }
  service "db" {
    depends_on = [service.dns]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 4s" }

    health "tcp" {
      port = 8080
    }
  }
}

stage "core" {
  service "secrets" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 1500ms" }

    health "tcp" {
      port = 8080
    }
  }
  service "registry" {
    depends_on = [service.secrets]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 3s" }

    health "tcp" {
      port = 8080
    }
  }
  service "proxy" {
    depends_on = [service.secrets]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "queue" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 5s" }

    health "tcp" {
      port = 8080
    }
  }
  service "metrics" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "logs" {
    depends_on = [service.queue]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
}

stage "platform" {
  service "auth" {
    depends_on = [service.cache]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
  service "storage" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 2s" }

    health "tcp" {
      port = 8080
    }
  }
  service "search" {
    depends_on = [service.storage]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 8s" }

    health "tcp" {
      port = 8080
    }
  }
  service "mail" {
    depends_on = [service.auth]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 3s" }

    health "tcp" {
      port = 8080
    }
  }
  service "cache" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  job "migrate" {
    image = "localhost/bootgraph/server:1"
    env   = { EXIT = "0 3s" }
  }
}

stage "apps" {
  service "web" {
    depends_on = [service.api]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
  service "api" {
    depends_on = [job.migrate]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 2s" }

    health "tcp" {
      port = 8080
    }
  }
  service "worker" {
    depends_on = [service.api]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "cron" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "docs" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "wiki" {
    depends_on = [service.storage]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 6s" }

    health "tcp" {
      port = 8080
    }
  }
  service "chat" {
    depends_on = [service.auth, service.cache]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 4s" }

    health "tcp" {
      port = 8080
    }
  }
  service "admin" {
    depends_on = [service.api, service.auth]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
}
