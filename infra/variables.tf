variable "alert_emails" {
  description = "Addresses that alerts are mailed to. Without them and notification_channels nobody is told, and each plan says so."
  type        = set(string)
  default     = []
}

variable "alert_silence_hours" {
  description = "Alert when no webhook has been accepted for so many hours, 1 to 23; null for never."
  type        = number
  default     = 23

  validation {
    condition     = var.alert_silence_hours == null ? true : var.alert_silence_hours >= 1 && var.alert_silence_hours <= 23
    error_message = "alert_silence_hours: write a number from 1 to 23 (Cloud Monitoring looks back a day at most), or null for no such alert."
  }
}

variable "alert_unauthorized" {
  description = "Alert when more requests than this are answered 401 within 10 minutes, and three times as many as usual."
  type        = number
  default     = 30
}

variable "backup_retention_days" {
  description = "How long a daily backup of Firestore is kept, 1 to 98 days; null for no backups."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days == null ? true : var.backup_retention_days >= 1 && var.backup_retention_days <= 98
    error_message = "backup_retention_days: write a number from 1 to 98 (14 weeks, Firestore's most), or null for no backups."
  }
}

variable "build_repository_granted" {
  description = "The build account has been granted roles/artifactregistry.writer on our own image repository by hand: take its right to write images away from the project. See README.md."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete a subscription, and with it what waits in it: one that is removed, renamed or given another filter, dead letters included. To delete some on purpose, apply once with false, then remove them."
  type        = bool
  default     = true
}

variable "event_retention_days" {
  description = "Delete events from the log after so many days. null keeps those recorded from then on; what is deleted cannot be rebuilt from."
  type        = number
  default     = null

  validation {
    condition     = var.event_retention_days == null ? true : var.event_retention_days >= 1
    error_message = "event_retention_days: write a number of days, 1 or more, or null to keep events."
  }
}

variable "firestore_database" {
  description = "Firestore database to make. null: (default) without a prefix, else <prefix>heron. Cannot be changed later."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_database == null ? true : can(regex("^(\\(default\\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$", var.firestore_database))
    error_message = "firestore_database: write (default), or 4 to 63 of a-z, 0-9 and -, starting with a letter and not ending with a hyphen."
  }
}

variable "firestore_database_exists" {
  description = "Take up a database that is there already: after Destroy, or because the project had it. See README.md."
  type        = bool
  default     = false
}

variable "firestore_location" {
  description = "Where Firestore keeps its data: a region, nam5 or eur3. null: the region. Cannot be changed later."
  type        = string
  default     = null
}

variable "heron_api_key" {
  description = "Your key of Heron's API, for recover. Read by the apply that switches recover on, and only by it: TF_VAR_heron_api_key=…"
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = var.heron_api_key == null ? true : can(regex("^[!-~]+$", trimspace(var.heron_api_key)))
    error_message = "heron_api_key: it is empty, or has something in it that no key has. Write the key of your Heron account and nothing else, or leave it out."
  }
}

variable "heron_shared_secret" {
  description = "The secret that Heron signs with (several, one a line, during a rotation). Read by the first apply only: TF_VAR_heron_shared_secret=…"
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = var.heron_shared_secret == null ? true : trimspace(var.heron_shared_secret) != ""
    error_message = "heron_shared_secret: it is empty. Write the secret Heron gave you, or leave it out and add it later with gcloud secrets versions add."
  }
}

variable "ingest" {
  description = "Size of ingest. The defaults are reasoned out in README.md."
  type = object({
    concurrency   = optional(number, 16)
    cpu           = optional(number, 1)
    max_instances = optional(number, 10)
    memory_mib    = optional(number, 1024)
    min_instances = optional(number, 1)
  })
  default = {}

  validation {
    condition     = var.ingest.memory_mib >= 256 + 40 * var.ingest.concurrency
    error_message = "ingest: ${var.ingest.concurrency} bodies of 10 MB at once do not fit. Write memory_mib = ${256 + 40 * var.ingest.concurrency} or more, or a lower concurrency (256 MiB for the process and 40 for each)."
  }

  validation {
    condition     = var.ingest.min_instances >= 0 && var.ingest.max_instances >= max(1, var.ingest.min_instances)
    error_message = "ingest: write max_instances of at least 1 and at least min_instances."
  }

  validation {
    condition     = var.ingest.concurrency >= 1 && var.ingest.concurrency <= 1000 && (var.ingest.concurrency == 1 || var.ingest.cpu >= 1)
    error_message = "ingest: write a concurrency from 1 to 1000, and cpu = 1 or more where it is over 1 (Cloud Run's rule)."
  }
}

