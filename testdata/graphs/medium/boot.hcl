# A shop on one host: 40 services and jobs in five stages.
# It is drawn in docs/graph-medium.svg.
name = "shop"

# What everything else talks to. The boot waits here until all of it is ready.
stage "foundation" {
  timeout = "120s"

  service "dns" {
    image = "localhost/shop/dns:1"
    ports = ["127.0.0.1:22000:53"]

    health "tcp" {
      port = 53
    }
  }

  service "vault" {
    image = "localhost/shop/vault:1"
    ports = ["127.0.0.1:22001:8200"]

    health "http" {
      port = 8200
      path = "/healthz"
    }
  }

  job "vault-unseal" {
    depends_on = [service.vault]
    image      = "localhost/shop/vault-unseal:1"
    command    = ["vault-unseal"]
  }

  service "ntp" {
    image = "localhost/shop/ntp:1"

    health "none" {}
  }

  service "identity" {
    depends_on = [job.vault-unseal, service.dns]
    image      = "localhost/shop/identity:1"
    ports      = ["127.0.0.1:22002:8443", "127.0.0.1:22003:8080"]

    health "grpc" {
      port = 8443
    }
    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "registry" {
    depends_on = [service.identity]
    image      = "localhost/shop/registry:1"
    ports      = ["127.0.0.1:22004:5000"]

    health "http" {
      port = 5000
      path = "/healthz"
    }
  }
}

stage "data" {
  timeout  = "90s"
  attempts = 3

  service "postgres" {
    image = "localhost/shop/postgres:1"
    ports = ["127.0.0.1:22005:5432"]

    health "tcp" {
      port = 5432
    }
    health "exec" {
      command = ["/postgres", "check"]
    }
  }

  service "postgres-replica" {
    depends_on = [service.postgres]
    image      = "localhost/shop/postgres-replica:1"
    ports      = ["127.0.0.1:22006:5432"]

    health "tcp" {
      port = 5432
    }
  }

  service "redis" {
    image = "localhost/shop/redis:1"
    ports = ["127.0.0.1:22007:6379"]

    health "tcp" {
      port = 6379
    }
  }

  service "kafka" {
    image = "localhost/shop/kafka:1"
    ports = ["127.0.0.1:22008:9092"]

    health "tcp" {
      port = 9092
    }
  }

  service "schema-registry" {
    depends_on = [service.kafka]
    image      = "localhost/shop/schema-registry:1"
    ports      = ["127.0.0.1:22009:8081"]

    health "http" {
      port = 8081
      path = "/healthz"
    }
  }

  service "minio" {
    image = "localhost/shop/minio:1"
    ports = ["127.0.0.1:22010:9000"]

    health "http" {
      port = 9000
      path = "/healthz"
    }
  }

  service "elastic" {
    image = "localhost/shop/elastic:1"
    ports = ["127.0.0.1:22011:9200"]

    health "http" {
      port = 9200
      path = "/healthz"
    }
  }

  job "migrate-orders" {
    depends_on = [service.postgres]
    image      = "localhost/shop/migrate-orders:1"
    command    = ["migrate-orders"]
  }

  job "migrate-catalog" {
    depends_on = [service.postgres]
    image      = "localhost/shop/migrate-catalog:1"
    command    = ["migrate-catalog"]
  }

  job "migrate-accounts" {
    depends_on = [service.postgres]
    image      = "localhost/shop/migrate-accounts:1"
    command    = ["migrate-accounts"]
  }

  job "create-topics" {
    depends_on = [service.schema-registry]
    image      = "localhost/shop/create-topics:1"
    command    = ["create-topics"]
  }

  job "create-buckets" {
    depends_on = [service.minio]
    image      = "localhost/shop/create-buckets:1"
    command    = ["create-buckets"]
  }
}

# bootgraph:ignore implied-dependency: graph --reduce is shown with what it leaves out.
stage "core" {
  attempts   = 2
  on_failure = "abort"

  service "accounts" {
    depends_on = [job.migrate-accounts]
    wants      = [service.redis]
    image      = "localhost/shop/accounts:1"
    ports      = ["127.0.0.1:22012:9001"]

    health "grpc" {
      port = 9001
    }
  }

  service "sessions" {
    depends_on = [service.accounts, service.redis]
    image      = "localhost/shop/sessions:1"
    ports      = ["127.0.0.1:22013:9002"]

    health "grpc" {
      port = 9002
    }
  }

  service "pricing" {
    depends_on = [service.postgres-replica]
    wants      = [service.redis]
    image      = "localhost/shop/pricing:1"
    ports      = ["127.0.0.1:22014:9003"]

    health "grpc" {
      port = 9003
    }
  }

  service "inventory" {
    depends_on = [job.migrate-catalog, job.create-topics]
    image      = "localhost/shop/inventory:1"
    ports      = ["127.0.0.1:22015:9004"]

    health "grpc" {
      port = 9004
    }
  }

  service "catalog" {
    depends_on = [service.inventory, service.pricing, job.migrate-catalog]
    wants      = [service.elastic]
    image      = "localhost/shop/catalog:1"
    ports      = ["127.0.0.1:22016:9005", "127.0.0.1:22017:8080"]

    health "grpc" {
      port = 9005
    }
    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "payments" {
    depends_on = [service.accounts, job.create-topics]
    image      = "localhost/shop/payments:1"
    ports      = ["127.0.0.1:22018:9006"]

    health "grpc" {
      port = 9006
    }
  }

  service "orders" {
    depends_on = [service.payments, service.inventory, service.sessions, job.migrate-orders]
    image      = "localhost/shop/orders:1"
    ports      = ["127.0.0.1:22019:9007", "127.0.0.1:22020:8080"]

    health "grpc" {
      port = 9007
    }
    health "http" {
      port = 8080
      path = "/healthz"
    }
    health "exec" {
      command = ["/orders", "check"]
    }
  }
}

# bootgraph:ignore implied-dependency: as above.
stage "shop" {
  service "cart" {
    depends_on = [service.orders, service.sessions]
    wants      = [service.pricing]
    image      = "localhost/shop/cart:1"
    ports      = ["127.0.0.1:22021:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "search" {
    depends_on = [service.catalog, service.elastic]
    image      = "localhost/shop/search:1"
    ports      = ["127.0.0.1:22022:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "recommend" {
    wants = [service.catalog, service.kafka]
    image = "localhost/shop/recommend:1"
    ports = ["127.0.0.1:22023:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "reviews" {
    depends_on = [service.accounts]
    wants      = [service.search]
    image      = "localhost/shop/reviews:1"
    ports      = ["127.0.0.1:22024:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "media" {
    depends_on = [job.create-buckets]
    image      = "localhost/shop/media:1"
    ports      = ["127.0.0.1:22025:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "mailer" {
    depends_on = [service.kafka]
    after      = [service.orders]
    image      = "localhost/shop/mailer:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "invoices" {
    depends_on = [service.orders, job.create-buckets]
    after      = [service.mailer]
    image      = "localhost/shop/invoices:1"
    ports      = ["127.0.0.1:22026:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "storefront" {
    depends_on = [service.cart, service.search]
    wants      = [service.recommend, service.reviews, service.media]
    image      = "localhost/shop/storefront:1"
    ports      = ["127.0.0.1:22027:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "backoffice" {
    depends_on = [service.orders, service.invoices]
    image      = "localhost/shop/backoffice:1"
    ports      = ["127.0.0.1:22028:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }
}

# Nothing here keeps the shop from selling.
# bootgraph:ignore implied-dependency: as above.
stage "edge" {
  service "gateway" {
    depends_on = [service.storefront, service.backoffice]
    image      = "localhost/shop/gateway:1"
    ports      = ["127.0.0.1:22029:8443"]

    health "http" {
      port = 8443
      path = "/healthz"
    }
  }

  job "cdn-purge" {
    depends_on = [service.gateway]
    after      = [service.media]
    image      = "localhost/shop/cdn-purge:1"
    command    = ["cdn-purge"]
  }

  service "metrics" {
    image = "localhost/shop/metrics:1"
    ports = ["127.0.0.1:22030:9090"]

    health "http" {
      port = 9090
      path = "/healthz"
    }
  }

  service "logs" {
    image = "localhost/shop/logs:1"
    ports = ["127.0.0.1:22031:3100"]

    health "http" {
      port = 3100
      path = "/healthz"
    }
  }

  service "dashboards" {
    depends_on = [service.metrics]
    wants      = [service.logs]
    image      = "localhost/shop/dashboards:1"
    ports      = ["127.0.0.1:22032:3000"]

    health "http" {
      port = 3000
      path = "/healthz"
    }
  }

  service "alerts" {
    depends_on = [service.metrics]
    image      = "localhost/shop/alerts:1"
    ports      = ["127.0.0.1:22033:9093"]

    health "http" {
      port = 9093
      path = "/healthz"
    }
  }
}
