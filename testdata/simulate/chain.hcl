# Ten services, each waits for the one before: what a simulation foretells is
# the sum of their times.
name = "chain"

stage "chain" {
  service "c0" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c1" {
    depends_on = [service.c0]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 300ms" }

    health "tcp" {
      port = 8080
    }
  }
  service "c2" {
    depends_on = [service.c1]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c3" {
    depends_on = [service.c2]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c4" {
    depends_on = [service.c3]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 2s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c5" {
    depends_on = [service.c4]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c6" {
    depends_on = [service.c5]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 300ms" }

    health "tcp" {
      port = 8080
    }
  }
  service "c7" {
    depends_on = [service.c6]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c8" {
    depends_on = [service.c7]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 0s" }

    health "tcp" {
      port = 8080
    }
  }
  service "c9" {
    depends_on = [service.c8]
    image      = "localhost/bootgraph/server:1"
    env        = { TCP = ":8080 2s" }

    health "tcp" {
      port = 8080
    }
  }
}