variable "ingest_behind_load_balancer" {
  description = "Close ingest's own address: only a load balancer (with Cloud Armor) may reach it. See README.md."
  type        = bool
  default     = false
}

variable "ingest_public" {
  description = "Let anyone call ingest, as Heron must. false where the organisation forbids allUsers. See README.md."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels for everything that takes labels."
  type        = map(string)
  default     = {}
}

variable "log_sampling" {
  description = "Which share of the lines about webhooks that went well ingest and projector log: 0.1 keeps those of one webhook in ten, the same in both. All else is logged, whatever this says. See GROWTH.md."
  type        = number
  default     = 1

  validation {
    condition     = var.log_sampling >= 0.0001 && var.log_sampling <= 1
    error_message = "log_sampling: write a share from 0.0001 to 1, such as 0.1; 1 logs every webhook."
  }
}

variable "notification_channels" {
  description = "Existing notification channels that alerts go to: projects/PROJECT/notificationChannels/ID."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))])
    error_message = "notification_channels: write each as projects/PROJECT/notificationChannels/ID (gcloud beta monitoring channels list)."
  }
}

variable "operators" {
  description = "Who may read and rotate the secret, write Firestore, read dead letters, send them again, and ask query."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount|principal|principalSet):.+$", member))])
    error_message = "operators: write each as group:…, user:…, serviceAccount:…, principal:… or principalSet:…."
  }
}

variable "point_in_time_recovery" {
  description = "Let Firestore be read and exported as it was at any minute of the last 7 days."
  type        = bool
  default     = true
}

variable "prefix" {
  description = "Put before every name, so that several environments share a project: staging-."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,8}-)?$", var.prefix)) && !startswith(var.prefix, "goog")
    error_message = "prefix: write at most 10 of a-z, 0-9 and -, starting with a letter (not with goog) and ending with a hyphen, as in staging-."
  }
}

variable "project_id" {
  description = "The Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: write the project's id (gcloud projects list), not its name or number."
  }
}

variable "projector" {
  description = "Size of projector. The defaults are reasoned out in README.md."
  type = object({
    concurrency   = optional(number, 20)
    cpu           = optional(number, 1)
    max_instances = optional(number, 10)
    memory_mib    = optional(number, 1536)
    min_instances = optional(number, 0)
  })
  default = {}

  validation {
    condition     = var.projector.memory_mib >= 256 + 60 * var.projector.concurrency
    error_message = "projector: ${var.projector.concurrency} messages of 10 MB at once do not fit. Write memory_mib = ${256 + 60 * var.projector.concurrency} or more, or a lower concurrency (256 MiB for the process and 60 for each)."
  }

  validation {
    condition     = var.projector.min_instances >= 0 && var.projector.max_instances >= max(1, var.projector.min_instances)
    error_message = "projector: write max_instances of at least 1 and at least min_instances."
  }

  validation {
    condition     = var.projector.concurrency >= 1 && var.projector.concurrency <= 1000 && (var.projector.concurrency == 1 || var.projector.cpu >= 1)
    error_message = "projector: write a concurrency from 1 to 1000, and cpu = 1 or more where it is over 1 (Cloud Run's rule)."
  }
}

variable "query" {
  description = "Size of query. The defaults are reasoned out in README.md."
  type = object({
    concurrency   = optional(number, 80)
    cpu           = optional(number, 1)
    max_instances = optional(number, 5)
    memory_mib    = optional(number, 1024)
    min_instances = optional(number, 0)
  })
  default = {}

  validation {
    condition     = var.query.min_instances >= 0 && var.query.max_instances >= max(1, var.query.min_instances)
    error_message = "query: write max_instances of at least 1 and at least min_instances."
  }

  validation {
    condition     = var.query.concurrency >= 1 && var.query.concurrency <= 1000 && (var.query.concurrency == 1 || var.query.cpu >= 1)
    error_message = "query: write a concurrency from 1 to 1000, and cpu = 1 or more where it is over 1 (Cloud Run's rule)."
  }
}

