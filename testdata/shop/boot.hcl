name = "shop"

variable "database_delay" {
  default = "800ms"
}

volume "identity" {}

stage "foundation" {
  timeout = "30s"

  service "identity" {
    image   = "localhost/bootgraph/server:1"
    volumes = ["identity:/state"]
    env     = { CRASH_ONCE = "/state/crashed 300ms", TCP = ":8443 600ms" }
    health "tcp" {
      port = 8443
    }
  }

  service "names" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8053 100ms" }
    health "tcp" {
      port = 8053
    }
  }
}

stage "data" {
  service "database" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":5432 ${var.database_delay}" }
    health "tcp" {
      port = 5432
    }
  }

  job "migrate" {
    depends_on = [service.database]
    image      = "localhost/bootgraph/server:1"
    env        = { EXIT = "0 500ms" }
  }

  service "queue" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":5672 1s" }
    health "tcp" {
      port = 5672
    }
  }
}

stage "apps" {
  timeout = "10s"

  service "orders" {
    depends_on = [service.queue, job.migrate]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 1500ms" }
    health "tcp" {
      port = 8080
    }
  }

  service "mailer" {
    after = [service.orders]
    image = "localhost/bootgraph/server:1"
    env   = { EXIT = "3 400ms" }
    health "tcp" {
      port = 8080
    }
  }

  service "web" {
    depends_on = [service.orders]
    wants      = [service.mailer]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 700ms" }
    health "tcp" {
      port = 8080
    }
  }

  service "newsletter" {
    depends_on = [service.mailer]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080" }
    health "tcp" {
      port = 8080
    }
  }
}
