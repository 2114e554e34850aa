# The host of a university: 120 services and jobs in six stages.
# It is drawn in docs/graph-large.svg.
name = "campus"

# Names, time, keys and accounts.
stage "foundation" {
  timeout = "180s"

  service "dns-a" {
    image = "localhost/campus/dns-a:1"
    ports = ["127.0.0.1:23000:53"]

    health "tcp" {
      port = 53
    }
  }

  service "dns-b" {
    image = "localhost/campus/dns-b:1"
    ports = ["127.0.0.1:23001:53"]

    health "tcp" {
      port = 53
    }
  }

  service "ntp" {
    image = "localhost/campus/ntp:1"

    health "none" {}
  }

  service "vault" {
    image = "localhost/campus/vault:1"
    ports = ["127.0.0.1:23002:8200"]

    health "http" {
      port = 8200
      path = "/healthz"
    }
  }

  job "vault-unseal" {
    depends_on = [service.vault]
    image      = "localhost/campus/vault-unseal:1"
    command    = ["vault-unseal"]
  }

  service "ca" {
    depends_on = [job.vault-unseal]
    image      = "localhost/campus/ca:1"
    ports      = ["127.0.0.1:23003:8443"]

    health "grpc" {
      port = 8443
    }
  }

  service "ldap" {
    depends_on = [service.ca, service.dns-a]
    image      = "localhost/campus/ldap:1"
    ports      = ["127.0.0.1:23004:636"]

    health "tcp" {
      port = 636
    }
    health "exec" {
      command = ["/ldap", "check"]
    }
  }

  service "ldap-replica" {
    depends_on = [service.ldap]
    image      = "localhost/campus/ldap-replica:1"
    ports      = ["127.0.0.1:23005:636"]

    health "tcp" {
      port = 636
    }
  }

  service "sso" {
    depends_on = [service.ldap]
    image      = "localhost/campus/sso:1"
    ports      = ["127.0.0.1:23006:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "radius" {
    depends_on = [service.ldap]
    image      = "localhost/campus/radius:1"

    health "exec" {
      command = ["/radius", "check"]
    }
  }
}

stage "storage" {
  timeout  = "120s"
  attempts = 3

  service "pg-main" {
    image = "localhost/campus/pg-main:1"
    ports = ["127.0.0.1:23007:5432"]

    health "tcp" {
      port = 5432
    }
    health "exec" {
      command = ["/pg-main", "check"]
    }
  }

  service "pg-replica" {
    depends_on = [service.pg-main]
    image      = "localhost/campus/pg-replica:1"
    ports      = ["127.0.0.1:23008:5432"]

    health "tcp" {
      port = 5432
    }
  }

  service "pg-archive" {
    depends_on = [service.pg-main]
    image      = "localhost/campus/pg-archive:1"

    health "exec" {
      command = ["/pg-archive", "check"]
    }
  }

  service "pgbouncer" {
    depends_on = [service.pg-main]
    image      = "localhost/campus/pgbouncer:1"
    ports      = ["127.0.0.1:23009:6432"]

    health "tcp" {
      port = 6432
    }
  }

  service "mariadb" {
    image = "localhost/campus/mariadb:1"
    ports = ["127.0.0.1:23010:3306"]

    health "tcp" {
      port = 3306
    }
  }

  service "mongo" {
    image = "localhost/campus/mongo:1"
    ports = ["127.0.0.1:23011:27017"]

    health "tcp" {
      port = 27017
    }
  }

  service "redis-cache" {
    image = "localhost/campus/redis-cache:1"
    ports = ["127.0.0.1:23012:6379"]

    health "tcp" {
      port = 6379
    }
  }

  service "redis-queue" {
    image = "localhost/campus/redis-queue:1"
    ports = ["127.0.0.1:23013:6379"]

    health "tcp" {
      port = 6379
    }
  }

  service "rabbitmq" {
    image = "localhost/campus/rabbitmq:1"
    ports = ["127.0.0.1:23014:5672", "127.0.0.1:23015:15672"]

    health "tcp" {
      port = 5672
    }
    health "http" {
      port = 15672
      path = "/healthz"
    }
  }

  service "kafka-1" {
    image = "localhost/campus/kafka-1:1"
    ports = ["127.0.0.1:23016:9092"]

    health "tcp" {
      port = 9092
    }
  }

  service "kafka-2" {
    image = "localhost/campus/kafka-2:1"
    ports = ["127.0.0.1:23017:9092"]

    health "tcp" {
      port = 9092
    }
  }

  service "kafka-3" {
    image = "localhost/campus/kafka-3:1"
    ports = ["127.0.0.1:23018:9092"]

    health "tcp" {
      port = 9092
    }
  }

  job "kafka-topics" {
    depends_on = [service.kafka-1, service.kafka-2, service.kafka-3]
    image      = "localhost/campus/kafka-topics:1"
    command    = ["kafka-topics"]
  }

  service "schema-registry" {
    depends_on = [job.kafka-topics]
    image      = "localhost/campus/schema-registry:1"
    ports      = ["127.0.0.1:23019:8081"]

    health "http" {
      port = 8081
      path = "/healthz"
    }
  }

  service "minio" {
    image = "localhost/campus/minio:1"
    ports = ["127.0.0.1:23020:9000"]

    health "http" {
      port = 9000
      path = "/healthz"
    }
  }

  job "minio-buckets" {
    depends_on = [service.minio]
    image      = "localhost/campus/minio-buckets:1"
    command    = ["minio-buckets"]
  }

  service "elastic" {
    image = "localhost/campus/elastic:1"
    ports = ["127.0.0.1:23021:9200"]

    health "http" {
      port = 9200
      path = "/healthz"
    }
  }

  service "clickhouse" {
    image = "localhost/campus/clickhouse:1"
    ports = ["127.0.0.1:23022:8123"]

    health "http" {
      port = 8123
      path = "/healthz"
    }
  }

  service "nfs-gateway" {
    image = "localhost/campus/nfs-gateway:1"
    ports = ["127.0.0.1:23023:2049"]

    health "tcp" {
      port = 2049
    }
  }

  service "backup-agent" {
    after = [service.pg-main, service.minio]
    image = "localhost/campus/backup-agent:1"

    health "none" {}
  }
}

# bootgraph:ignore implied-dependency: graph --reduce is shown with what it leaves out.
stage "platform" {
  attempts   = 2
  on_failure = "abort"

  service "registry" {
    depends_on = [job.minio-buckets]
    image      = "localhost/campus/registry:1"
    ports      = ["127.0.0.1:23024:5000"]

    health "http" {
      port = 5000
      path = "/healthz"
    }
  }

  service "git" {
    depends_on = [service.pgbouncer]
    image      = "localhost/campus/git:1"
    ports      = ["127.0.0.1:23025:9418", "127.0.0.1:23026:3000"]

    health "grpc" {
      port = 9418
    }
    health "http" {
      port = 3000
      path = "/healthz"
    }
  }

  service "ci-server" {
    depends_on = [service.git, service.redis-queue]
    wants      = [service.registry]
    image      = "localhost/campus/ci-server:1"
    ports      = ["127.0.0.1:23027:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "ci-runner-1" {
    depends_on = [service.ci-server]
    image      = "localhost/campus/ci-runner-1:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "ci-runner-2" {
    depends_on = [service.ci-server]
    image      = "localhost/campus/ci-runner-2:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "ci-runner-3" {
    depends_on = [service.ci-server]
    image      = "localhost/campus/ci-runner-3:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "mail-relay" {
    image = "localhost/campus/mail-relay:1"
    ports = ["127.0.0.1:23028:25"]

    health "tcp" {
      port = 25
    }
  }

  service "mail-store" {
    depends_on = [service.mail-relay]
    wants      = [service.nfs-gateway]
    image      = "localhost/campus/mail-store:1"
    ports      = ["127.0.0.1:23029:993"]

    health "tcp" {
      port = 993
    }
  }

  service "mail-filter" {
    after = [service.mail-relay]
    image = "localhost/campus/mail-filter:1"
    ports = ["127.0.0.1:23030:783"]

    health "tcp" {
      port = 783
    }
  }

  service "webmail" {
    depends_on = [service.mail-store]
    wants      = [service.mail-filter]
    image      = "localhost/campus/webmail:1"
    ports      = ["127.0.0.1:23031:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "notify" {
    depends_on = [service.rabbitmq]
    wants      = [service.mail-relay]
    image      = "localhost/campus/notify:1"
    ports      = ["127.0.0.1:23032:9100"]

    health "grpc" {
      port = 9100
    }
  }

  service "audit" {
    depends_on = [job.kafka-topics]
    image      = "localhost/campus/audit:1"
    ports      = ["127.0.0.1:23033:9101"]

    health "grpc" {
      port = 9101
    }
  }

  service "files" {
    depends_on = [job.minio-buckets]
    wants      = [service.audit]
    image      = "localhost/campus/files:1"
    ports      = ["127.0.0.1:23034:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "search-index" {
    depends_on = [service.elastic]
    wants      = [service.audit]
    image      = "localhost/campus/search-index:1"
    ports      = ["127.0.0.1:23035:9102"]

    health "grpc" {
      port = 9102
    }
  }

  service "feature-flags" {
    depends_on = [service.redis-cache]
    image      = "localhost/campus/feature-flags:1"
    ports      = ["127.0.0.1:23036:9103"]

    health "grpc" {
      port = 9103
    }
  }

  service "jobs-scheduler" {
    depends_on = [service.redis-queue, service.notify]
    image      = "localhost/campus/jobs-scheduler:1"
    ports      = ["127.0.0.1:23037:9104"]

    health "grpc" {
      port = 9104
    }
  }

  service "ids" {
    depends_on = [service.feature-flags, service.pgbouncer]
    image      = "localhost/campus/ids:1"
    ports      = ["127.0.0.1:23038:9105"]

    health "grpc" {
      port = 9105
    }
  }

  service "consent" {
    depends_on = [service.ids, service.audit]
    image      = "localhost/campus/consent:1"
    ports      = ["127.0.0.1:23039:9106"]

    health "grpc" {
      port = 9106
    }
  }

  job "migrate-platform" {
    depends_on = [service.pgbouncer]
    image      = "localhost/campus/migrate-platform:1"
    command    = ["migrate-platform"]
  }

  service "payments-gateway" {
    depends_on = [job.migrate-platform, service.audit]
    image      = "localhost/campus/payments-gateway:1"
    ports      = ["127.0.0.1:23040:9107"]

    health "grpc" {
      port = 9107
    }
  }
}

# bootgraph:ignore implied-dependency: as above.
stage "campus" {
  service "people" {
    depends_on = [service.pgbouncer]
    image      = "localhost/campus/people:1"
    ports      = ["127.0.0.1:23041:9201"]

    health "grpc" {
      port = 9201
    }
  }

  service "courses" {
    depends_on = [service.people]
    image      = "localhost/campus/courses:1"
    ports      = ["127.0.0.1:23042:9202"]

    health "grpc" {
      port = 9202
    }
  }

  service "rooms" {
    depends_on = [service.pgbouncer]
    image      = "localhost/campus/rooms:1"
    ports      = ["127.0.0.1:23043:9203"]

    health "grpc" {
      port = 9203
    }
  }

  service "timetable" {
    depends_on = [service.courses, service.rooms]
    wants      = [service.feature-flags]
    image      = "localhost/campus/timetable:1"
    ports      = ["127.0.0.1:23044:9204", "127.0.0.1:23045:8080"]

    health "grpc" {
      port = 9204
    }
    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "enrolment" {
    depends_on = [service.courses, service.people, service.payments-gateway]
    image      = "localhost/campus/enrolment:1"
    ports      = ["127.0.0.1:23046:9205"]

    health "grpc" {
      port = 9205
    }
  }

  service "exams" {
    depends_on = [service.enrolment, service.timetable]
    image      = "localhost/campus/exams:1"
    ports      = ["127.0.0.1:23047:9206"]

    health "grpc" {
      port = 9206
    }
  }

  service "grades" {
    depends_on = [service.exams, service.audit]
    image      = "localhost/campus/grades:1"
    ports      = ["127.0.0.1:23048:9207"]

    health "grpc" {
      port = 9207
    }
  }

  service "transcripts" {
    depends_on = [service.grades, service.files]
    image      = "localhost/campus/transcripts:1"
    ports      = ["127.0.0.1:23049:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "library-catalog" {
    depends_on = [service.elastic, service.pgbouncer]
    image      = "localhost/campus/library-catalog:1"
    ports      = ["127.0.0.1:23050:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "library-loans" {
    depends_on = [service.library-catalog, service.people, service.notify]
    image      = "localhost/campus/library-loans:1"
    ports      = ["127.0.0.1:23051:9208"]

    health "grpc" {
      port = 9208
    }
  }

  service "library-scanner" {
    depends_on = [service.library-loans]
    image      = "localhost/campus/library-scanner:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "housing" {
    depends_on = [service.people, service.payments-gateway]
    image      = "localhost/campus/housing:1"
    ports      = ["127.0.0.1:23052:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "canteen" {
    depends_on = [service.payments-gateway]
    image      = "localhost/campus/canteen:1"
    ports      = ["127.0.0.1:23053:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "parking" {
    depends_on = [service.people]
    wants      = [service.payments-gateway]
    image      = "localhost/campus/parking:1"
    ports      = ["127.0.0.1:23054:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "printing" {
    depends_on = [service.people]
    wants      = [service.files]
    image      = "localhost/campus/printing:1"
    ports      = ["127.0.0.1:23055:631"]

    health "tcp" {
      port = 631
    }
  }

  service "id-cards" {
    depends_on = [service.people]
    image      = "localhost/campus/id-cards:1"
    ports      = ["127.0.0.1:23056:9209"]

    health "grpc" {
      port = 9209
    }
  }

  service "doors" {
    depends_on = [service.id-cards, service.rooms]
    image      = "localhost/campus/doors:1"
    ports      = ["127.0.0.1:23057:9210"]

    health "grpc" {
      port = 9210
    }
  }

  service "sports" {
    depends_on = [service.people, service.rooms]
    image      = "localhost/campus/sports:1"
    ports      = ["127.0.0.1:23058:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "alumni" {
    depends_on = [service.people]
    wants      = [service.mail-relay]
    image      = "localhost/campus/alumni:1"
    ports      = ["127.0.0.1:23059:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "careers" {
    depends_on = [service.people]
    wants      = [service.search-index]
    image      = "localhost/campus/careers:1"
    ports      = ["127.0.0.1:23060:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "thesis-archive" {
    depends_on = [service.files, service.search-index]
    image      = "localhost/campus/thesis-archive:1"
    ports      = ["127.0.0.1:23061:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "plagiarism" {
    depends_on = [service.thesis-archive]
    wants      = [service.clickhouse]
    image      = "localhost/campus/plagiarism:1"
    ports      = ["127.0.0.1:23062:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "lms" {
    depends_on = [service.courses, service.enrolment, service.files]
    image      = "localhost/campus/lms:1"
    ports      = ["127.0.0.1:23063:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
    health "exec" {
      command = ["/lms", "check"]
    }
  }

  service "lms-worker" {
    depends_on = [service.redis-queue]
    after      = [service.lms]
    image      = "localhost/campus/lms-worker:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "quiz" {
    depends_on = [service.lms]
    image      = "localhost/campus/quiz:1"
    ports      = ["127.0.0.1:23064:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "forum" {
    depends_on = [service.lms]
    wants      = [service.notify]
    image      = "localhost/campus/forum:1"
    ports      = ["127.0.0.1:23065:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "video-ingest" {
    depends_on = [job.minio-buckets]
    image      = "localhost/campus/video-ingest:1"
    ports      = ["127.0.0.1:23066:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "video-encode-1" {
    depends_on = [service.video-ingest]
    image      = "localhost/campus/video-encode-1:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "video-encode-2" {
    depends_on = [service.video-ingest]
    image      = "localhost/campus/video-encode-2:1"

    health "log" {
      pattern = "ready"
    }
  }

  service "video-portal" {
    depends_on = [service.video-ingest]
    wants      = [service.lms]
    image      = "localhost/campus/video-portal:1"
    ports      = ["127.0.0.1:23067:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "chat" {
    depends_on = [service.people, service.mongo]
    image      = "localhost/campus/chat:1"
    ports      = ["127.0.0.1:23068:5222"]

    health "tcp" {
      port = 5222
    }
  }

  service "surveys" {
    depends_on = [service.people, service.mariadb]
    image      = "localhost/campus/surveys:1"
    ports      = ["127.0.0.1:23069:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "wiki" {
    depends_on = [service.mariadb]
    wants      = [service.search-index]
    image      = "localhost/campus/wiki:1"
    ports      = ["127.0.0.1:23070:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "news" {
    depends_on = [service.mariadb]
    image      = "localhost/campus/news:1"
    ports      = ["127.0.0.1:23071:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "events" {
    depends_on = [service.rooms]
    wants      = [service.news]
    image      = "localhost/campus/events:1"
    ports      = ["127.0.0.1:23072:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "maps" {
    depends_on = [service.rooms]
    image      = "localhost/campus/maps:1"
    ports      = ["127.0.0.1:23073:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "weather" {
    image = "localhost/campus/weather:1"

    health "none" {}
  }

  service "jukebox" {
    image = "localhost/campus/jukebox:1"

    health "none" {}
  }
}

# bootgraph:ignore implied-dependency: as above.
stage "portals" {
  on_failure = "continue"

  service "student-portal" {
    depends_on = [service.timetable, service.enrolment, service.grades, service.lms]
    wants      = [service.library-loans, service.canteen]
    image      = "localhost/campus/student-portal:1"
    ports      = ["127.0.0.1:23074:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "staff-portal" {
    depends_on = [service.timetable, service.grades, service.people]
    wants      = [service.parking]
    image      = "localhost/campus/staff-portal:1"
    ports      = ["127.0.0.1:23075:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "admin-portal" {
    depends_on = [service.people, service.enrolment, service.payments-gateway, service.ids]
    image      = "localhost/campus/admin-portal:1"
    ports      = ["127.0.0.1:23076:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "public-site" {
    depends_on = [service.news, service.events]
    wants      = [service.maps]
    image      = "localhost/campus/public-site:1"
    ports      = ["127.0.0.1:23077:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "mobile-api" {
    depends_on = [service.student-portal]
    wants      = [service.chat]
    image      = "localhost/campus/mobile-api:1"
    ports      = ["127.0.0.1:23078:8443"]

    health "http" {
      port = 8443
      path = "/healthz"
    }
  }

  service "signage" {
    wants = [service.timetable, service.weather]
    after = [service.public-site]
    image = "localhost/campus/signage:1"
    ports = ["127.0.0.1:23079:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "kiosk" {
    depends_on = [service.student-portal, service.library-catalog]
    image      = "localhost/campus/kiosk:1"
    ports      = ["127.0.0.1:23080:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "search-portal" {
    depends_on = [service.search-index]
    wants      = [service.library-catalog]
    image      = "localhost/campus/search-portal:1"
    ports      = ["127.0.0.1:23081:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "guest-wifi" {
    wants = [service.radius]
    image = "localhost/campus/guest-wifi:1"
    ports = ["127.0.0.1:23082:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "api-docs" {
    image = "localhost/campus/api-docs:1"
    ports = ["127.0.0.1:23083:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  job "warm-caches" {
    depends_on = [service.student-portal, service.public-site]
    image      = "localhost/campus/warm-caches:1"
    command    = ["warm-caches"]
  }

  service "edge-proxy" {
    depends_on = [service.student-portal, service.staff-portal, service.admin-portal, service.public-site, service.mobile-api]
    image      = "localhost/campus/edge-proxy:1"
    ports      = ["127.0.0.1:23084:8443"]

    health "http" {
      port = 8443
      path = "/healthz"
    }
  }

  service "waf" {
    depends_on = [service.edge-proxy]
    image      = "localhost/campus/waf:1"

    health "log" {
      pattern = "ready"
    }
  }
}

# Nothing here keeps a student from a lecture.
# bootgraph:ignore implied-dependency: as above.
stage "watch" {
  service "metrics" {
    image = "localhost/campus/metrics:1"
    ports = ["127.0.0.1:23085:9090"]

    health "http" {
      port = 9090
      path = "/healthz"
    }
  }

  service "logs" {
    image = "localhost/campus/logs:1"
    ports = ["127.0.0.1:23086:3100"]

    health "http" {
      port = 3100
      path = "/healthz"
    }
  }

  service "traces" {
    image = "localhost/campus/traces:1"
    ports = ["127.0.0.1:23087:4317"]

    health "grpc" {
      port = 4317
    }
  }

  service "alerts" {
    depends_on = [service.metrics]
    image      = "localhost/campus/alerts:1"
    ports      = ["127.0.0.1:23088:9093"]

    health "http" {
      port = 9093
      path = "/healthz"
    }
  }

  service "dashboards" {
    depends_on = [service.metrics]
    wants      = [service.logs, service.traces]
    image      = "localhost/campus/dashboards:1"
    ports      = ["127.0.0.1:23089:3000"]

    health "http" {
      port = 3000
      path = "/healthz"
    }
  }

  service "exporter-pg" {
    wants = [service.metrics]
    image = "localhost/campus/exporter-pg:1"
    ports = ["127.0.0.1:23090:9187"]

    health "http" {
      port = 9187
      path = "/healthz"
    }
  }

  service "exporter-redis" {
    wants = [service.metrics]
    image = "localhost/campus/exporter-redis:1"
    ports = ["127.0.0.1:23091:9121"]

    health "http" {
      port = 9121
      path = "/healthz"
    }
  }

  service "exporter-kafka" {
    wants = [service.metrics]
    image = "localhost/campus/exporter-kafka:1"
    ports = ["127.0.0.1:23092:9308"]

    health "http" {
      port = 9308
      path = "/healthz"
    }
  }

  service "exporter-nginx" {
    wants = [service.metrics, service.edge-proxy]
    image = "localhost/campus/exporter-nginx:1"
    ports = ["127.0.0.1:23093:9113"]

    health "http" {
      port = 9113
      path = "/healthz"
    }
  }

  service "blackbox" {
    depends_on = [service.metrics, service.edge-proxy]
    image      = "localhost/campus/blackbox:1"
    ports      = ["127.0.0.1:23094:9115"]

    health "http" {
      port = 9115
      path = "/healthz"
    }
  }

  service "statuspage" {
    depends_on = [service.blackbox]
    image      = "localhost/campus/statuspage:1"
    ports      = ["127.0.0.1:23095:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "log-shipper" {
    depends_on = [service.logs]
    image      = "localhost/campus/log-shipper:1"

    health "log" {
      pattern = "ready"
    }
  }

  job "log-archive" {
    depends_on = [service.log-shipper, job.minio-buckets]
    image      = "localhost/campus/log-archive:1"
    command    = ["log-archive"]
  }

  job "cost-report" {
    depends_on = [service.metrics, service.clickhouse]
    image      = "localhost/campus/cost-report:1"
    command    = ["cost-report"]
  }

  service "uptime-bot" {
    after = [service.statuspage]
    image = "localhost/campus/uptime-bot:1"

    health "log" {
      pattern = "ready"
    }
  }

  job "synthetic-login" {
    depends_on = [service.blackbox]
    image      = "localhost/campus/synthetic-login:1"
    command    = ["synthetic-login"]
  }

  service "capacity" {
    depends_on = [service.metrics, service.clickhouse]
    image      = "localhost/campus/capacity:1"
    ports      = ["127.0.0.1:23096:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  service "oncall" {
    depends_on = [service.alerts]
    wants      = [service.notify]
    image      = "localhost/campus/oncall:1"
    ports      = ["127.0.0.1:23097:8080"]

    health "http" {
      port = 8080
      path = "/healthz"
    }
  }

  job "sbom-scan" {
    depends_on = [service.registry]
    image      = "localhost/campus/sbom-scan:1"
    command    = ["sbom-scan"]
  }
}