variable "query_members" {
  description = "Who may ask query: the services and people that want to know where an end user stands."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.query_members : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+$", member))])
    error_message = "query_members: write each as serviceAccount:…, group:…, user:…, domain:…, principal:… or principalSet:…; query is not for allUsers."
  }
}

variable "recover" {
  description = "Every 15 minutes, ask Heron's API for deliveries that failed and that Heron gave up, and bring them in (heron_api_key). Without it, what an outage of over 21 minutes let Heron give up is lost 7 days later, unless somebody runs `heron recover`."
  type        = bool
  default     = false
}

variable "region" {
  description = "Where the functions run, and, unless firestore_location says otherwise, the data lies."
  type        = string
  default     = "us-east1"
}

variable "restored_database" {
  description = "A database restored from a backup, to use instead of the lost one. See README.md."
  type        = string
  default     = null
}

variable "subscribers" {
  description = <<-EOT
    Services that receive events, by name. Each has its own subscriptions, dead letters, replay topic and alert.
    topics                 Heron topics, or patterns in which * stands for anything ("end_user.*", "*"), which take in the
                           topics that Heron adds; "unrouted" for what no topic is known for
    filter                 Pub/Sub filter on the attributes, such as: attributes."ce-status" = "processed"
    push_endpoint          https address that Pub/Sub posts to, or
    pull_members           who pulls, or
    bigquery_table         project.dataset.table that Pub/Sub writes to
    service_accounts       e-mail addresses of the service's own accounts, which may publish to its dead letters, and pull
                           where nothing is pushed
    paused                 keeps events, for 7 days at most, and pushes none
    wrapped                pushes as Pub/Sub's JSON, the body in base64; else as CloudEvents over HTTP
    push_audience          audience of the push's identity token; the endpoint unless given
    ack_deadline_seconds   how long one delivery may take
    alert_unacked_minutes  how old the oldest event may get before the alert; a paused one's may get 5 days
    Another name or filter, or a topic less, deletes subscriptions with what waits in them; another name deletes the dead
    letters too, and a filter never brings back what it left out. deletion_protection refuses that.
  EOT
  type = map(object({
    topics                = list(string)
    filter                = optional(string)
    push_endpoint         = optional(string)
    pull_members          = optional(list(string), [])
    bigquery_table        = optional(string)
    service_accounts      = optional(list(string), [])
    paused                = optional(bool, false)
    wrapped               = optional(bool, false)
    push_audience         = optional(string)
    ack_deadline_seconds  = optional(number)
    alert_unacked_minutes = optional(number, 30)
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.subscribers) : can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", name)) && !contains(["dead-letter", "projector", "replay", "unrouted"], name)])
    error_message = "subscribers: write names of 2 to 16 of a-z, 0-9 and -, starting with a letter and not ending with a hyphen; dead-letter, projector, replay and unrouted are taken."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : length(subscriber.topics) > 0])
    error_message = "subscribers: topics is empty for ${join(", ", [for name, subscriber in var.subscribers : name if length(subscriber.topics) == 0])}. Write the topics, or [\"*\"] for all."
  }

  validation {
    condition = alltrue(flatten([for subscriber in var.subscribers : [
      for entry in subscriber.topics : entry == "unrouted" || length(regexall("(?m)^\\Q${replace(entry, "*", "\\E.*\\Q")}\\E$", join("\n", local.heron_topics))) > 0
    ]]))
    error_message = "subscribers: Heron has no such topic: ${join(", ", flatten([for name, subscriber in var.subscribers : [
      for entry in subscriber.topics : "${entry} (of ${name})" if entry != "unrouted" && length(regexall("(?m)^\\Q${replace(entry, "*", "\\E.*\\Q")}\\E$", join("\n", local.heron_topics))) == 0
    ]]))}. Write \"unrouted\", a pattern such as \"end_user.*\" or \"*\", or any of: ${join(", ", sort(local.heron_topics))}."
  }

  validation {
    condition = alltrue([for subscriber in var.subscribers : 1 == length([
      for given in [
        subscriber.push_endpoint != null,
        subscriber.bigquery_table != null,
        length(subscriber.pull_members) > 0 || (subscriber.push_endpoint == null && length(subscriber.service_accounts) > 0),
      ] : true if given
    ])])
    error_message = "subscribers: each has one destination. Write push_endpoint, or bigquery_table (without service_accounts, which have nothing to pull there), or who pulls: pull_members or service_accounts."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : subscriber.push_endpoint == null ? true : can(regex("^https://[^/ ]+", subscriber.push_endpoint))])
    error_message = "subscribers: write push_endpoint as https://…: Pub/Sub sends an identity token with every push."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : subscriber.push_audience == null || subscriber.push_endpoint != null])
    error_message = "subscribers: push_audience belongs to a push_endpoint. Leave it out."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : !subscriber.paused || subscriber.push_endpoint != null])
    error_message = "subscribers: only pushes can be paused, and ${join(", ", [for name, subscriber in var.subscribers : name if subscriber.paused && subscriber.push_endpoint == null])} gets none. Who pulls pauses by not pulling; what BigQuery is written, Terraform cannot hold back."
  }

  validation {
    condition     = alltrue(flatten([for subscriber in var.subscribers : [for member in subscriber.pull_members : can(regex("^(user|group|serviceAccount|principal|principalSet):.+$", member))]]))
    error_message = "subscribers: write each of pull_members as serviceAccount:…, group:…, user:…, principal:… or principalSet:…."
  }

  validation {
    condition     = alltrue(flatten([for subscriber in var.subscribers : [for account in subscriber.service_accounts : can(regex("^(serviceAccount:)?[^@: ]+@[^@: ]+[.]gserviceaccount[.]com$", account))]]))
    error_message = "subscribers: write each of service_accounts as its e-mail address, NAME@PROJECT.iam.gserviceaccount.com. People and groups that pull are pull_members."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : subscriber.bigquery_table == null ? true : can(regex("^[a-z][a-z0-9-]+\\.[A-Za-z0-9_]+\\.[^. ]+$", subscriber.bigquery_table))])
    error_message = "subscribers: write bigquery_table as project.dataset.table."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : subscriber.filter == null ? true : subscriber.filter != "" && length(subscriber.filter) <= 256])
    error_message = "subscribers: write a filter of 1 to 256 characters (Pub/Sub's most), or leave it out."
  }

  validation {
    condition     = alltrue([for subscriber in var.subscribers : subscriber.ack_deadline_seconds == null ? true : subscriber.ack_deadline_seconds >= 10 && subscriber.ack_deadline_seconds <= 600])
    error_message = "subscribers: write ack_deadline_seconds from 10 to 600, or leave it out."
  }
}

variable "telemetry" {
  description = "OpenTelemetry's own variables for ingest, projector and query: { OTEL_EXPORTER_OTLP_ENDPOINT = \"https://…\", OTEL_TRACES_SAMPLER = \"traceidratio\", OTEL_TRACES_SAMPLER_ARG = \"0.01\" }. Empty: no spans. See README.md."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.telemetry) : startswith(name, "OTEL_")])
    error_message = "telemetry: write OpenTelemetry's variables only, whose names begin with OTEL_."
  }

  validation {
    condition     = length(var.telemetry) == 0 ? true : length(setintersection(keys(var.telemetry), ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])) > 0
    error_message = "telemetry: say where spans go: OTEL_EXPORTER_OTLP_ENDPOINT = \"https://…\"."
  }
}

variable "topic_retention_days" {
  description = "How far back a new subscription can be made to begin, 1 to 31 days."
  type        = number
  default     = 7

  validation {
    condition     = var.topic_retention_days >= 1 && var.topic_retention_days <= 31
    error_message = "topic_retention_days: write a number from 1 to 31, Pub/Sub's most."
  }
}
