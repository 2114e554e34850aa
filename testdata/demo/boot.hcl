# The demo: a small shop in three stages. Every container runs the server of
# testdata/server, which is told by its environment how slow to be.
name = "demo"

network "shop" {}

# Everything later depends on the foundation: it blocks until all is ready.
stage "foundation" {
  timeout = "30s"

  service "identity" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    ports    = ["127.0.0.1:28443:8443"]
    env      = { GRPC = ":8443 300ms", GRPC_SERVICES = "identity.v1" }

    health "grpc" {
      port    = 8443
      service = "identity.v1"
    }
  }

  service "names" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    ports    = ["127.0.0.1:28053:8053", "127.0.0.1:28053:53/udp"]
    env      = { TCP = ":8053 100ms", UDP = ":53" }

    health "tcp" {
      port = 8053
    }
  }
}

stage "data" {
  service "database" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    ports    = ["127.0.0.1:25432:5432"]
    env      = { TCP = ":5432 800ms" }
  }

  service "queue" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    ports    = ["127.0.0.1:25672:5672"]
    env      = { TCP = ":5672 400ms" }
  }

  # Ready is: it has exited with 0.
  job "migrate" {
    depends_on = [service.database]
    image      = "localhost/bootgraph/server:1"
    networks   = [network.shop]
    env        = { EXIT = "0 500ms" }
  }

  service "cache" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    env      = { LOG = "ready to serve 200ms" }

    health "log" {
      pattern = "ready to serve"
    }
  }
}

stage "shop" {
  timeout = "20s"

  service "orders" {
    depends_on = [job.migrate, service.queue]
    # The cache is settled by now; it is said so that --target orders takes it along.
    wants = [service.cache] # bootgraph:ignore implied-dependency

    # Two containers, orders-api and orders-web: ready when both are.
    component "api" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.shop]
      ports    = ["127.0.0.1:28081:8080"]
      env      = { HTTP = ":8080 200ms", HTTP_STATUS = "503 600ms 200" }
    }
    component "web" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.shop]
      ports    = ["127.0.0.1:28082:8080"]
      env      = { HTTP = ":8080 300ms" }
    }

    health "http" {
      component = "api"
      port      = 8080
      path      = "/health"
    }
    health "tcp" {
      component = "web"
      port      = 8080
    }
  }

  service "catalog" {
    depends_on = [service.database]
    image      = "localhost/bootgraph/server:1"
    networks   = [network.shop]
    ports      = ["127.0.0.1:28083:8080"]
    env        = { HTTP = ":8080 500ms" }

    health "http" {
      port   = 8080
      status = "200"
    }
  }

  service "mailer" {
    after    = [service.orders]
    image    = "localhost/bootgraph/server:1"
    networks = [network.shop]
    env      = { FILE = "/mailer.ready 300ms" }

    health "exec" {
      command = ["/server", "check", "file", "/mailer.ready"]
    }
  }

  service "frontend" {
    depends_on = [service.orders, service.catalog]
    wants      = [service.mailer]
    image      = "localhost/bootgraph/server:1"
    networks   = [network.shop]
    ports      = ["127.0.0.1:28080:8080"]
    env        = { HTTP = ":8080 400ms" }

    health "http" {
      port = 8080
      path = "/"
    }
  }
}
