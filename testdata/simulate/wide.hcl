# One service, then thirty at once: what a simulation foretells is the queue at
# the gate.
name = "wide"

stage "foundation" {
  service "db" {
    image = "localhost/bootgraph/server:1"
    env   = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
}

stage "apps" {
  service "app" {
    for_each = toset([for i in range(30) : format("%02d", i)])
    image    = "localhost/bootgraph/server:1"
    env      = { TCP = ":8080 1s" }

    health "tcp" {
      port = 8080
    }
  }
}
