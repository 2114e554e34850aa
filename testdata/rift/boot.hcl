# A real host, "rift": services, order and ports of its cold start, from the
# public documents of its platform. Containers run the server of
# testdata/server; 127.0.8.53 and 127.0.9.53 stand for the host's LAN and VPN
# addresses.
name = "rift"

network "mcpnet" {}

# Identity and names. Nothing else works without them.
stage "foundation" {
  timeout = "120s"

  service "mcias" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:28443:8443", "127.0.0.1:29443:9443"]
    env      = { HTTP = ":8443 200ms", GRPC = ":9443 300ms", TLS = "self" }
    pull     = "never"

    health "tcp" {
      port = 8443
    }
    health "grpc" {
      port = 9443
      tls {
        insecure_skip_verify = true
      }
    }
  }

  service "mcns" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports = [
      "127.0.8.53:53:53/tcp", "127.0.8.53:53:53/udp",
      "127.0.9.53:53:53/tcp", "127.0.9.53:53:53/udp",
      "127.0.0.1:18053:8053",
    ]
    env  = { TCP = ":53", UDP = ":53", GRPC = ":8053 200ms" }
    pull = "never"

    health "grpc" {
      port = 8053
    }
  }
}

# Certificates, and the registry that all later images come from; so their own
# images have to be here already.
# bootgraph:ignore implied-dependency: what needs mcias is said, for --target and --exclude.
stage "core" {
  service "metacrypt" {
    depends_on = [service.mcias]

    component "api" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.mcpnet]
      ports    = ["127.0.0.1:18443:8443", "127.0.0.1:19443:9443"]
      env      = { TCP = ":8443 300ms", GRPC = ":9443 300ms" }
      pull     = "never"
    }
    component "web" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.mcpnet]
      ports    = ["127.0.0.1:18080:8080"]
      env      = { HTTP = ":8080 200ms" }
      pull     = "never"
    }

    health "grpc" {
      component = "api"
      port      = 9443
    }
    health "http" {
      component = "web"
      port      = 8080
    }
  }

  service "mcr" {
    depends_on = [service.mcias, service.metacrypt]

    component "api" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.mcpnet]
      ports    = ["127.0.0.1:28543:8443"]
      env      = { TCP = ":8443 300ms" }
      pull     = "never"
    }
    component "web" {
      image    = "localhost/bootgraph/server:1"
      networks = [network.mcpnet]
      ports    = ["127.0.0.1:28580:8080"]
      env      = { HTTP = ":8080 200ms" }
      pull     = "never"
    }

    health "tcp" {
      component = "api"
      port      = 8443
    }
    health "http" {
      component = "web"
      port      = 8080
    }
  }

  service "mc-proxy" {
    depends_on   = [service.metacrypt]
    image        = "localhost/bootgraph/server:1"
    network_mode = "host"
    env          = { TCP = "127.0.8.53:443" }
    pull         = "never"

    health "tcp" {
      port = 443
    }
  }
}

stage "management" {
  service "mcp-master" {
    depends_on   = [service.mcr]
    image        = "localhost/bootgraph/server:1"
    network_mode = "host"
    env          = { GRPC = "127.0.0.1:19555 200ms" }

    health "grpc" {
      port = 19555
    }
  }
}

# bootgraph:ignore implied-dependency: as above.
stage "apps" {
  service "mcq" {
    wants    = [service.mcias]
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:18401:8080"]
    env      = { HTTP = ":8080 200ms" }
  }
  service "mcdoc" {
    wants    = [service.mcias]
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:18402:8080"]
    env      = { HTTP = ":8080 200ms" }
  }
  service "mcat" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:18403:8080"]
    env      = { HTTP = ":8080 200ms" }
  }
  service "kls" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:18404:8080"]
    env      = { TCP = ":8080 200ms" }
  }
  service "sgardd" {
    image    = "localhost/bootgraph/server:1"
    networks = [network.mcpnet]
    ports    = ["127.0.0.1:18405:9443"]
    env      = { GRPC = ":9443 200ms" }

    health "grpc" {
      port = 9443
    }
  }
}
